"""``start``: starts an instance, and may wait for its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINDING, FINE
from .formats import Document, Form, format_option, now, print_document
from .place import Place, place_options, run_at
from .show import status_lines
from .text import safe
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi

ONE_WAIT = 30.0  # seconds of one request, which proxies may cut


@click.command()
@click.argument("name", metavar="ORCHESTRATOR")
@click.argument("instance_id", metavar="ID", required=False)
@json_options("input", "The input")
@click.option("--version", "version", metavar="TEXT", help="A version of the orchestrator; else the default or newest.")
@click.option("--wait", type=click.FloatRange(0), metavar="SECONDS", help="Wait for the end, and show the instance.")
@format_option
@place_options
def start(
    name: str,
    instance_id: str | None,
    input: bytes | None,
    version: str | None,
    wait: float | None,
    form: Form,
    place: Place,
) -> int:
    """Start an instance of ORCHESTRATOR and print its id. Over storage, the code in --app checks name and input.

    With --wait: exit code 1 if the instance has not completed.
    """

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        route = {"name": name} if instance_id is None else {"name": name, "instanceId": instance_id}
        query = [("version", version)] if version else []
        answer = await api.call(Endpoint.START, route=route, query=query, body=input)
        started = str(answer.expect(202).json()["id"])
        if wait is None:
            return {"instanceId": started}
        click.echo(safe(started), err=True)
        return await wait_for_end(api, started, wait)

    found = run_at(place, work, needs_code=True)
    if wait is None:
        print_document(form, found, lambda: [safe(found["instanceId"])])
        return FINE
    print_document(form, found, lambda: status_lines(found, now(), utc=False))
    return FINE if found["runtimeStatus"] == "Completed" else FINDING


async def wait_for_end(api: ManagementApi, instance_id: str, seconds: float) -> dict[str, Any]:
    """The status when the instance has ended, or after so many seconds."""
    from ..hosting.http_routes import Endpoint

    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while True:
        left = max(end - loop.time(), 0.0)
        query = [("timeout", f"{min(left, ONE_WAIT):.3f}"), ("showInput", "false")]
        answer = (await api.call(Endpoint.INSTANCE, route={"instanceId": instance_id}, query=query)).expect(200, 202)
        if answer.status == 200 or left <= ONE_WAIT:
            return answer.json()
