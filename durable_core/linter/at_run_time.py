"""Lints functions that are loaded already: for warnings at registration, and for the likely cause of a mismatch.

Reads source files only, and never raises: a function without a readable source file has no findings.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SourceError
from .findings import Finding
from .linting import Linter, Root, silence
from .sources import Project

_log = logging.getLogger("durable_core.linter")
_CLOCK_AND_CHANCE = ("DC1", "DC2", "DC301", "DC302")


class Suspect(NamedTuple):
    """A place where orchestrator code uses a clock, chance or its environment.

    at: ``file:line``; expression: the expression there; replacement: what to use instead.
    """

    at: str
    expression: str
    replacement: str

    def __str__(self) -> str:
        return f"{self.at} has {self.expression} (use {self.replacement})"


def clock_and_chance_in(function: Callable[..., Any]) -> list[Suspect]:
    """The places at which this orchestrator, or a function it calls, uses a clock, chance or the environment."""
    return [
        Suspect(f"{finding.path.name}:{finding.line}", finding.expression, finding.replacement)
        for finding in _findings([function])
        if finding.code.startswith(_CLOCK_AND_CHANCE)
    ]


def warn_of(functions: Iterable[Callable[..., Any]]) -> int:
    """Log a warning for each finding in these orchestrators, and return the number of warnings. Never raises."""
    count = 0
    for finding in _findings(functions):
        if not finding.is_hint:
            count += 1
            _log.warning("%s:%d: %s %s", finding.path, finding.line, finding.code, finding.text)
    return count


def _findings(functions: Iterable[Callable[..., Any]]) -> list[Finding]:
    project = Project()
    linter = Linter(project)
    try:
        for function in functions:
            root = _root(function, project)
            if root is not None:
                linter.look_at(root)
        found = list(silence(linter.findings, [], project))
    except Exception as error:  # noqa: BLE001  advice must not keep an app from starting
        _log.debug("the orchestrators could not be linted: %r", error)
        return []
    return sorted(found, key=lambda finding: (finding.path, finding.line, finding.column))


def _root(function: Callable[..., Any], project: Project) -> Root | None:
    """The source of a loaded function; None if it has none."""
    code = getattr(function, "__code__", None)
    path = Path(getattr(code, "co_filename", ""))
    if code is None or not path.is_file():
        return None
    try:
        file = project.add(path)
    except SourceError:
        return None
    for found in file.functions:
        first = min([found.node.lineno, *(d.lineno for d in getattr(found.node, "decorator_list", []))])
        if first == code.co_firstlineno and found.name == code.co_name:
            return Root(found, getattr(getattr(function, "__durable_definition__", None), "name", found.name))
    return None
