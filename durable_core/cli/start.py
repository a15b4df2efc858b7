"""``start``: starts an instance, and may wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from .exit_codes import FINDING, FINE
from .formats import Document, Form, format_option, now, print_document
from .place import Place, place_options, run_at
from .show import status_lines
from .text import safe
from .values import json_options

if TYPE_CHECKING:
    from .api.port import ManagementApi

F = TypeVar("F", bound=Callable[..., Any])
Query: TypeAlias = list[tuple[str, str]]

_SECONDS = click.FloatRange(0, min_open=True)
_OF_KEYS = {
    "debounce": "debounce",
    "period": "debouncePeriod",
    "max_wait": "debounceMaxWait",
    "deduplicate": "deduplicate",
    "window": "deduplicateWindow",
}
"""Options that become query parameters."""
ONE_WAIT = 30.0  # seconds of one request, which proxies may cut


def start_options(command: F) -> F:
    """The id and the options of a start, given to the verb as what ``start_one`` takes."""

    @wraps(command)
    def with_query(*args: Any, **more: Any) -> Any:
        given = {parameter: more.pop(option) for option, parameter in _OF_KEYS.items()}
        for key, seconds in (("debounce", "period"), ("deduplicate", "window")):
            for missing, present in ((seconds, key), (key, seconds)):
                if given[_OF_KEYS[present]] is not None and given[_OF_KEYS[missing]] is None:
                    raise click.UsageError(f"--{present} needs --{missing} beside it")
        if given["debounceMaxWait"] is not None and given["debounce"] is None:
            raise click.UsageError("--max-wait needs --debounce beside it")
        query = [(parameter, str(value)) for parameter, value in given.items() if value is not None]
        return command(*args, query=query, **more)

    decorated: Any = with_query
    for option in reversed(
        (
            click.argument("instance_id", metavar="ID", required=False),
            json_options("input", "The input"),
            click.option("--debounce", metavar="KEY", help="Begin after --period without another start with this key."),
            click.option("--period", type=_SECONDS, metavar="SECONDS", help="Of --debounce."),
            click.option("--max-wait", type=_SECONDS, metavar="SECONDS", help="Of --debounce: at most so long."),
            click.option(
                "--deduplicate", metavar="KEY", help="Start unless a start with this key was made within --window."
            ),
            click.option("--window", type=_SECONDS, metavar="SECONDS", help="Of --deduplicate."),
            click.option(
                "--wait", type=click.FloatRange(0), metavar="SECONDS", help="Wait for the end, and show the instance."
            ),
            format_option,
            place_options,
        )
    ):
        decorated = option(decorated)
    return decorated


@click.command()
@click.argument("name", metavar="ORCHESTRATOR")
@click.option("--version", "version", metavar="TEXT", help="A version of the orchestrator; else the default or newest.")
@start_options
def start(name: str, version: str | None, query: Query, **more: Any) -> int:
    """Start an instance of ORCHESTRATOR and print its id. Over storage, the code in --app checks name and input.

    With --wait: exit code 1 if the instance has not completed.
    """
    return start_one("START", name, query=[*query, *([("version", version)] if version else [])], **more)


def start_one(
    endpoint: str,
    name: str,
    *,
    instance_id: str | None,
    input: bytes | None,
    query: Query,
    wait: float | None,
    form: Form,
    place: Place,
) -> int:
    """Start it by this endpoint, print its id, and wait for its end if that is asked."""

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        route = {"name": name} if instance_id is None else {"name": name, "instanceId": instance_id}
        answer = await api.call(Endpoint[endpoint], route=route, query=query, body=input)
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
