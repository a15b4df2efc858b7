"""Bicep files as far as the checks need them: what is declared, what is used, and the bodies of resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pycep import BicepParser

_COMMENT_OR_STRING = re.compile(r"//[^\n]*|/\*.*?\*/|'''.*?'''|'(?:[^'\\\n]|\\.)*'", re.DOTALL)
_INTERPOLATION = re.compile(r"\$\{([^}]*)\}")
_CHAIN = re.compile(r"(?<![\w.@])([A-Za-z_]\w*)((?:\[\w+\])?(?:\.\w+)*)(?=(\s*\()?)")
_KEY = re.compile(r"^\s*(?:''|\w+)\s*:", re.MULTILINE)
_DECLARED = re.compile(r"^(?:param|output|resource|module|var) \w+[^=\n]*", re.MULTILINE)
_KEYWORDS = frozenset(("targetScope", "existing", "if", "for", "in", "true", "false", "null"))


@dataclass(frozen=True, slots=True)
class Resource:
    """type: with its version, as ``Microsoft.Web/sites@2024-04-01``. config: the body, of a loop that of its item."""

    type: str
    config: Mapping[str, Any]
    is_existing: bool


@dataclass(frozen=True, slots=True)
class Module:
    path: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class BicepFile:
    path: Path
    text: str = field(repr=False)
    parsed: Mapping[str, Any] = field(repr=False)

    @cached_property
    def parameters(self) -> Mapping[str, Any]:
        return self.parsed.get("parameters", {})

    @cached_property
    def variables(self) -> Mapping[str, Any]:
        return self.parsed.get("variables", {})

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        return self.parsed.get("outputs", {})

    @cached_property
    def resources(self) -> Mapping[str, Resource]:
        return {
            symbol: Resource(f"{each['type']}@{each['api_version']}", _body(each["config"]), bool(each["existing"]))
            for symbol, each in self.parsed.get("resources", {}).items()
        }

    @cached_property
    def modules(self) -> Mapping[str, Module]:
        return {
            symbol: Module(each["detail"]["path"], _body(each["config"]).get("params", {}))
            for symbol, each in self.parsed.get("modules", {}).items()
        }

    @cached_property
    def loop_names(self) -> frozenset[str]:
        found = set[str]()
        for one, item, index in re.findall(r"\[for (?:(\w+)|\((\w+), (\w+)\)) in ", self.text):
            found |= {one, item, index}
        return frozenset(found - {""})

    @property
    def symbols(self) -> frozenset[str]:
        declared = (self.parameters, self.variables, self.resources, self.modules, self.loop_names)
        return frozenset(name for names in declared for name in names)

    @cached_property
    def chains(self) -> list[tuple[str, tuple[str, ...], bool]]:
        """What expressions name: the first name, the properties after it, and whether it is called as a function."""
        found = list[tuple[str, tuple[str, ...], bool]]()
        for code in self._code():
            for match in _CHAIN.finditer(code):
                if match[1] not in _KEYWORDS:
                    steps = tuple(re.sub(r"\[\w+\]", "", match[2]).strip(".").split(".")) if match[2] else ()
                    found.append((match[1], tuple(step for step in steps if step), match[3] is not None))
        return found

    def uses_of(self, symbol: str) -> Iterator[Mapping[str, Any]]:
        """Objects with the properties that expressions read of a resource, for the expansion of its type."""
        for name, steps, _ in self.chains:
            if name == symbol and steps:
                value: Any = ""
                for step in reversed(steps):
                    value = {step: value}
                yield value

    def _code(self) -> Iterator[str]:
        """The text without comments and strings; and each expression inside a string."""
        inner = list[str]()

        def blank(match: re.Match[str]) -> str:
            if match[0].startswith("'"):
                inner.extend(_INTERPOLATION.findall(match[0]))
                return "''"
            return " "

        code = _COMMENT_OR_STRING.sub(blank, self.text)
        yield _DECLARED.sub("", _KEY.sub("", code))
        yield from inner


def read_bicep(path: Path) -> BicepFile:
    """Parse a file. ValueError with the place if it is no Bicep."""
    text = path.read_text("utf-8")
    try:
        parsed = _parser().parse(text=text)
    except Exception as error:  # the parser raises what its own parser generator raises
        raise ValueError(f"{path.name} is not Bicep: {str(error).splitlines()[0]}") from error
    return BicepFile(path, text, parsed)


@cache
def _parser() -> BicepParser:
    return BicepParser()


def branches(value: Any) -> Iterator[Any]:
    """What a value may be: both sides of a condition, the items of a loop, else the value itself."""
    if isinstance(value, Mapping):
        if "loop_type" in value:
            yield [value["config"]]
            return
        operator = value.get("operator")
        if isinstance(operator, Mapping):  # a property may have that name as well
            operands = operator["operands"]
            if operator["type"] == "conditional":
                yield from branches(operands["true_value"])
                yield from branches(operands["false_value"])
            else:  # the parser takes `a == b ? c : d` for `a == (b ? c : d)`
                for operand in operands.values():
                    if isinstance(operand, Mapping) and dict(operand.get("operator", {})).get("type") == "conditional":
                        yield from branches(operand)
            return
        if isinstance(value.get("function"), Mapping):
            return
    yield value


def _body(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body of a resource or module, which the parser puts into its loop or condition."""
    while "config" in config and ("loop_type" in config or "condition" in config):
        config = config["config"]
    return config
