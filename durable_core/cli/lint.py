"""``lint``: finds non-deterministic code in orchestrators."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github"]),
    default="text",
    show_default=True,
    help="Output format of the findings.",
)
@click.option("--hints", is_flag=True, help="Report hints, too: code that breaks nothing, such as print.")
@click.option("--explain", metavar="CODE", help="Explain a rule: what it reports, why, and what to write instead.")
def lint(paths: tuple[Path, ...], form: str, hints: bool, explain: str | None) -> None:
    """Find non-deterministic code in the orchestrators of files and folders, and in what they call.

    Nothing is imported or run. A comment silences a rule on one line: # durable: ignore[DC101]. Exit code 0: no
    findings; 1: findings; 2: a path does not exist, or a file cannot be parsed.
    """
    from ..linter import RULES, lint_paths
    from ..linter.formats import FORMATS, explanation

    if explain is not None:
        rule = RULES.get(explain.upper())
        if rule is None:
            raise click.UsageError(f"there is no rule '{explain}'; the rules are: {', '.join(RULES)}")
        click.echo(explanation(rule))
        return
    if not paths:
        raise click.UsageError("name the files or folders to lint: lint orchestrators")
    report = lint_paths(paths, hints=hints)
    for line in FORMATS[form](report):
        click.echo(line)
    for error in report.unreadable:
        click.echo(f"Error: {error}", err=True)
    if report.unreadable:
        raise SystemExit(2)
    if any(not finding.is_hint for finding in report.findings):
        raise SystemExit(1)
