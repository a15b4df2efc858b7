"""Writes what the documentation takes from the code: ``python -m tools.reference``.

``docs/reference.md`` is made of the docstrings' first paragraphs. In ``docs/guide/`` the code below a line
``<!-- examples/NAME.py -->`` is that example, up to where it is driven, or, where the line says ``NAME.py, whole``, all
of it. A test holds both to be current.
"""

from __future__ import annotations

import dataclasses
import enum
import inspect
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import durable_core
from durable_core import errors

DOCS = Path(__file__).resolve().parents[1] / "docs"
REFERENCE = DOCS / "reference.md"
GUIDE = DOCS / "guide"

PUBLIC: dict[str, list[str]] = {
    "durable_core": durable_core.__all__,
    "durable_core.hosting.functions": ["Durable", "durable_blueprint"],
    "durable_core.df": [
        *("Blueprint", "DFApp", "DurableEntityContext", "DurableOrchestrationClient", "DurableOrchestrationContext"),
        *("ManagedIdentityTokenSource", "OrchestrationRuntimeStatus"),
    ],
    "durable_core.settings": ["Settings"],
    "durable_core.storage.sqlite": ["SqliteStorage"],
    "durable_core.testing": import_module("durable_core.testing").__all__,
}
"""What users import, by module."""

FIRST: list[str] = [
    *("orchestrator", "activity", "entity", "OrchestrationContext", "Task", "TimerTask", "ActivityContext"),
    *("Registry", "Durable", "Settings", "DurableClient", "OrchestrationStatus"),
]
"""What a reader looks for first, in this order; the rest follows by name."""

INTERNAL: dict[str, list[str]] = {
    "ActivityContext": ["listener"],
    "BranchTask": [
        *("begin", "child_ended", "close", "code", "is_ending", "left", "line", "name", "open_children", "owned"),
        *("parent", "runs_by_itself", "section", "stop", "waits_at"),
    ],
    "Durable": ["start", "stop"],
    "EntityContext": ["keep_live", "live_state"],
    "EntityId": ["partition"],
    "DurableClient": ["longest_poll", "raise_event_once", "redeem_callback"],
    "FailureDetails": ["from_exception", "from_json", "to_json"],
    "History": ["info", "seen", "segments"],
    "Registry": ["activity", "entity", "orchestrator", "orchestrator_functions", "queues", "with_built_in"],
    "RetryPolicy": ["allows", "delay_after"],
    "Settings": ["durable_folder", "is_embedded"],
    "TestEnvironment": ["overdue_activities", "snapshot"],
    "TimerTask": ["stop"],
}
"""Members without an underscore that are for the framework's other modules, not for users."""

_ENTRY = re.compile(r"^(\w+(?:, \w+)*): (.+(?:\n[ ]+.+)*)", re.MULTILINE)
_CODE = re.compile(r"(<!-- (examples/\w+\.py)(, whole)? -->\n+```python\n).*?(```\n)", re.DOTALL)
_HEAD = """# Reference

Every public name with the line that imports it. The docstrings, which editors show, say more. `python -m
tools.reference` writes this page: change the docstring, not this page.
"""


def render_reference() -> str:
    """The whole page."""
    public = {name: (module, getattr(import_module(module), name)) for module in PUBLIC for name in PUBLIC[module]}
    public = {name: public[name] for name in [*FIRST, *sorted(public.keys() - set(FIRST))]}
    parts = [_HEAD]
    for name, (module, value) in public.items():
        if inspect.isclass(value) and not issubclass(value, Exception | enum.Enum):
            parts.append(section(f"`{name}`", module, value, members(value)))
        elif inspect.isfunction(value):
            is_decorator = name in ("orchestrator", "activity", "entity")
            title = f"`@{name}`" if is_decorator else f"`{_signature(name, value)}`"
            parts.append(section(title, module, value, options(value) if is_decorator else iter(())))
    others = [(name, module, value) for name, (module, value) in public.items() if _is_other(value)]
    rows = [(f"`{name}`", f"{_other(value)} `from {module} import {name}`") for name, module, value in others]
    parts.append("## Other names\n\n" + table(rows))
    parts.append(
        "## Errors\n\n`from durable_core.errors import DurableError`, and so for each; `durable_core` exports those "
        "that orchestrators and activities catch or raise. Each derives from the one above it that is indented "
        "less.\n\n" + table(error_tree())
    )
    return "\n".join(parts)


def section(title: str, module: str, value: Any, rows: Iterator[tuple[str, str]]) -> str:
    below = table(found) if (found := list(rows)) else ""
    imported = f"`from {module} import {value.__name__}`"
    return f"## {title}\n\n{imported}\n\n{first_paragraph(value)}\n" + (f"\n{below}" if below else "")


