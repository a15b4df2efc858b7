"""``lint``: find what orchestrator code must not do."""

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
    help="How findings are written.",
)
@click.option("--hints", is_flag=True, help="Tell, too, what only spoils the looks, such as print.")
@click.option("--explain", metavar="CODE", help="Say what a rule is about, why, and what to write instead.")
def lint(paths: tuple[Path, ...], form: str, hints: bool, explain: str | None) -> None:
    """Find non-deterministic code in the orchestrators of files and folders, and in what they call.

    Nothing is imported or run. One line is silenced by a comment: # durable: ignore[DC101]. Exits with 0 when all is
    well, with 1 when something was found, with 2 when a path is not there or a file cannot be parsed.
    """
    from ..linter import RULES, lint_paths
    from ..linter.formats import FORMATS, explanation

    if explain is not None:
        rule = RULES.get(explain.upper())
        if rule is None:
            raise click.UsageError(f"there is no rule '{explain}'; there are: {', '.join(RULES)}")
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
