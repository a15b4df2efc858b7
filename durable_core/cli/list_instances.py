"""``list``: the instances of a hub, newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

import click

from .exit_codes import FINE, NOTHING_MATCHED
from .filters import Filter, filter_options, pages, some_of
from .formats import Document, Form, format_option, now, print_documents, utc_option
from .place import Place, place_options, run_at
from .table import Column
from .text import to_json, when

if TYPE_CHECKING:
    from .api.port import ManagementApi

_OWN_ERRORS = "durable_core.errors."

COLUMNS = (
    Column("ID", weight=0),
    Column("NAME"),
    Column("STATUS"),
    Column("CREATED"),
    Column("UPDATED"),
    Column("NOTE", weight=3),
)


@click.command("list")
@filter_options()
@click.option("--top", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--all", "every", is_flag=True, help="All of them.")
@format_option
@utc_option
@place_options
def list_(chosen: Filter, top: int, every: bool, form: Form, utc: bool, place: Place) -> int:
    """List the instances of a hub, newest first. Exit code 3: none matched."""

    async def work(api: ManagementApi) -> int:
        if form == "jsonl":
            return await _stream(api, chosen, None if every else top)
        found, more = await some_of(api, chosen, None if every else top)
        print_documents(form, found, COLUMNS, lambda status: row_of(status, now(), utc=utc))
        if more:
            click.echo(f"the newest {len(found):,} are shown; --top {10 * top} or --all shows more", err=True)
        if not found:
            click.echo(f"no instance matches in {api.place}", err=True)
        return len(found)

    return FINE if run_at(place, work) else NOTHING_MATCHED


async def _stream(api: ManagementApi, chosen: Filter, limit: int | None) -> int:
    """Print page by page: a hub may have more instances than fit into memory."""
    shown = 0
    async for page, _ in pages(api, chosen, size=1000 if limit is None else limit):
        for document in page if limit is None else page[: limit - shown]:
            click.echo(to_json(document))
            shown += 1
        if limit is not None and shown >= limit:
            break
    return shown


def row_of(status: Document, at: datetime, *, utc: bool) -> list[object]:
    """The cells of an instance, by ``COLUMNS``."""
    return [
        status["instanceId"],
        status["name"],
        status["runtimeStatus"],
        when(status["createdTime"], at, utc=utc),
        when(status["lastUpdatedTime"], at, utc=utc),
        note_of(status),
    ]


def note_of(status: Document) -> str:
    """What needs attention in an instance, else its custom status."""
    if stuck := status.get("stuckReason"):
        return f"stuck: {stuck}"
    failure: Any = status.get("failure")
    if isinstance(failure, dict):
        return failure_text(cast("Document", failure))
    custom = status.get("customStatus")
    return "" if custom is None else custom if isinstance(custom, str) else to_json(custom)


def failure_text(failure: dict[str, Any]) -> str:
    """A failure in one line."""
    kind, message = str(failure.get("type", "")).removeprefix(_OWN_ERRORS), str(failure.get("message", ""))
    return f"{kind}: {message}" if message else kind
