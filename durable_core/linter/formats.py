"""The output formats of the linter: for people, for programs, and for GitHub's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from .linting import Report
from .rules import Rule


def as_text(report: Report) -> Iterator[str]:
    """``path:line:column: CODE message`` for each finding, and a summary line."""
    for finding in report.findings:
        kind = " (hint)" if finding.is_hint else ""
        yield f"{_shown(finding.path)}:{finding.line}:{finding.column}: {finding.code}{kind} {finding.text}"
    yield summary(report)


def as_json(report: Report) -> Iterator[str]:
    """A JSON array of objects."""
    found = [
        {
            "path": _shown(finding.path),
            "line": finding.line,
            "column": finding.column,
            "code": finding.code,
            "message": finding.message,
            "orchestrator": finding.orchestrator or None,
            "through": list(finding.through),
            "replacement": finding.replacement or None,
            "hint": finding.is_hint,
        }
        for finding in report.findings
    ]
    yield json.dumps(found, indent=2, ensure_ascii=False)


def as_github(report: Report) -> Iterator[str]:
    """Workflow commands, which GitHub shows at the lines of a pull request."""
    for finding in report.findings:
        level = "notice" if finding.is_hint else "error"
        text = finding.text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        path = _shown(finding.path).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
        yield f"::{level} file={path},line={finding.line},col={finding.column},title={finding.code}::{text}"


FORMATS: dict[str, Callable[[Report], Iterator[str]]] = {"text": as_text, "json": as_json, "github": as_github}


def summary(report: Report) -> str:
    looked = f"{_count(report.orchestrators, 'orchestrator')} in {_count(report.files, 'file')}"
    found = sum(not finding.is_hint for finding in report.findings)
    hints = len(report.findings) - found
    and_hints = f", {_count(hints, 'hint')}" if hints else ""
    if not found and report.unreadable:
        return f"No problem found in what was read: {looked}{and_hints}."
    if not found:
        return f"All checks passed: {looked}{and_hints}."
    more = f"To read about a rule: lint --explain {_first_code(report)}"
    return f"Found {_count(found, 'problem')}{and_hints} ({looked}). {more}"


def explanation(rule: Rule) -> str:
    """The text of ``lint --explain``."""
    parts = [
        f"{rule.code}: {rule.name}",
        f"What: {rule.what}",
        f"Why: {rule.why}",
        f"Instead: {rule.instead}",
        f"Wrong:\n\n{_indented(rule.wrong)}",
        f"Right:\n\n{_indented(rule.right)}",
    ]
    if not rule.code.startswith("DC9"):
        parts.append(
            f"To silence it on one line, write  # durable: ignore[{rule.code}]  at its end, or on a line of its own "
            "above the statement."
        )
    return "\n\n".join(parts)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in code.rstrip().splitlines())


def _first_code(report: Report) -> str:
    return next(finding.code for finding in report.findings if not finding.is_hint)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _shown(path: Path) -> str:
    """The path, relative to the working directory if it is below it."""
    here = Path.cwd()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
