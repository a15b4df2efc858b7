"""The source files of a project, and the search for the file of an imported name.

Reads and parses files; nothing is imported or run. The project consists of the files below its roots: the folders that
contain the named packages. The standard library, installed packages and durable_core itself are outside.
"""

from __future__ import annotations

import ast
import io
import os
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from ..errors import SourceError
from ..lazy_dataclass import dataclass
from .scopes import Binder, Function, Scope

_IGNORE = re.compile(r"#\s*durable:\s*ignore\b\s*(?:\[([^\]]*)\])?")
_SKIPPED = {"__pycache__", "node_modules", "site-packages", "dist-packages", "venv"}
_OUTSIDE = {"durable_core", *sys.stdlib_module_names}


@dataclass(frozen=True, slots=True)
class Ignore:
    """A comment that silences codes on the lines first to last. codes: empty if it names none."""

    line: int
    column: int
    codes: tuple[str, ...]
    first: int
    last: int


class SourceFile:
    """One parsed file. name: its dotted name, as it is imported from its root."""

    def __init__(self, path: Path, name: str, text: str) -> None:
        """SourceError if the text is not valid Python."""
        self.path, self.name, self.text = path, name, text
        try:
            self.tree = ast.parse(text, str(path))
        except (SyntaxError, ValueError, RecursionError) as error:
            line = getattr(error, "lineno", None)
            where = f"{path}:{line}" if line else str(path)
            raise SourceError(f"{where}: cannot be parsed: {getattr(error, 'msg', error)}") from error

    @cached_property
    def _bound(self) -> Binder:
        return Binder(self.tree, self)

    @property
    def scope(self) -> Scope:
        """The module's own scope."""
        return self._bound.scope

    @property
    def functions(self) -> list[Function]:
        """Every function of the file, at any depth."""
        return self._bound.functions

    @property
    def star_imports(self) -> list[str]:
        return self._bound.star_imports

    def scope_of(self, node: ast.AST) -> Scope | None:
        """The scope that this node opens; None if it opens none."""
        return self._bound.scopes.get(node)

    def function_of(self, node: ast.AST) -> Function | None:
        return self._functions.get(node)

    @cached_property
    def _functions(self) -> dict[ast.AST, Function]:
        return {function.node: function for function in self.functions}

    def absolute(self, module: str, level: int) -> str:
        """The absolute name of ``from {level dots}{module} import``."""
        if not level:
            return module
        package = self.name.split(".")
        if self.path.name != "__init__.py":
            package = package[:-1]
        package = package[: len(package) - (level - 1)]
        return ".".join([*package, module] if module else package)

    @cached_property
    def ignores(self) -> list[Ignore]:
        """The comments that silence a rule."""
        if "durable:" not in self.text:
            return []
        found: list[Ignore] = []
        for token in tokenize.generate_tokens(io.StringIO(self.text).readline):
            match = _IGNORE.match(token.string) if token.type == tokenize.COMMENT else None
            if match is None:
                continue
            codes = tuple(code.strip() for code in (match[1] or "").split(",") if code.strip())
            line, column = token.start
            is_alone = not token.line[:column].strip()
            first, last = self._statement_after(line) if is_alone else (line, line)
            found.append(Ignore(line, column + 1, codes, first, last))
        return found

    def _statement_after(self, line: int) -> tuple[int, int]:
        """The lines of the statement that begins below this line; for a block, the lines of its head."""
        best: tuple[int, int] | None = None
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt | ast.ExceptHandler):
                first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
                if first > line and (best is None or first < best[0]):
                    body: list[ast.stmt] = getattr(node, "body", [])
                    last = max(first, body[0].lineno - 1) if body else node.end_lineno or first
                    best = first, last
        return (line, line) if best is None else best


class Project:
    """The files of a project, found by path or by the name under which they are imported."""

    def __init__(self) -> None:
        self._files: dict[Path, SourceFile | None] = {}
        self._modules: dict[str, SourceFile | None] = {}
        self._roots: list[Path] = []
        self._tops: set[str] = set()

    def add(self, path: Path) -> SourceFile:
        """Read a file, and add its root, so that imports of its neighbours are found. SourceError if it is missing or
        is not valid Python."""
        path = path.absolute()
        root, name = _place(path)
        file = self._files.get(path) or _read(path, name)
        self._files[path] = file
        self._modules.setdefault(name, file)
        if not _SKIPPED.isdisjoint(root.parts):  # an installed package: without the packages beside it
            self._add_root(root, only=name.split(".")[0])
        else:
            self._add_root(root)
            here = Path.cwd()
            if root != here and root.is_relative_to(here):
                self._add_root(here)
        return file

    def module(self, name: str) -> SourceFile | None:
        """The file of a dotted name; None if it is not in the project."""
        if name not in self._modules:
            self._modules[name] = self._find(name)
        return self._modules[name]

    def at(self, path: Path) -> SourceFile | None:
        """A file that was read before."""
        return self._files.get(path)

    def knows(self, top: str) -> bool:
        """Whether a name of this top-level package may be the project's."""
        return top in self._tops and top not in _OUTSIDE

    def _add_root(self, root: Path, only: str | None = None) -> None:
        if root in self._roots:
            return
        self._roots.append(root)
        if only is not None:
            self._tops.add(only)
            return
        try:
            names = os.listdir(root)
        except OSError:
            return
        self._tops.update(name.removesuffix(".py") for name in names if "." not in name.removesuffix(".py"))

    def _find(self, name: str) -> SourceFile | None:
        parts = name.split(".")
        if not self.knows(parts[0]):
            return None
        for root in self._roots:
            place = root.joinpath(*parts)
            for path in (place.with_name(place.name + ".py"), place / "__init__.py"):
                if path in self._files:
                    return self._files[path]
                if path.is_file():
                    try:
                        self._files[path] = _read(path, name)
                    except SourceError:  # the caller did not name it: if it cannot be read, it counts as outside
                        self._files[path] = None
                    return self._files[path]
        return None


def python_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The named files, and every ``.py`` file below the named folders, in order. SourceError for a missing path."""
    seen: set[Path] = set()
    for path in paths:
        if path.is_dir():
            found = sorted(_below(path))
        elif path.is_file():
            found = [path]
        else:
            raise SourceError(f"{path}: there is no such file or folder")
        for file in found:
            if file.absolute() not in seen:
                seen.add(file.absolute())
                yield file


def _below(folder: Path) -> Iterator[Path]:
    for at, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name not in _SKIPPED]
        yield from (Path(at, name) for name in files if name.endswith(".py"))


def _place(path: Path) -> tuple[Path, str]:
    """The root folder from which a file is imported, and its dotted name."""
    root = path.parent
    parts = [] if path.name == "__init__.py" else [path.stem]
    while (root / "__init__.py").is_file() and root != root.parent:
        parts.insert(0, root.name)
        root = root.parent
    return root, ".".join(parts) or path.parent.name


def _read(path: Path, name: str) -> SourceFile:
    try:
        with tokenize.open(path) as source:
            text = source.read()
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror}") from error
    except (SyntaxError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read as text: {error}") from error
    return SourceFile(path, name, text)