def table(rows: Iterator[tuple[str, str]] | Any) -> str:
    lines = [f"| {name} | {text.replace('|', chr(92) + '|')} |\n" for name, text in rows]
    return "".join(["| Name | What |\n|---|---|\n", *lines])


def members(cls: type) -> Iterator[tuple[str, str]]:
    """Public fields, properties and methods, in the order of the code."""
    internal = INTERNAL.get(cls.__name__, [])
    for name, text in _members(cls):
        if re.split(r"\W", name.strip("`"))[0] not in internal:
            yield name, text


def _members(cls: type) -> Iterator[tuple[str, str]]:
    explained = entries(cls)
    if dataclasses.is_dataclass(cls):
        for field in dataclasses.fields(cls):
            kind = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", str(field.type))
            yield f"`{field.name}`", explained.get(field.name) or f"`{kind}`"
    else:
        for name, text in explained.items():
            if not hasattr(cls, name):
                yield f"`{name}`", text
    seen: dict[object, str] = {}
    for base in [base for base in cls.__mro__ if base.__module__.startswith("durable_core")]:
        for name, member in vars(base).items():
            if name.startswith("_") or name in seen.values() or not _is_documentable(member):
                continue
            value = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            same = seen.get(value)
            seen.setdefault(value, name)
            yield f"`{_signature(name, value)}`", f"The same as `{same}`." if same else first_paragraph(value)


def options(decorator: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """The keyword options of a decorator. KeyError if its docstring does not explain one."""
    explained = entries(decorator)
    for name, parameter in inspect.signature(decorator).parameters.items():
        if parameter.kind is parameter.KEYWORD_ONLY:
            yield f"`{name}`", explained[name]


def entries(value: object) -> dict[str, str]:
    """``name: explanation`` lines of a docstring; ``a, b: explanation`` is one of both."""
    found: dict[str, str] = {}
    for names, text in _ENTRY.findall(inspect.getdoc(value) or ""):
        found.update(dict.fromkeys(names.split(", "), _plain(text)))
    return found


def error_tree() -> Iterator[tuple[str, str]]:
    """The errors with what the drawing in ``errors`` says of them, children below parents."""
    told = dict(re.findall(r"── (\w+) +(\S.*)", errors.__doc__ or ""))

    def below(parent: type, depth: int) -> Iterator[tuple[str, str]]:
        for child in parent.__subclasses__():
            if child.__module__ == errors.__name__:
                text = told.get(child.__name__) or first_paragraph(child)
                yield f"{'&emsp;' * depth}`{child.__name__}`", text
                yield from below(child, depth + 1)

    yield "`DurableError`", first_paragraph(errors.DurableError)
    yield from below(errors.DurableError, 1)


def first_paragraph(value: object) -> str:
    if inspect.isclass(value) and value.__doc__ is None:
        return f"A kind of `{value.__mro__[1].__name__}`."
    own = value.__doc__ if inspect.isclass(value) else inspect.getdoc(value)
    return _plain(inspect.cleandoc(own or "").split("\n\n")[0])


def with_examples(page: str) -> str:
    """A page of the guide, with the code of the examples that it names."""

    def current(found: re.Match[str]) -> str:
        source = (DOCS / found.group(2)).read_text("utf-8")
        code = source if found.group(3) else re.split(r"^async def example\b", source, flags=re.MULTILINE)[0]
        code = re.sub(r'^""".*?"""\n+', "", code, flags=re.DOTALL)
        return found.group(1) + code.rstrip() + "\n" + found.group(4)

    return _CODE.sub(current, page)


def _is_documentable(member: object) -> bool:
    return isinstance(member, property | classmethod | staticmethod) or inspect.isfunction(member)


def _is_other(value: object) -> bool:
    """Neither a class, nor a function, nor an error: those have sections of their own."""
    if inspect.isclass(value):
        return issubclass(value, enum.Enum)
    return not inspect.isfunction(value)


def _other(value: object) -> str:
    if inspect.isclass(value) and issubclass(value, enum.Enum):
        return f"{first_paragraph(value)} {', '.join(f'`{member.value}`' for member in value)}."
    return "A type, for annotations: `-> Orchestration[Receipt]`."


def _signature(name: str, member: object) -> str:
    if isinstance(member, property) or not callable(member):
        return name
    parameters = [
        parameter.replace(annotation=parameter.empty)
        for at, parameter in enumerate(inspect.signature(member).parameters.values())
        if at or parameter.name not in ("self", "cls")
    ]
    return f"{name}{inspect.Signature(parameters)}"


def _plain(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip().replace("``", "`")


def main() -> None:
    REFERENCE.write_text(render_reference(), "utf-8")
    for page in sorted(GUIDE.glob("*.md")):
        page.write_text(with_examples(page.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
