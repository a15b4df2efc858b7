"""``backup`` and ``restore``: copy the embedded store while hosts run, and restore a copy while no host runs."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from ..errors import ConfigurationError, DurableError
from ..settings import Settings
from .exit_codes import CannotRunError
from .formats import Form, format_option, print_document
from .text import safe


@click.command()
@click.argument("target", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), help="Embedded store; else DURABLE_STORE.")
@format_option
def backup(target: Path, store: Path | None, form: Form) -> None:
    """Copy the embedded store as it is now into FILE, while hosts continue to use it.

    The file is one consistent state, messages included. It holds inputs and results in plain form: protect it as you
    protect those. The key of signed URLs is a file beside the store, which is not copied.
    """
    from ..storage.sqlite.backup import back_up

    place = _embedded(store)
    try:
        size = back_up(place, target)
    except DurableError as error:
        raise CannotRunError(str(error)) from error
    done = {"store": str(place), "bytes": size, "file": str(target)}
    print_document(form, done, lambda: [safe(f"{place}, {size:,} bytes, is in {target}")])


@click.command()
@click.argument("source", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--store", type=click.Path(path_type=Path), help="Embedded store; else DURABLE_STORE.")
@format_option
def restore(source: Path, store: Path | None, form: Form) -> None:
    """Replace the embedded store by the backup FILE. Stop every host first.

    All changes since the backup are lost, and activities that ran since then run again. The replaced store is kept
    beside the new one.
    """
    from ..storage.sqlite.backup import restore as put_back

    place = _embedded(store)
    try:
        kept = put_back(source, place, datetime.now(UTC))
    except DurableError as error:
        raise CannotRunError(str(error)) from error
    done = {"store": str(place), "file": str(source), "kept": str(kept) if kept else None}
    before = f"; what was there is in {kept}" if kept else ""
    print_document(form, done, lambda: [safe(f"{place} is the state of {source}{before}")])


def _embedded(store: Path | None) -> Path:
    try:
        settings = Settings.from_environment()
        if store is None and not settings.is_embedded:
            raise ConfigurationError(
                "AzureWebJobsStorage is set: the hub is in that account, and this is for the embedded store. "
                "docs/backup.md says how an account is backed up"
            )
    except ConfigurationError as error:
        raise CannotRunError(str(error)) from error
    return Path(settings.store) if store is None else store
