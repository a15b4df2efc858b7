"""Which modules of a package a scan imports: those whose source can mark a function, and no others.

A package also holds web applications that import the registry, programs, tests and templates. To import these would run
them, need what is not installed, or close a circle of imports. So the source of each module is read first. A module is
*needed* if its source imports a mark (``orchestrator``, ``activity``, ``entity``) or the adapter of Durable Functions;
if it decorates with a function from a module that does so; or if it imports from such a module outside the package,
whose functions it may pass on. What is imported already is looked at, whatever its source.

Nothing is left out silently: an import that fails is a RegistrationError with the line, and so is a marked function in
a module that cannot be imported now.
"""

from __future__ import annotations

import ast
import logging
import os
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import DurableError, RegistrationError

log = logging.getLogger(__name__)

_MARKS = frozenset({"orchestrator", "activity", "entity"})
_ADAPTERS = ("azure.durable_functions", "durable_core.df")
_FROM = re.compile(r"^[ \t]*from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|(?:[^\n\\]|\\\n)*)", re.MULTILINE)
_IMPORT = re.compile(r"^[ \t]*import[ \t]+([\w., \t]+)", re.MULTILINE)
_DECORATOR = re.compile(r"^[ \t]*@[ \t]*(\w+)", re.MULTILINE)
_COMMENT = re.compile(r"#[^\n]*")
_TEST = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def[ \t]+test|class[ \t]+Test)", re.MULTILINE)
_TESTS = ("test", "tests")
_NOT_PACKAGES = ("__pycache__", "node_modules", "site-packages", "dist-packages", "venv")


def modules_in(*roots: ModuleType) -> Iterator[ModuleType]:
    """These modules; of packages, also the needed modules in them and their sub-packages, which are imported.

    Not imported are ``__main__`` modules, packages named ``test`` or ``tests``, and modules whose name and content are
    those of tests.
    RegistrationError if the import of a needed module fails, or if its marked functions do not exist yet because the
    scan runs while it is imported.
    """
    _leads_to_marks.cache_clear()  # files may have changed since the last scan
    within = tuple(root.__name__ for root in roots)
    for root in roots:
        yield root
        for name, spec in _below(root.__name__, list(getattr(root, "__path__", ()))):
            found = sys.modules.get(name) or _running_program(spec)
            if found is None:
                if not _is_needed(name, spec, within):
                    continue
                found = _imported(name, spec)
            elif getattr(found.__spec__, "_initializing", False):
                _expect_complete(found, spec)
            yield found


def _below(package: str, path: Sequence[str], above: frozenset[str] = frozenset()) -> Iterator[tuple[str, ModuleSpec]]:
    """The modules below a package in the order of their names, found without an import.

    above: the real paths of the folders of packages above; a link that leads back to one of them is not followed.
    """
    here = frozenset(map(os.path.realpath, path))
    if here & above:
        return
    for short in sorted({*(info.name for info in pkgutil.iter_modules(path)), *_folders(path)}):
        name = f"{package}.{short}"
        spec = _spec(name, path)
        if spec is None:
            continue
        within = spec.submodule_search_locations
        if within is None or spec.origin is not None:
            yield name, spec
        if within is not None and short not in _TESTS:
            yield from _below(name, list(within), here | above)


def _folders(path: Sequence[str]) -> Iterator[str]:
    """The names of folders that can be packages without an ``__init__.py``."""
    for entry in path:
        if os.path.isdir(entry):
            with os.scandir(entry) as found:
                names = [each.name for each in found if each.is_dir()]
            yield from (name for name in names if name.isidentifier() and name not in _NOT_PACKAGES)


def _spec(name: str, path: Sequence[str] | None) -> ModuleSpec | None:
    """Where a module is; with a path, below these folders. Unlike ``find_spec`` it imports no package above."""
    loaded: ModuleSpec | None = getattr(sys.modules.get(name), "__spec__", None)
    if loaded is not None or path is None:
        return loaded or find_spec(name)
    portions = list[str]()
    for entry in path:
        finder: Any = pkgutil.get_importer(entry)
        spec: ModuleSpec | None = finder.find_spec(name) if finder is not None else None
        if spec is not None and spec.loader is not None:
            return spec
        portions.extend(spec.submodule_search_locations or () if spec is not None else ())
    if not portions:
        return None
    namespace = ModuleSpec(name, None, is_package=True)
    namespace.submodule_search_locations = portions
    return namespace


def _running_program(spec: ModuleSpec) -> ModuleType | None:
    """The ``__main__`` module if it was started from this file: to import the file would run the program again."""
    main = sys.modules.get("__main__")
    file = getattr(main, "__file__", None)
    is_it = file is not None and spec.origin is not None and Path(file).absolute() == Path(spec.origin).absolute()
    return main if is_it else None


def _is_needed(name: str, spec: ModuleSpec, within: Sequence[str]) -> bool:
    source = _source(spec)
    if source is None:  # compiled: it has to be imported to be looked at
        return not name.endswith(".__main__")
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    if not _can_mark(source, package, within):
        return False
    short = name.rpartition(".")[2]
    if short == "__main__":
        if line := _first_mark(source, spec):
            raise RegistrationError(
                f"{line}: a scan does not import a __main__ module, as that would run the program; move this function "
                "to another module"
            )
        return False
    if spec.submodule_search_locations is not None:
        return short not in _TESTS
    has_name_of_test = short.startswith("test_") or short.endswith("_test") or short in _TESTS
    return short != "conftest" and not (has_name_of_test and _TEST.search(source))


