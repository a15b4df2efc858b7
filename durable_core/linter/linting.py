"""Lints files: finds the orchestrators, follows their calls, and applies comments that silence a rule."""

from __future__ import annotations

import ast
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from ..errors import SourceError
from ..lazy_dataclass import dataclass
from .body import Body, Tools
from .findings import Finding, Spot
from .origins import CTX, Function, Origins
from .rules import RULES
from .scopes import own_nodes
from .sources import Ignore, Project, SourceFile, python_files
from .state import Sets, State

_OF_INTERCEPTORS = ("around_orchestrator", "before_call")
_INTERCEPTOR = ("durable_core.Interceptor", "durable_core.interceptors.Interceptor")


@dataclass(frozen=True, slots=True)
class Report:
    """The findings in some files, and the files that could not be read."""

    findings: tuple[Finding, ...]
    files: int
    orchestrators: int
    unreadable: tuple[SourceError, ...] = ()


@dataclass(frozen=True, slots=True)
class Root:
    """An orchestrator: its function and its registered name."""

    function: Function
    name: str


@dataclass(frozen=True, slots=True)
class _Visit:
    function: Function
    waits: bool
    read_only: bool
    through: tuple[str, ...]


class Linter:
    """Checks orchestrators of one project. A function that several of them call is checked once."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._origins = Origins(project)
        self._tools = Tools(self._origins, State(self._origins), Sets(self._origins))
        self._seen: set[tuple[Function, bool, bool]] = set()
        self._findings: dict[tuple[Path, int, int, str], Finding] = {}

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, without regard to comments that silence rules."""
        return list(self._findings.values())

    def roots(self, file: SourceFile) -> list[Root]:
        """The orchestrators of a file, in order: functions with the decorator or marked by ``orchestrator(fn)``; and
        the methods of interceptors that are orchestrator code."""
        found = [
            Root(function, _name(function))
            for function in file.functions
            if self._origins.mark(function) == "orchestrator"
        ]
        for statement in file.tree.body:
            for node in own_nodes(statement):
                if isinstance(node, ast.Call) and len(node.args) == 1 and self._is_mark(node.func, file):
                    origin = self._origins.of(node.args[0], file.scope)
                    if isinstance(origin, Function):
                        found.append(Root(origin, origin.name))
        for function in file.functions:
            owner = function.owner
            if (
                owner is not None
                and function.name in _OF_INTERCEPTORS
                and self._origins.derives_from(owner, _INTERCEPTOR)
            ):
                found.append(Root(function, f"{owner.name}.{function.name}"))
        return found

    def _is_mark(self, node: ast.expr, file: SourceFile) -> bool:
        dotted = self._origins.dotted(node, file.scope)
        return dotted.removesuffix("()") in ("durable_core.orchestrator", "durable_core.decorators.orchestrator")

    def look_at(self, root: Root) -> None:
        """Check an orchestrator and all functions of the project that it calls."""
        if isinstance(root.function.node, ast.AsyncFunctionDef) and root.function.is_generator:
            text = "an 'async def' with 'yield' is no orchestrator: wait with 'await', or remove 'async'"
            self._keep(_spot(root.function, "DC308", text), root, ())
        visits = deque([_Visit(root.function, True, False, ())])
        while visits:
            visit = visits.popleft()
            key = (visit.function, visit.waits, visit.read_only)
            if key in self._seen:
                continue
            self._seen.add(key)
            look = Body(visit.function, self._tools, waits=visit.waits, read_only=visit.read_only).run()
            for spot in look.spots:
                self._keep(spot, root, visit.through)
            for reference in look.references:
                through = (*visit.through, reference.name)
                if reference.function.is_inside(root.function):
                    through = ()
                elif reference.function.is_inside(visit.function):
                    through = visit.through
                visits.append(_Visit(reference.function, reference.waits, reference.read_only, through))

    def look_at_activities(self, file: SourceFile) -> None:
        """Check that no activity of a file declares a parameter of type OrchestrationContext."""
        for function in file.functions:
            node = function.node
            if self._origins.mark(function) == "activity" and not isinstance(node, ast.Lambda):
                for arg in node.args.args:
                    if self._origins.dotted(ast.Name(arg.arg, ast.Load()), function.scope) == CTX:
                        text = f"activity '{function.name}' declares an orchestration context; use ActivityContext"
                        self._keep(_spot(function, "DC405", text, arg), None, ())

    def _keep(self, spot: Spot, root: Root | None, through: tuple[str, ...]) -> None:
        key = (spot.file.path, spot.line, spot.column, spot.code)
        if key not in self._findings:
            self._findings[key] = Finding(
                path=spot.file.path,
                line=spot.line,
                column=spot.column,
                code=spot.code,
                message=spot.message,
                orchestrator="" if root is None else root.name,
                through=(*through, *spot.through),
                expression=spot.expression,
                replacement=spot.replacement,
                is_hint=RULES[spot.code].is_hint,
            )


