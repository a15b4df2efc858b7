"""``raise``, ``suspend``, ``resume``, ``cancel``, ``terminate``: requests to instances, by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .confirm import confirm, yes_option
from .dry_run import dry_run_option, preview, show_preview
from .exit_codes import FINE, NOTHING_MATCHED, NothingMatchedError
from .formats import Document, Form, format_option, print_documents, print_done
from .place import Place, place_options, run_at
from .text import safe
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi

_reason = click.option("--reason", metavar="TEXT", default="", help="Shown with the instance.")
_ids = click.argument("instance_ids", metavar="ID...", nargs=-1, required=True)


@click.command("raise")
@click.argument("instance_id", metavar="ID")
@click.argument("event", metavar="EVENT")
@json_options("data", "The event's data")
@click.option("--event-id", metavar="TEXT", help="Of all events with the same one, an execution receives the first.")
@format_option
@place_options
def raise_(instance_id: str, event: str, data: bytes | None, event_id: str | None, form: Form, place: Place) -> int:
    """Raise an external event on an instance. Its data is JSON; none is null."""

    async def work(api: ManagementApi) -> None:
        from ..hosting.http_routes import Endpoint

        route = {"instanceId": instance_id, "eventName": event}
        query = [("eventId", event_id)] if event_id else []
        (await api.call(Endpoint.EVENT, route=route, query=query, body=data)).expect(202)

    run_at(place, work)
    done = {"instanceId": instance_id, "eventName": event}
    print_done(form, done, f"{instance_id}: event '{event}' raised")
    return FINE


@click.command()
@_ids
@_reason
@format_option
@place_options
def suspend(instance_ids: Sequence[str], reason: str, form: Form, place: Place) -> int:
    """Suspend instances: events and results are kept until they are resumed."""
    return _request("suspend", instance_ids, reason, form, place)


@click.command()
@_ids
@_reason
@format_option
@place_options
def resume(instance_ids: Sequence[str], reason: str, form: Form, place: Place) -> int:
    """Resume suspended instances."""
    return _request("resume", instance_ids, reason, form, place)


@click.command()
@_ids
@_reason
@dry_run_option
@yes_option
@format_option
@place_options
def cancel(instance_ids: Sequence[str], reason: str, dry_run: bool, yes: bool, form: Form, place: Place) -> int:
    """Cancel instances: an error is raised where their code waits, so that it can clean up."""
    if dry_run:
        return _preview("cancel", instance_ids, form, place)
    return _request("cancel", instance_ids, reason, form, place, yes=yes)


@click.command()
@_ids
@_reason
@dry_run_option
@yes_option
@format_option
@place_options
def terminate(instance_ids: Sequence[str], reason: str, dry_run: bool, yes: bool, form: Form, place: Place) -> int:
    """Terminate instances at once, without their code, and their sub-orchestrations with them."""
    if dry_run:
        return _preview("terminate", instance_ids, form, place)
    return _request("terminate", instance_ids, reason, form, place, yes=yes)


def _preview(operation: str, instance_ids: Sequence[str], form: Form, place: Place) -> int:
    async def work(api: ManagementApi) -> list[Document]:
        return await preview(api, operation, instance_ids, takes_ended=False, with_children=True)

    return show_preview(form, run_at(place, work), instance_ids)


def _request(
    operation: str, instance_ids: Sequence[str], reason: str, form: Form, place: Place, *, yes: bool = True
) -> int:
    """Send the request to each instance; ids without an instance that takes it are named, and the exit code is 3.

    yes: False asks first.
    """

    async def work(api: ManagementApi) -> list[Document]:
        confirm(operation, instance_ids, api.place, yes=yes)
        return [await _send(api, operation, instance_id, reason) for instance_id in instance_ids]

    answers = run_at(place, work)
    for each in answers:
        if not each["isRequested"]:
            click.echo(safe(each["message"]), err=True)
        elif form == "table":
            click.echo(f"{safe(each['instanceId'])}: {operation} requested", err=True)
    if form != "table":
        print_documents(form, answers, (), lambda _: ())
    return FINE if all(each["isRequested"] for each in answers) else NOTHING_MATCHED


async def _send(api: ManagementApi, operation: str, instance_id: str, reason: str) -> Document:
    """What became of the request, as a document."""
    from ..hosting.http_routes import Endpoint

    query = [("reason", reason)] if reason else []
    answer = await api.call(Endpoint.MANAGE, route={"instanceId": instance_id, "operation": operation}, query=query)
    done: Document = {"instanceId": instance_id, "operation": operation}
    try:
        answer.expect(202)
    except NothingMatchedError as error:
        return done | {"isRequested": False, "message": error.message}
    return done | {"isRequested": True}
