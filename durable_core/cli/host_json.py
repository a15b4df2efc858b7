"""``host-json``: what host.json lacks for Azure."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from .app_options import or_cannot_run
from .exit_codes import FINDING, FINE, CannotRunError


@click.command("host-json")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--write", is_flag=True, help="Write the queue section that is missing; comments are kept.")
def host_json(folder: Path, write: bool) -> int:
    """Check the host.json of FOLDER for what durable_core needs of it in Azure.

    Exit code 0: it has all; 1: it lacks something, and the lines to add are shown; 2: it cannot be read.
    """
    from ..host_json import HOST_JSON, read_json_file
    from ..hosting.local.host_json_advice import advise, lacks_polling, with_polling

    path = folder / HOST_JSON
    if not path.is_file():
        raise CannotRunError(f"there is no {path}; 'durable_core init' makes an app that has one")
    with or_cannot_run():
        file = read_json_file(path)
        if write and lacks_polling(file.entries):
            text = with_polling(path.read_bytes().decode("utf-8-sig"))  # as it is: a text file loses its line ends
            new = path.with_name(f"{path.name}.new")
            try:
                new.write_bytes(text.encode())
                shutil.copymode(path, new)
                new.replace(path)
            except OSError as error:
                raise CannotRunError(f"{path} cannot be written: {error}") from error
            click.echo(f"{path}: queue section written")
            file = read_json_file(path)
        found = advise(file.entries)
    for remark in file.remarks:
        click.echo(f"{path}, {remark}")
    for advice in found:
        click.echo(f"{path}: {advice.problem}" + (f". Add:\n{advice.lines}" if advice.lines else ""))
    if found or file.remarks:
        return FINDING
    click.echo(f"{path} has what durable_core needs")
    return FINE