def lint_paths(paths: Iterable[Path], *, hints: bool = False) -> Report:
    """Lint every orchestrator of these files and folders, and the functions of the project that they call.

    hints: whether to report hints as well.
    Nothing is imported. Files that are missing or cannot be parsed are in ``.unreadable``; all others are linted.
    """
    project = Project()
    files: list[SourceFile] = []
    unreadable: list[SourceError] = []
    for given in paths:
        try:
            for path in python_files([given]):
                try:
                    file = project.add(path)
                except SourceError as error:
                    unreadable.append(error)
                else:
                    if file not in files:
                        files.append(file)
        except SourceError as error:
            unreadable.append(error)
    linter = Linter(project)
    roots = [root for file in files for root in linter.roots(file)]
    for root in roots:
        linter.look_at(root)
    for file in files:
        linter.look_at_activities(file)
    found = silence(linter.findings, files, project)
    kept = [finding for finding in found if hints or not finding.is_hint]
    kept.sort(key=lambda finding: (finding.path, finding.line, finding.column, finding.code))
    return Report(tuple(kept), len(files), len(roots), tuple(unreadable))


def silence(findings: Iterable[Finding], files: Iterable[SourceFile], project: Project) -> Iterator[Finding]:
    """The findings that no comment silences, and findings about wrong comments in these files."""
    used: set[tuple[Ignore, str]] = set()
    for finding in findings:
        file = project.at(finding.path)
        silenced = False
        for ignore in [] if file is None else file.ignores:
            if finding.code in ignore.codes and ignore.first <= finding.line <= ignore.last:
                used.add((ignore, finding.code))
                silenced = True
        if not silenced:
            yield finding
    for file in files:
        for ignore in file.ignores:
            yield from _problems(file, ignore, {code for at, code in used if at is ignore})


def _problems(file: SourceFile, ignore: Ignore, used: set[str]) -> Iterator[Finding]:
    def problem(code: str, message: str) -> Finding:
        return Finding(path=file.path, line=ignore.line, column=ignore.column, code=code, message=message)

    if not ignore.codes:
        yield problem("DC902", "an ignore comment must name the rules it silences: # durable: ignore[DC101]")
    for code in ignore.codes:
        if code not in RULES:
            yield problem("DC902", f"there is no rule '{code}'")
        elif code not in used:
            yield problem("DC901", f"there is no {code} here to ignore; remove the comment")


def _spot(function: Function, code: str, message: str, at: ast.AST | None = None) -> Spot:
    node = function.node if at is None else at
    return Spot(
        file=function.file,
        line=getattr(node, "lineno", 1),
        column=getattr(node, "col_offset", 0) + 1,
        code=code,
        message=message,
    )


def _name(function: Function) -> str:
    """The registered name of an orchestrator."""
    for decorator in getattr(function.node, "decorator_list", []):
        if isinstance(decorator, ast.Call):
            for keyword in decorator.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return function.name