def _source(spec: ModuleSpec) -> str | None:
    """The text of a module; None if there is none, '' if it cannot be read as text."""
    get_source: Any = getattr(spec.loader, "get_source", None)
    if get_source is None:
        return None if spec.origin is not None else ""
    try:
        return get_source(spec.name)
    except (ImportError, SyntaxError, UnicodeDecodeError):  # a wrong encoding: no Python
        log.warning("%s cannot be read as a Python source, so nothing of it is registered", spec.origin)
        return ""


def _can_mark(source: str, package: str, within: Sequence[str]) -> bool:
    if "import" not in source:
        return False
    if _imports_mark(source):
        return True
    decorators = set(_DECORATOR.findall(source))
    for module, names in _imports_from(source, package):
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top == "durable_core":
            continue
        is_outside = not f"{module}.".startswith(tuple(f"{each}." for each in within))
        used_as_decorator = "*" in names or bool(decorators.intersection(names.values()))
        if (is_outside or used_as_decorator) and any(map(_leads_to_marks, (module, *(f"{module}.{n}" for n in names)))):
            return True
    return False


def _imports_mark(source: str) -> bool:
    """Whether the source imports one of the marks, or an adapter, from durable_core."""
    if "durable" not in source:
        return False
    source = _one_statement_a_line(source)
    for module, names in _imports_from(source, ""):
        if any(
            f"{each}.".startswith(f"{a}.") for a in _ADAPTERS for each in (module, *(f"{module}.{n}" for n in names))
        ):
            return True
        if f"{module}.".startswith("durable_core.") and (not _MARKS.isdisjoint(names) or "*" in names):
            return True
    for line in _IMPORT.findall(source):
        for each in line.split(","):
            module, _, alias = each.strip().partition(" as ")
            if f"{module.strip()}.".startswith(tuple(f"{adapter}." for adapter in _ADAPTERS)):
                return True
            name = re.escape(alias.strip() or module.strip())
            if f"{module.strip()}.".startswith("durable_core.") and re.search(
                rf"\b{name}(\.\w+)*\.({'|'.join(_MARKS)})\b", source
            ):
                return True
    return False


def _one_statement_a_line(source: str) -> str:
    return _COMMENT.sub("", source).replace(";", "\n")


def _imports_from(source: str, package: str) -> Iterator[tuple[str, dict[str, str]]]:
    """What is imported with ``from``: the module, by its absolute name, and its names with those that they get here."""
    for module, text in _FROM.findall(_one_statement_a_line(source)):
        names = dict[str, str]()
        for each in text.strip("()").replace("\\\n", " ").split(","):
            name, _, alias = each.strip().partition(" as ")
            if name.strip():
                names[name.strip()] = alias.strip() or name.strip()
        level = len(module) - len(module.lstrip("."))
        if level:
            parts = package.split(".")
            module = ".".join([*parts[: len(parts) - level + 1], *filter(None, [module[level:]])])
        yield module, names


@cache
def _leads_to_marks(module: str) -> bool:
    """Whether a module imports a mark, or from a module of its own package that does. It is not imported here."""
    spec = _find(module)
    source = _source(spec) if spec is not None else None
    if spec is None or source is None:
        return False
    if _imports_mark(source):
        return True
    if spec.submodule_search_locations is None:
        return False
    own = (_find(each) for each, _ in _imports_from(source, module) if each.startswith(f"{module}."))
    return any(_imports_mark(_source(each) or "") for each in own if each is not None)


def _find(module: str) -> ModuleSpec | None:
    path: list[str] | None = None
    spec: ModuleSpec | None = None
    parts = module.split(".")
    for end in range(1, len(parts) + 1):
        spec = _spec(".".join(parts[:end]), path)
        if spec is None or (spec.submodule_search_locations is None and end < len(parts)):
            return None
        path = list(spec.submodule_search_locations or ())
    return spec


def _imported(name: str, spec: ModuleSpec) -> ModuleType:
    try:
        return import_module(name)
    except DurableError:
        raise  # it says itself where
    except (Exception, SystemExit) as error:
        ends = f"it ends the program ({error})"
        problem = ends if isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        raise RegistrationError(
            f"{_place(error, str(spec.origin))}: the module {name}, whose source marks functions, cannot be imported: "
            f"{problem}"
        ) from error


def _place(error: BaseException, file: str) -> str:
    """``file:line`` of the failed import: in this file if it is there, or else where the error was raised."""
    if isinstance(error, SyntaxError) and error.filename is not None:
        return f"{error.filename}:{error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    own = [frame for frame in frames if frame.filename == file and frame.filename != __file__]
    last = (own or [frame for frame in frames if frame.filename != __file__])[-1:]
    return f"{last[0].filename}:{last[0].lineno}" if last else file


def _expect_complete(module: ModuleType, spec: ModuleSpec) -> None:
    """RegistrationError if a module that is being imported has a marked function further down."""
    source = _source(spec)
    if source and _imports_mark(source) and (line := _first_mark(source, spec, defined=vars(module))):
        raise RegistrationError(
            f"{line}: this function does not exist yet, as the scan runs while {module.__name__} is imported; scan the "
            "package in a module that is imported by no module of it, such as function_app.py"
        )


def _first_mark(source: str, spec: ModuleSpec, defined: dict[str, Any] | None = None) -> str:
    """``file:line`` of the first decorated function or class that is not defined and that a mark may stand above."""
    try:
        body = ast.parse(source).body
    except SyntaxError as error:
        return f"{spec.origin}:{error.lineno}"
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name not in (defined or {}):
            inner = [part for decorator in node.decorator_list for part in ast.walk(decorator)]
            names = {part.id for part in inner if isinstance(part, ast.Name)}
            names.update(part.attr for part in inner if isinstance(part, ast.Attribute))
            if not _MARKS.isdisjoint(names):
                return f"{spec.origin}:{node.lineno}"
    return ""
