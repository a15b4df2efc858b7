"""``check-deploy``: checks whether new code would break running instances. For a gate in a pipeline."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import HubNotFoundError
from .app_options import absolute, code_options, hub_options, load_code, or_cannot_run

if TYPE_CHECKING:
    from ..replay.deploy_check import DeployReport, Group


@click.command("check-deploy")
@hub_options
@code_options
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("--name", metavar="ORCHESTRATOR", help="Only instances of this orchestrator.")
@click.option("--limit", type=click.IntRange(1), help="Only so many instances, the newest ones first.")
@click.option("--allow-new", is_flag=True, help="A hub that no host has created yet is fine: nothing runs in it.")
def check_deploy(
    hub: str | None,
    store: str | None,
    folder: Path,
    modules: str | None,
    form: str,
    name: str | None,
    limit: int | None,
    allow_new: bool,
) -> None:
    """Replay every open instance of a live hub with this code; the hub is only read.

    The code of journaled activities is run over the steps that their open calls have recorded. No step runs, only what
    is between them.

    Reports instances that would break, with the line, instances that need an old version, and instances that cannot be
    read. Exit code 0: all instances would continue; 1: some would not; 2: the check could not run.
    """
    store = absolute(store)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

    async def run() -> DeployReport:
        from ..hosting.app_loader import open_to_read, with_place
        from ..replay import deploy_check

        code = load_code(folder, modules)
        settings = with_place(code.settings, hub, store)
        async with open_to_read(settings, code.codec) as opened:
            with _progress() as progress, redirect_stdout(sys.stderr):  # orchestrators may print
                try:
                    return await deploy_check.check_deploy(
                        opened, code.registry, code.converter, name=name, limit=limit, progress=progress
                    )
                except HubNotFoundError as error:
                    if not allow_new:
                        raise
                    click.echo(f"{error}; so nothing runs in it", err=True)
                    return deploy_check.DeployReport(hub=settings.hub)

    with or_cannot_run():
        began = time.perf_counter()
        report = asyncio.run(run())
        seconds = time.perf_counter() - began
    if form == "json":
        click.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        _print(report, seconds)
    sys.exit(0 if report.is_fine else 1)


@contextmanager
def _progress() -> Generator[Callable[[DeployReport], None]]:
    """Shows the progress in one line, if the output is a terminal."""
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading the catalogue")

        def show(report: DeployReport) -> None:
            bar.update(task, description=f"{report.checked:,} instances replayed, {report.troubled:,} in trouble")

        yield show


def _print(report: DeployReport, seconds: float) -> None:
    rate = report.checked / seconds * 60 if seconds else 0.0
    click.echo(
        f"hub '{report.hub}': {report.checked:,} open instances in {seconds:.1f} s ({rate:,.0f} per minute): "
        f"{report.fitting:,} fit, {report.not_begun:,} have not begun, {report.ended:,} ended meanwhile"
    )
    if report.journals:
        calls = "call" if report.journals == 1 else "calls"
        click.echo(f"the code of {report.journals:,} open {calls} of journaled activities was run over the steps")
    for group in _largest_first(report.breaking):
        where = f" at {group.line}" if group.line else ""
        click.echo(f"\nwould break: {_who(group)}{where}\n  {_ids(group)}\n{group.text}")
    for group in _largest_first(report.missing):
        click.echo(f"\nneeds an old version kept: {_who(group)}\n  {_ids(group)}\n  {group.text}")
    for group in _largest_first(report.unreadable):
        click.echo(f"\ncould not be read: {_who(group)}\n  {_ids(group)}\n  {group.text}")
    for group in _largest_first(report.unchecked):
        where = f" at {group.line}" if group.line else ""
        click.echo(f"\ncould not be checked, and is not counted: {_who(group)}{where}\n  {_ids(group)}\n  {group.text}")
    if report.is_fine:
        click.echo("all of them go on with this code")
    else:
        click.echo(f"\n{report.troubled:,} of {report.checked:,} would not go on with this code")


def _largest_first(groups: list[Group]) -> list[Group]:
    return sorted(groups, key=lambda group: (-group.count, group.orchestrator, group.version))


def _who(group: Group) -> str:
    version = f" version '{group.version}'" if group.version else ""
    return f"{group.count:,} instance{'s' * (group.count != 1)} of '{group.orchestrator}'{version}"


def _ids(group: Group) -> str:
    more = group.count - len(group.instance_ids)
    listed = ", ".join(group.instance_ids) + (f" and {more:,} more" if more else "")
    return listed + (f"; {group.stuck:,} of them stuck already" if group.stuck else "")
