"""``restart``: starts the orchestrator of an instance again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ..models import RuntimeStatus
from .confirm import confirm, yes_option
from .dry_run import dry_run_option
from .exit_codes import FINE, NOTHING_MATCHED
from .formats import Document, Form, format_option, print_document
from .place import Place, place_options, run_at
from .show import status_of
from .text import safe, to_json
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--id", "new_id", metavar="NEW-ID", help="Id of the new instance; else a random one.")
@click.option("--same-id", is_flag=True, help="Replace the instance, which must have ended.")
@json_options("input", "Another input")
@click.option("--version", metavar="VERSION", help="Version of the orchestrator; else the default or newest one.")
@dry_run_option
@yes_option
@format_option
@place_options
def restart(
    instance_id: str,
    new_id: str | None,
    same_id: bool,
    input: bytes | None,
    version: str | None,
    dry_run: bool,
    yes: bool,
    form: Form,
    place: Place,
) -> int:
    """Start the orchestrator of the instance ID again, with the same input, and print the id of the new instance.

    The new instance is shown with the instance of which it is a restart. A host of the app must run to carry it out.
    With --same-id the history of the instance is deleted, so that it is asked for first.
    """
    if same_id and new_id is not None:
        raise click.UsageError("choose one of --id and --same-id")
    wanted = {"instanceId": new_id, "version": version}
    body = {name: value for name, value in wanted.items() if value is not None}
    if input is not None:
        body["input"] = json.loads(input)

    if dry_run:
        return _show_dry_run(instance_id, same_id, body, form, place)

    async def work(api: ManagementApi) -> str:
        from ..hosting.http_routes import Endpoint

        if same_id:
            confirm("delete the history, and start again", [instance_id], api.place, yes=yes)
        query = [("restartWithNewInstanceId", "false")] if same_id else []
        answer = await api.call(
            Endpoint.RESTART, route={"instanceId": instance_id}, query=query, body=json.dumps(body).encode()
        )
        return answer.expect(202).json()["id"]

    started = run_at(place, work)
    print_document(form, {"instanceId": started}, lambda: [safe(started)])
    return FINE


def _show_dry_run(instance_id: str, same_id: bool, body: Document, form: Form, place: Place) -> int:
    """Print what would be started, and what deleted. Exit code 3: the instance does not take the restart."""

    async def work(api: ManagementApi) -> Document:
        return await status_of(api, instance_id, show_input=True)

    found = run_at(place, work)
    has_ended = RuntimeStatus(found["runtimeStatus"]).is_terminal
    would: Document = {
        "instanceId": instance_id if same_id else body.get("instanceId"),
        "name": found["name"],
        "input": body.get("input", found["input"]),
        "deletes": instance_id if same_id else None,
        "isPossible": has_ended or not same_id,
    }
    print_document(form, would, lambda: [safe(line) for line in _lines(would, found)])
    return FINE if would["isPossible"] else NOTHING_MATCHED


def _lines(would: Document, found: Document) -> Iterator[str]:
    if not would["isPossible"]:
        yield f"nothing: '{found['instanceId']}' is {found['runtimeStatus']}, and only what has ended is replaced"
        return
    yield f"would start: '{would['name']}' as {would['instanceId'] or 'a random id'}"
    yield f"input: {to_json(would['input'])}"
    if would["deletes"]:
        yield f"would delete: the history of '{would['deletes']}', which is {found['runtimeStatus']}"
