"""``bulk``: one action on all instances that a filter matches, as a durable operation of the hub."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from .confirm import confirm, yes_option
from .exit_codes import FINDING, FINE, NOTHING_MATCHED
from .filters import Filter, filter_options
from .formats import Document, Form, format_option, now, print_document
from .place import Place, place_options, run_at
from .show import status_of
from .table import Column, lines_of, terminal_width
from .text import safe, when
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi

ACTIONS = ("terminate", "cancel", "suspend", "resume", "raiseEvent", "rewind", "restart", "purge")
POLL = 1.0  # seconds between two looks at the progress
_COLUMNS = (Column("ID", weight=0), Column("NAME"), Column("STATUS"), Column("CREATED"))
_OPEN = ("Pending", "Running", "Suspended", "ContinuedAsNew")


@click.command()
@click.argument("action", type=click.Choice(ACTIONS, case_sensitive=False))
@filter_options()
@click.option("--all", "every", is_flag=True, help="No filter: all instances that the action is possible for.")
@click.option("--reason", metavar="TEXT", default="", help="Shown with the instances.")
@click.option("--event", metavar="NAME", default="", help="The event of raiseEvent.")
@json_options("data", "The event's data")
@click.option("--recursive", is_flag=True, help="Of purge: their sub-orchestrations, too.")
@click.option("--dry-run", is_flag=True, help="Only show how many instances it would touch, and some of them.")
@click.option("--wait", is_flag=True, help="Show the progress until it has ended.")
@yes_option
@format_option
@place_options
def bulk(
    action: str,
    chosen: Filter,
    every: bool,
    reason: str,
    event: str,
    data: bytes | None,
    recursive: bool,
    dry_run: bool,
    wait: bool,
    yes: bool,
    form: Form,
    place: Place,
) -> int:
    """Do one ACTION to all instances that the filter matches. Prints the id of the operation.

    The operation is an instance of the hub: it goes on after a crash of its host, 'show' and 'tail' follow it, and
    'cancel' ends it. Exit code 1: some instances could not be changed; 3: none matches.
    """
    body: dict[str, Any] = {"action": action, "filter": _filter_of(chosen), "all": every}
    body |= {name: text for name, text in (("reason", reason), ("eventName", event)) if text}
    if recursive:
        body["recursive"] = True
    if data is not None:
        body["data"] = json.loads(data)

    async def work(api: ManagementApi) -> Document | None:
        preview = await _post(api, {**body, "dryRun": True}, 200)
        if dry_run or not preview["matched"]:
            return preview
        ids = [each["instanceId"] for each in preview["sample"]]
        confirm(action, ids, api.place, yes=yes, count=_count_of(preview))
        started = str((await _post(api, body, 202))["id"])
        if wait:
            click.echo(safe(started), err=True)
            return await _end_of(api, started)
        return {"instanceId": started}

    found = run_at(place, work)
    if found is None:
        click.echo("the operation is no longer there: it was purged", err=True)
        return FINDING
    if "matched" in found and "sample" in found:
        print_document(form, found, lambda: preview_lines(action, found))
        return FINE if found["matched"] else NOTHING_MATCHED
    if not wait:
        print_document(form, found, lambda: [safe(found["instanceId"])])
        return FINE
    progress: Document = found["customStatus"] or {}
    print_document(form, found, lambda: [safe(f"{found['runtimeStatus']}: {_progress_text(progress)}")])
    for error in progress.get("errors", ()):
        click.echo(safe(f"{error['instanceId']}: {error['message']}"), err=True)
    return FINE if found["runtimeStatus"] == "Completed" and not progress.get("failed") else FINDING


def _filter_of(chosen: Filter) -> dict[str, Any]:
    """The query parameters as the filter of the body: those that are repeated become lists."""
    found: dict[str, list[str]] = {}
    for name, value in chosen:
        found.setdefault(name, []).append(value)
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}


async def _post(api: ManagementApi, body: dict[str, Any], status: int) -> Document:
    from ..hosting.http_routes import Endpoint

    return (await api.call(Endpoint.BULK, body=json.dumps(body).encode())).expect(status).json()


async def _end_of(api: ManagementApi, instance_id: str) -> Document:
    shown = ""
    while True:
        status = await status_of(api, instance_id)
        text = _progress_text(status["customStatus"] or {})
        if text != shown and status["runtimeStatus"] in _OPEN:
            click.echo(text, err=True)
            shown = text
        if status["runtimeStatus"] not in _OPEN:
            return status
        await asyncio.sleep(POLL)


def _progress_text(progress: dict[str, Any]) -> str:
    return ", ".join(f"{progress.get(name, 0):,} {name}" for name in ("matched", "done", "skipped", "failed"))


def _count_of(preview: Document) -> str:
    return f"{preview['matched']:,}" + ("" if preview["isComplete"] else " or more")


def preview_lines(action: str, preview: Document) -> list[str]:
    """How many instances an action would touch, and some of them."""
    at = now()
    rows = [
        [each["instanceId"], each["name"], each["runtimeStatus"], when(each["createdTime"], at, utc=False)]
        for each in preview["sample"]
    ]
    what = "instance" if preview["matched"] == 1 else "instances"
    lines = [safe(f"{action} would touch {_count_of(preview)} {what}")]
    return lines + (lines_of(_COLUMNS, rows, terminal_width()) if rows else [])
