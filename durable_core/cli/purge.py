"""``purge``: deletes instances that have ended, many at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import click

from ..models import RuntimeStatus
from .app_options import run_on_hub

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

_ENDED = [status.value for status in RuntimeStatus if status.is_terminal]


def _moment(_: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    try:
        return None if text is None else datetime.fromisoformat(text)
    except ValueError:
        raise click.BadParameter(f"{text!r} is not a time in ISO 8601 such as 2025-01-31T12:00:00Z") from None


@click.command()
@click.option("--created-from", callback=_moment, metavar="TIME", help="Created at this time or later.")
@click.option("--created-to", callback=_moment, metavar="TIME", help="Created at this time or before.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(_ENDED, case_sensitive=False), help="May be repeated."
)
@click.option("--recursive", is_flag=True, help="Their sub-orchestrations, too.")
@click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set.")
def purge(
    created_from: datetime | None,
    created_to: datetime | None,
    statuses: Sequence[str],
    recursive: bool,
    store: str | None,
) -> None:
    """Delete the ended instances that the options select, with all their data.

    At least one time is needed. Times are ISO 8601; without an offset they are UTC. Hosts may run meanwhile. After an
    interruption, the instances deleted so far stay deleted.
    """
    if created_from is None and created_to is None:
        raise click.UsageError("select the instances by --created-from, --created-to or both")

    wanted = [RuntimeStatus(status) for status in statuses] or None

    async def work(client: DurableClient) -> None:
        deleted, token = 0, None
        while True:
            done = await client.purge_slice(
                created_from, created_to, wanted, continuation_token=token, recursive=recursive
            )
            deleted, token = deleted + done.deleted, done.continuation_token
            if token is None:
                break
            click.echo(f"deleted so far: {deleted}", err=True)
        click.echo(f"deleted: {deleted}")

    run_on_hub(store, work)
