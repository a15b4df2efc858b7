"""``restart``: starts the orchestrator of an instance again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from .exit_codes import FINE
from .formats import Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--id", "new_id", metavar="NEW-ID", help="Id of the new instance; else a random one.")
@click.option("--same-id", is_flag=True, help="Replace the instance, which must have ended.")
@json_options("input", "Another input")
@click.option("--version", metavar="VERSION", help="Version of the orchestrator; else the default or newest one.")
@format_option
@place_options
def restart(
    instance_id: str,
    new_id: str | None,
    same_id: bool,
    input: bytes | None,
    version: str | None,
    form: Form,
    place: Place,
) -> int:
    """Start the orchestrator of the instance ID again, with the same input, and print the id of the new instance.

    The new instance is shown with the instance of which it is a restart. A host of the app must run to carry it out.
    """
    if same_id and new_id is not None:
        raise click.UsageError("choose one of --id and --same-id")
    wanted = {"instanceId": new_id, "version": version}
    body = {name: value for name, value in wanted.items() if value is not None}
    if input is not None:
        body["input"] = json.loads(input)

    async def work(api: ManagementApi) -> str:
        from ..hosting.http_routes import Endpoint

        query = [("restartWithNewInstanceId", "false")] if same_id else []
        answer = await api.call(
            Endpoint.RESTART, route={"instanceId": instance_id}, query=query, body=json.dumps(body).encode()
        )
        return answer.expect(202).json()["id"]

    started = run_at(place, work)
    print_document(form, {"instanceId": started}, lambda: [safe(started)])
    return FINE
