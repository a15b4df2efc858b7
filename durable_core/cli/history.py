"""``history export``: writes the histories of instances to JSON files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import click

from ..models import RuntimeStatus
from .app_options import absolute, hub_options, load_code, or_cannot_run
from .exit_codes import CannotRunError

if TYPE_CHECKING:
    from ..hub.taskhub import TaskHub

MAX_NAME = 150  # characters of a file's name, which file systems bound


@click.group()
def history() -> None:
    """Histories of instances, as files."""


@history.command()
@click.argument("instance_id", metavar="INSTANCE", required=False)
@click.option("--out", type=click.Path(), help="File to write; of many, a folder. Standard output if absent, or -.")
@click.option("--all", "every", is_flag=True, help="Every instance of the hub, into the folder --out.")
@click.option("--prefix", metavar="TEXT", help="Those whose id begins so, into the folder --out.")
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice([status.value for status in RuntimeStatus], case_sensitive=False),
    help="Those of this status, into the folder --out; may be given several times.",
)
@click.option("--app", "folder", type=click.Path(path_type=Path), help="Folder of the app, for its settings and codec.")
@hub_options
def export(
    instance_id: str | None,
    out: str | None,
    every: bool,
    prefix: str | None,
    statuses: Sequence[str],
    folder: Path | None,
    hub: str | None,
    store: str | None,
) -> None:
    """Write the history of INSTANCE, or of many, as JSON that 'replay' and 'debug' read. Reads the hub only.

    A file holds inputs and results in plain form: protect it as you protect those.
    """
    many = every or prefix is not None or bool(statuses)
    if many == (instance_id is not None):
        raise click.UsageError("name one INSTANCE, or choose many with --all, --prefix or --status")
    if many and out is None:
        raise click.UsageError("of many, name the folder to write to with --out")
    if many and out == "-":
        raise click.UsageError("standard output takes one history; of many, name the folder to write to with --out")
    out, store = None if out == "-" else absolute(out), absolute(store)

    async def run() -> None:
        from ..hosting.app_loader import open_to_read, with_place
        from ..replay.history import to_text
        from ..replay.replayer import load_history
        from ..settings import Settings

        code = None if folder is None else load_code(folder, None)
        settings = with_place(Settings.from_environment() if code is None else code.settings, hub, store)
        async with open_to_read(settings, None if code is None else code.codec) as opened:
            if many and out is not None:
                os.makedirs(out, exist_ok=True)
                chosen = {RuntimeStatus(status) for status in statuses}
                click.echo(f"{await _export_many(opened, Path(out), prefix or '', chosen)} histories in {out}")
                return
            found = await load_history(opened, instance_id or "")
            if out is None:
                sys.stdout.buffer.write(to_text(found).encode())
            else:
                found.write(out)
                click.echo(f"{len(found.events)} events in {out}", err=True)

    with or_cannot_run():
        try:
            asyncio.run(run())
        except OSError as error:
            raise CannotRunError(f"--out: {error}") from error


async def _export_many(hub: TaskHub, folder: Path, prefix: str, statuses: set[RuntimeStatus]) -> int:
    from ..errors import InstanceNotFoundError
    from ..hub.catalog import CLOSED, OPEN
    from ..replay.deploy_check import entries
    from ..replay.replayer import load_history

    written = 0
    async for entry in entries(hub, OPEN, CLOSED):
        if not entry.instance_id.startswith(prefix):
            continue
        try:
            found = await load_history(hub, entry.instance_id)
        except InstanceNotFoundError:
            continue  # purged, or not written yet
        if not statuses or found.status in statuses:
            found.write(folder / file_name(entry.instance_id))
            written += 1
    return written


def file_name(instance_id: str) -> str:
    """A file name that every system allows, and that is unique to this instance id."""
    name = quote(instance_id, safe="@+=,~")
    if len(name) > MAX_NAME or name.startswith("."):
        name = f"{name[:MAX_NAME].lstrip('.')}-{hashlib.sha256(instance_id.encode()).hexdigest()[:16]}"
    return f"{name}.json"
