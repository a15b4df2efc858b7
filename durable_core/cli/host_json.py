"""``host-json``: what host.json lacks for Azure."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

from .app_options import or_cannot_run
from .exit_codes import FINDING, FINE, CannotRunError
from .formats import Document, Form, format_option, print_document


@click.command("host-json")
@click.argument("folder", type=click.Path(path_type=Path), default=Path("."))
@click.option("--write", is_flag=True, help="Write the queue section that is missing; comments are kept.")
@format_option
def host_json(folder: Path, write: bool, form: Form) -> int:
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
        is_written = write and lacks_polling(file.entries)
        if is_written:
            text = with_polling(path.read_bytes().decode("utf-8-sig"))  # as it is: a text file loses its line ends
            new = path.with_name(f"{path.name}.new")
            try:
                new.write_bytes(text.encode())
                shutil.copymode(path, new)
                new.replace(path)
            except OSError as error:
                raise CannotRunError(f"{path} cannot be written: {error}") from error
            file = read_json_file(path)
        found = advise(file.entries)
    document: Document = {
        "file": str(path),
        "isWritten": is_written,
        "remarks": list(file.remarks),
        "problems": [{"problem": advice.problem, "lines": advice.lines} for advice in found],
    }
    print_document(form, document, lambda: _lines(document))
    return FINDING if found or file.remarks else FINE


def _lines(document: Document) -> list[str]:
    path = document["file"]
    lines = [f"{path}: queue section written"] if document["isWritten"] else []
    lines.extend(f"{path}, {remark}" for remark in document["remarks"])
    for each in document["problems"]:
        lines.append(f"{path}: {each['problem']}" + (f". Add:\n{each['lines']}" if each["lines"] else ""))
    if not document["remarks"] and not document["problems"]:
        lines.append(f"{path} has what durable_core needs")
    return lines
