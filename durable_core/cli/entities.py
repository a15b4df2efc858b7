"""``entities``: lists the entities of a hub, shows one, sends an operation to one, deletes one."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from .confirm import ask, yes_option
from .dry_run import dry_run_option
from .exit_codes import FINE, NOTHING_MATCHED
from .filters import CONTINUATION
from .formats import Document, Form, format_option, now, print_document, print_documents, print_done, utc_option
from .place import Place, place_options, run_at
from .table import Column
from .text import safe, when
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi

COLUMNS = (
    Column("NAME"),
    Column("KEY", weight=0),
    Column("CHANGED"),
    Column("LOCKED BY", weight=3),
    Column("STATE", weight=2),
    Column("STUCK", weight=4),
)

_name = click.argument("name", metavar="NAME")
_key = click.argument("entity_key", metavar="KEY")


@click.group(invoke_without_command=True)
@click.pass_context
def entities(ctx: click.Context) -> int:
    """List entities, show one, send an operation to one, or delete one."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
    return FINE


@entities.command("list")
@click.argument("name", metavar="[NAME]", default="")
@click.option("--state/--no-state", default=True, show_default=True, help="Read the states, too.")
@click.option("--top", type=click.IntRange(1, 1000), default=100, show_default=True, help="At most so many.")
@format_option
@utc_option
@place_options
def list_(name: str, state: bool, top: int, form: Form, utc: bool, place: Place) -> int:
    """List entities by name and key; those of one NAME. Exit code 3: none."""

    async def work(api: ManagementApi) -> tuple[list[Document], bool]:
        from ..hosting.http_routes import Endpoint

        query = [("top", str(top)), ("fetchState", str(state).lower())]
        route = {"entityName": name} if name else {}
        answer = (await api.call(Endpoint.ENTITIES, route=route, query=query)).expect(200)
        return answer.json(), bool(answer.headers.get(CONTINUATION))

    found, more = run_at(place, work)
    at = now()
    print_documents(form, found, COLUMNS, lambda entity: _cells(entity, at, utc=utc))
    if more:
        click.echo(f"the first {len(found):,} are shown; --top shows more", err=True)
    return FINE if found else NOTHING_MATCHED


@entities.command()
@_name
@_key
@format_option
@utc_option
@place_options
def show(name: str, entity_key: str, form: Form, utc: bool, place: Place) -> int:
    """Show the state of an entity, who has locked it, and what waits in its mailbox. Exit code 3: there is none."""
    return _show(name, entity_key, form, place, utc=utc)


def _show(name: str, entity_key: str, form: Form, place: Place, *, utc: bool) -> int:
    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        route = {"entityName": name, "entityKey": entity_key}
        answer = await api.call(Endpoint.ENTITY, route=route, query=[("showDetails", "true")])
        return answer.expect(200).json()

    found = run_at(place, work)
    print_document(form, found, lambda: _lines(found, now(), utc=utc))
    return FINE


@entities.command()
@_name
@_key
@click.argument("operation")
@json_options("input", "The input of the operation")
@click.option("--id", "signal_id", metavar="TEXT", default="", help="Makes the call safe to repeat: it runs once.")
@format_option
@place_options
def signal(
    name: str, entity_key: str, operation: str, input: bytes | None, signal_id: str, form: Form, place: Place
) -> int:
    """Send an OPERATION to an entity. It is durable when this returns."""

    async def work(api: ManagementApi) -> None:
        from ..hosting.http_routes import Endpoint

        headers = {"idempotency-key": signal_id} if signal_id else {}
        route, query = {"entityName": name, "entityKey": entity_key}, [("op", operation)]
        (await api.call(Endpoint.SIGNAL_ENTITY, route=route, query=query, body=input, headers=headers)).expect(202)

    run_at(place, work)
    _say(form, name, entity_key, operation, "sent")
    return FINE


@entities.command()
@_name
@_key
@dry_run_option
@yes_option
@format_option
@utc_option
@place_options
def delete(name: str, entity_key: str, dry_run: bool, yes: bool, form: Form, utc: bool, place: Place) -> int:
    """Delete the state of an entity, after the operations that were sent to it before."""
    if dry_run:
        return _show(name, entity_key, form, place, utc=utc)

    async def work(api: ManagementApi) -> None:
        from ..hosting.http_routes import Endpoint

        if not yes:
            ask(f"delete: the state of entity '{name}' '{entity_key}' of {api.place}", [])
        route = {"entityName": name, "entityKey": entity_key}
        (await api.call(Endpoint.DELETE_ENTITY, route=route)).expect(202)

    run_at(place, work)
    _say(form, name, entity_key, "delete", "requested")
    return FINE


def _say(form: Form, name: str, entity_key: str, operation: str, done: str) -> None:
    document = {"entityId": {"name": name, "key": entity_key}, "operation": operation}
    print_done(form, document, f"{name} {entity_key}: {operation} {done}")


def _cells(entity: Document, at: datetime, *, utc: bool) -> list[object]:
    lock: Document | None = entity.get("lockedBy")
    return [
        entity["entityId"]["name"],
        entity["entityId"]["key"],
        when(entity.get("lastOperationTime"), at, utc=utc),
        lock["instanceId"] if lock else None,
        json.dumps(entity.get("state")) if entity.get("exists") else None,
        entity.get("stuckReason"),
    ]


def _lines(entity: Document, at: datetime, *, utc: bool) -> list[str]:
    lines: list[str] = []
    if "entityId" in entity:
        found = entity["entityId"]
        lines.append(f"{safe(str(found['name']))} {safe(str(found['key']))}")
        lines.append(f"state      {safe(json.dumps(entity.get('state'))) if entity.get('exists') else 'none'}")
        lines.append(f"changed    {when(entity.get('lastOperationTime'), at, utc=utc)}")
    if lock := entity.get("lockedBy"):
        lines.append(f"locked by  {safe(str(lock['instanceId']))} since {when(lock.get('since'), at, utc=utc)}")
    if stuck := entity.get("stuckReason"):
        lines.append(f"stuck      {safe(str(stuck))}")
    lines.append(f"mailbox    {entity.get('queueLength', 0):,} parcels")
    for parcel in entity.get("waiting", ()):
        why = f": {safe(str(parcel['why']))}" if parcel.get("why") else ""
        lines.append(f"  from {safe(str(parcel['sender']))} {when(parcel.get('since'), at, utc=utc)}{why}")
    lines.extend(f"scheduled  {when(due, at, utc=utc)}" for due in entity.get("scheduled", ()))
    return lines
