"""``purge``: deletes instances that have ended, by their ids or many by a filter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ..models import RuntimeStatus
from .bulk import preview_lines
from .confirm import SAMPLE, confirm, yes_option
from .dry_run import dry_run_option, preview, show_preview
from .exit_codes import FINE, NOTHING_MATCHED, NothingMatchedError
from .filters import Filter, filter_options, some_of
from .formats import Document, Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi

COUNTED = 1000  # instances; of more, the question says so
_ENDED = [status for status in RuntimeStatus if status.is_terminal]
_CONTINUATION = "x-ms-continuation-token"
_EARLIEST = ("createdTimeFrom", "0001-01-01T00:00:00Z")


@click.command()
@click.argument("instance_ids", metavar="[ID]...", nargs=-1)
@filter_options(_ENDED, of_a_purge=True)
@click.option("--recursive", is_flag=True, help="Their sub-orchestrations, too.")
@dry_run_option
@yes_option
@format_option
@place_options
def purge(
    instance_ids: Sequence[str],
    chosen: Filter,
    recursive: bool,
    dry_run: bool,
    yes: bool,
    form: Form,
    place: Place,
) -> int:
    """Delete ended instances with all their data: those of these IDs, or those that the options select.

    Without IDs at least one time is needed. Hosts may run meanwhile. After an interruption, the instances deleted so
    far stay deleted. Exit code 3: nothing was deleted.
    """
    if instance_ids and chosen:
        raise click.UsageError("name instances, or select them by options, not both")
    if not instance_ids and not any(name.startswith("createdTime") for name, _ in chosen):
        raise click.UsageError("name instances, or select them by --created-from, --created-to or both")
    if dry_run:
        return _show_dry_run(instance_ids, chosen, recursive, form, place)
    flags = [("recursive", "true")] if recursive else []

    async def work(api: ManagementApi) -> int:
        if instance_ids:
            confirm("purge", instance_ids, api.place, yes=yes)
            return await _each(api, instance_ids, flags)
        if not yes:
            found, more = await some_of(api, _of_ended(chosen), COUNTED)
            if not found:
                return 0
            count = f"{COUNTED:,} or more" if more else ""
            confirm("purge", [status["instanceId"] for status in found], api.place, yes=yes, count=count)
        return await _slices(api, [*chosen, *flags])

    deleted = run_at(place, work)
    print_document(form, {"instancesDeleted": deleted}, lambda: [f"deleted: {deleted}"])
    return FINE if deleted else NOTHING_MATCHED


def _show_dry_run(instance_ids: Sequence[str], chosen: Filter, recursive: bool, form: Form, place: Place) -> int:
    """Print what the purge would delete. Returns the exit code."""

    async def of_ids(api: ManagementApi) -> list[Document]:
        return await preview(api, "purge", instance_ids, takes_ended=True, with_children=recursive)

    async def of_filter(api: ManagementApi) -> Document:
        found, more = await some_of(api, _of_ended(chosen), COUNTED)
        return {"matched": len(found), "isComplete": not more, "sample": found[:SAMPLE]}

    if instance_ids:
        return show_preview(form, run_at(place, of_ids), instance_ids)
    found = run_at(place, of_filter)
    print_document(form, found, lambda: preview_lines("purge", found))
    return FINE if found["matched"] else NOTHING_MATCHED


def _of_ended(chosen: Filter) -> Filter:
    """The filter of a list that matches what the purge would delete."""
    if any(name == "runtimeStatus" for name, _ in chosen):
        return chosen
    return [*chosen, *(("runtimeStatus", status.value) for status in _ENDED)]


async def _each(api: ManagementApi, instance_ids: Sequence[str], flags: Filter) -> int:
    from ..hosting.http_routes import Endpoint

    deleted = 0
    for instance_id in instance_ids:
        answer = await api.call(Endpoint.PURGE_INSTANCE, route={"instanceId": instance_id}, query=flags)
        try:
            deleted += answer.expect(200).json()["instancesDeleted"]
        except NothingMatchedError as error:
            click.echo(safe(error.message), err=True)
    return deleted


async def _slices(api: ManagementApi, query: Filter) -> int:
    from ..hosting.http_routes import Endpoint

    if not any(name == "createdTimeFrom" for name, _ in query):
        query = [_EARLIEST, *query]
    deleted, token = 0, ""
    while True:
        headers = {_CONTINUATION: token} if token else {}
        answer = await api.call(Endpoint.PURGE_INSTANCES, query=query, headers=headers)
        try:
            deleted += answer.expect(200).json()["instancesDeleted"]
        except NothingMatchedError:
            return deleted
        token = answer.headers.get(_CONTINUATION, "")
        if not token:
            return deleted
        click.echo(f"deleted so far: {deleted}", err=True)
