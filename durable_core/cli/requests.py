"""``raise``, ``suspend``, ``resume``, ``cancel``, ``terminate``: requests to instances, by their ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from .confirm import confirm, yes_option
from .exit_codes import FINE, NothingMatchedError
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
@place_options
def raise_(instance_id: str, event: str, data: bytes | None, event_id: str | None, place: Place) -> int:
    """Raise an external event on an instance. Its data is JSON; none is null."""

    async def work(api: ManagementApi) -> None:
        from ..hosting.http_routes import Endpoint

        route = {"instanceId": instance_id, "eventName": event}
        query = [("eventId", event_id)] if event_id else []
        (await api.call(Endpoint.EVENT, route=route, query=query, body=data)).expect(202)

    run_at(place, work)
    click.echo(f"{safe(instance_id)}: event '{safe(event)}' raised", err=True)
    return FINE


@click.command()
@_ids
@_reason
@place_options
def suspend(instance_ids: Sequence[str], reason: str, place: Place) -> int:
    """Suspend instances: events and results are kept until they are resumed."""
    return _request("suspend", instance_ids, reason, place)


@click.command()
@_ids
@_reason
@place_options
def resume(instance_ids: Sequence[str], reason: str, place: Place) -> int:
    """Resume suspended instances."""
    return _request("resume", instance_ids, reason, place)


@click.command()
@_ids
@_reason
@yes_option
@place_options
def cancel(instance_ids: Sequence[str], reason: str, yes: bool, place: Place) -> int:
    """Cancel instances: an error is raised where their code waits, so that it can clean up."""
    return _request("cancel", instance_ids, reason, place, yes=yes)


@click.command()
@_ids
@_reason
@yes_option
@place_options
def terminate(instance_ids: Sequence[str], reason: str, yes: bool, place: Place) -> int:
    """Terminate instances at once, without their code, and their sub-orchestrations with them."""
    return _request("terminate", instance_ids, reason, place, yes=yes)


def _request(operation: str, instance_ids: Sequence[str], reason: str, place: Place, *, yes: bool = True) -> int:
    """Send the request to each instance; ids without an instance that takes it are named, and the exit code is 3.

    yes: False asks first.
    """

    async def work(api: ManagementApi) -> int:
        from ..hosting.http_routes import Endpoint

        confirm(operation, instance_ids, api.place, yes=yes)
        query = [("reason", reason)] if reason else []
        worst = FINE
        for instance_id in instance_ids:
            route = {"instanceId": instance_id, "operation": operation}
            answer = await api.call(Endpoint.MANAGE, route=route, query=query)
            try:
                answer.expect(202)
            except NothingMatchedError as error:
                click.echo(safe(error.message), err=True)
                worst = error.exit_code
            else:
                click.echo(f"{safe(instance_id)}: {operation} requested", err=True)
        return worst

    return run_at(place, work)
