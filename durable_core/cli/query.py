"""``query``: asks a query handler of an orchestrator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .exit_codes import FINE
from .formats import Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import to_json
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.argument("instance_id", metavar="ID")
@click.argument("name", metavar="QUERY")
@json_options("args", "The arguments of the query")
@format_option
@place_options
def query(instance_id: str, name: str, args: bytes | None, form: Form, place: Place) -> int:
    """Ask a query handler of an instance and print its answer as JSON. Over storage, the code in --app answers."""

    async def work(api: ManagementApi) -> Any:
        from ..hosting.http_routes import Endpoint

        asked = [] if args is None else [("args", args.decode())]
        route = {"instanceId": instance_id, "queryName": name}
        return (await api.call(Endpoint.QUERY, route=route, query=asked)).expect(200).json()

    answer = run_at(place, work, needs_code=True)
    print_document(form, answer, lambda: [to_json(answer, indent=2)])
    return FINE
