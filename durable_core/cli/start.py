"""``start``: starts an instance, and may wait for its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from .exit_codes import FINDING, FINE
from .filters import iso, moment_ahead_option
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
_NUMBER = click.IntRange(1)
_OF_A_START = {
    "debounce": "debounce",
    "period": "debouncePeriod",
    "max_wait": "debounceMaxWait",
    "deduplicate": "deduplicate",
    "window": "deduplicateWindow",
    "start_at": "startAt",
    "run_timeout": "runTimeout",
    "if_exists": "ifExists",
}
_OF_A_LIMIT = {
    "limit": "limit",
    "concurrency": "limitConcurrency",
    "rate": "limitRate",
    "per": "limitPer",
    "limit_key": "limitKey",
    "group": "limitGroup",
    "each": "limitEach",
    "priority": "limitPriority",
}
"""Options that become query parameters."""
_IF_EXISTS = ("error", "return", "restart_if_done")
ONE_WAIT = 30.0  # seconds of one request, which proxies may cut


def start_options(command: F) -> F:
    """The id and the options of a start, given to the verb as what ``start_one`` takes."""

    @wraps(command)
    def with_query(*args: Any, **more: Any) -> Any:
        given = {option: more.pop(option) for option in _OF_A_START}
        for key, seconds in (("debounce", "period"), ("deduplicate", "window")):
            _needs(given, key, seconds)
            _needs(given, seconds, key)
        _needs(given, "max_wait", "debounce")
        if given["if_exists"] is not None and more["instance_id"] is None:
            raise click.UsageError("--if-exists says what to do with an id that is in use: give the id")
        if given["start_at"] is not None:
            given["start_at"] = iso(given["start_at"])
        query = _query(given, _OF_A_START) + [("tags", tag) for tag in more.pop("tags")]
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
            click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="May be given several times."),
            click.option(
                "--start-at",
                callback=moment_ahead_option,
                metavar="TIME",
                help="Not to begin before: ISO 8601, or in 7d.",
            ),
            click.option("--run-timeout", type=_SECONDS, metavar="SECONDS", help="The time limit of the whole run."),
            click.option(
                "--if-exists", type=click.Choice(_IF_EXISTS), help="What to do if the ID is in use; error if left out."
            ),
            click.option(
                "--wait", type=click.FloatRange(0), metavar="SECONDS", help="Wait for the end, and show the instance."
            ),
            format_option,
            place_options,
        )
    ):
        decorated = option(decorated)
    return decorated


def _limit_options(command: F) -> F:
    """The options of a limit, added to the ``query`` of the verb."""

    @wraps(command)
    def with_limit(*args: Any, query: Query, **more: Any) -> Any:
        given = {option: more.pop(option) for option in _OF_A_LIMIT}
        for option in _OF_A_LIMIT:
            _needs(given, option, "limit")
        _needs(given, "per", "rate")
        return command(*args, query=query + _query(given, _OF_A_LIMIT), **more)

    decorated: Any = with_limit
    for option in reversed(
        (
            click.option(
                "--limit",
                metavar="NAME",
                help="Wait for a slot of this limit before the code begins, hold it to the end.",
            ),
            click.option(
                "--concurrency", type=_NUMBER, metavar="N", help="Of --limit: so many slots of a key at once."
            ),
            click.option("--rate", type=_NUMBER, metavar="N", help="Of --limit: so many slots of a key in any --per."),
            click.option("--per", type=_SECONDS, metavar="SECONDS", help="Of --rate; 1 if left out."),
            click.option("--limit-key", metavar="TEXT", help="Of --limit: each key has slots of its own."),
            click.option("--group", metavar="TEXT", help="Of --limit: groups of a key take turns."),
            click.option("--each", type=_NUMBER, metavar="N", help="Of --limit: so many slots of a group at once."),
            click.option("--priority", type=int, metavar="N", help="Of --limit: in a group the highest goes first."),
        )
    ):
        decorated = option(decorated)
    return decorated


def _needs(given: Mapping[str, object], option: str, other: str) -> None:
    if given[option] is not None and given[other] is None:
        raise click.UsageError(f"--{option.replace('_', '-')} needs --{other.replace('_', '-')} beside it")


def _query(given: Mapping[str, object], parameters: Mapping[str, str]) -> Query:
    return [(parameters[option], str(value)) for option, value in given.items() if value is not None]


@click.command()
@click.argument("name", metavar="ORCHESTRATOR")
@click.option("--version", "version", metavar="TEXT", help="A version of the orchestrator; else the default or newest.")
@start_options
@_limit_options
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
