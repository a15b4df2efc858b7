"""``update``: has an orchestrator carry out an update, and prints its result."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINE, NothingMatchedError
from .formats import Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe, to_json
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.argument("instance_id", metavar="ID")
@click.argument("name", metavar="UPDATE")
@json_options("args", "The arguments of the update")
@click.option("--update-id", metavar="TEXT", default="", help="Makes the command safe to repeat; random if left out.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(0, 200), default=60.0, show_default=True, help="To wait."
)
@format_option
@place_options
def update(
    instance_id: str, name: str, args: bytes | None, update_id: str, timeout: float, form: Form, place: Place
) -> int:
    """Have a running instance carry out an update, and print its result as JSON. A host must be running."""

    async def work(api: ManagementApi) -> Any:
        from ..hosting.http_routes import Endpoint

        query = [("timeout", str(timeout)), *([("updateId", update_id)] if update_id else [])]
        route = {"instanceId": instance_id, "updateName": name}
        answer = (await api.call(Endpoint.UPDATE, route=route, query=query, body=args)).expect(200, 202)
        if answer.status == 202:
            raise NothingMatchedError(safe(answer.json()["message"]))
        return answer.json()

    result = run_at(place, work)
    print_document(form, result, lambda: [to_json(result, indent=2)])
    return FINE
