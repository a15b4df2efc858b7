"""The options that choose instances, and the query parameters that they become."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import click

from ..models import RuntimeStatus
from .text import read_moment

if TYPE_CHECKING:
    from .api.port import ManagementApi

F = TypeVar("F", bound=Callable[..., Any])
Filter: TypeAlias = list[tuple[str, str]]
"""Query parameters of ``GET /instances``."""

MAX_PAGE = 1000
_MOMENTS = {
    "created_from": "createdTimeFrom",
    "created_to": "createdTimeTo",
    "ended_from": "endedFrom",
    "ended_to": "endedTo",
}
_TEXTS = {"name": "name", "version": "version", "prefix": "instanceIdPrefix"}
"""Options that become query parameters."""
CONTINUATION = "x-ms-continuation-token"


def moment_option(_: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """Reads the value of an option that is a time; a length of time is how long ago."""
    return _moment_of(text, is_ahead=False)


def moment_ahead_option(_: click.Context, option: click.Parameter, text: str | None) -> datetime | None:
    """Reads the value of an option that is a time to come; a length of time is in how long."""
    return _moment_of(text, is_ahead=True)


def _moment_of(text: str | None, *, is_ahead: bool) -> datetime | None:
    if text is None:
        return None
    try:
        return read_moment(text, datetime.now(UTC), is_ahead=is_ahead).astimezone(UTC)
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{text!r} is not a time in ISO 8601 such as 2025-01-31T12:00:00Z, nor a length of time such as 90m or 7d"
        ) from None


def status_option(statuses: Sequence[RuntimeStatus]) -> Callable[[F], F]:
    return click.option(
        "--status",
        "statuses",
        multiple=True,
        type=click.Choice([status.value for status in statuses], case_sensitive=False),
        help="May be given several times.",
    )


_MORE = (
    click.option("--name", metavar="ORCHESTRATOR", help="Those of this orchestrator."),
    click.option("--version", metavar="TEXT", help="Those of this version of their orchestrator."),
    click.option("--prefix", metavar="TEXT", help="Those whose id begins so."),
    click.option("--tag", "tags", multiple=True, metavar="NAME=VALUE", help="May be given several times."),
    click.option("--stuck", is_flag=True, help="Those whose code cannot go on."),
    click.option("--retrying", is_flag=True, help="Those with a call that is tried again for long."),
    click.option("--jobs", is_flag=True, help="Those that are jobs: activities that run by themselves."),
    click.option("--ended-from", callback=moment_option, metavar="TIME", help="Ended at this time or later."),
    click.option("--ended-to", callback=moment_option, metavar="TIME", help="Ended at this time or before."),
)
_TIMES = (
    click.option(
        "--created-from", callback=moment_option, metavar="TIME", help="Created at this time or later: ISO 8601, or 7d."
    ),
    click.option("--created-to", callback=moment_option, metavar="TIME", help="Created at this time or before."),
)


def filter_options(
    statuses: Sequence[RuntimeStatus] = tuple(RuntimeStatus), *, of_a_purge: bool = False
) -> Callable[[F], F]:
    """The options of a filter, given to the verb as one ``chosen``.

    of_a_purge: only those that ``DELETE /instances`` takes.
    """

    def decorate(command: F) -> F:
        @wraps(command)
        def with_filter(*args: Any, **more: Any) -> Any:
            chosen: Filter = [("runtimeStatus", status) for status in more.pop("statuses")]
            for option, parameter in _MOMENTS.items():
                moment: datetime | None = more.pop(option, None)
                if moment is not None:
                    chosen.append((parameter, iso(moment)))
            for option, parameter in _TEXTS.items():
                text: str | None = more.pop(option, None)
                if text == "" and option != "version":  # which is empty for an orchestrator without one
                    raise click.BadParameter(f"an empty --{option} fits every instance; leave it out for that")
                if text is not None:
                    chosen.append((parameter, text))
            chosen.extend(("tags", tag) for tag in more.pop("tags", ()))
            chosen.extend((flag, "true") for flag in ("stuck", "retrying", "jobs") if more.pop(flag, False))
            return command(*args, chosen=chosen, **more)

        for option in reversed(_TIMES):
            option(with_filter)
        if not of_a_purge:
            for option in reversed(_MORE):
                option(with_filter)
        status_option(statuses)(with_filter)
        return with_filter  # pyright: ignore[reportReturnType]  click calls it by keyword

    return decorate


def iso(moment: datetime) -> str:
    """The time as a query parameter."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


async def pages(
    api: ManagementApi, chosen: Filter, *, size: int, show_input: bool = False
) -> AsyncGenerator[tuple[list[dict[str, Any]], bool]]:
    """The pages of a list, newest first, each with whether another one follows."""
    from ..hosting.http_routes import Endpoint

    token = ""
    query = [*chosen, ("showInput", str(show_input).lower()), ("top", str(min(size, MAX_PAGE)))]
    while True:
        headers = {CONTINUATION: token} if token else {}
        answer = (await api.call(Endpoint.INSTANCES, query=query, headers=headers)).expect(200)
        token = answer.headers.get(CONTINUATION, "")
        yield answer.json(), bool(token)
        if not token:
            return


async def some_of(api: ManagementApi, chosen: Filter, limit: int | None) -> tuple[list[dict[str, Any]], bool]:
    """Up to ``limit`` instances that match, newest first, and whether there are more."""
    found: list[dict[str, Any]] = []
    async for page, more in pages(api, chosen, size=MAX_PAGE if limit is None else limit):
        found.extend(page)
        if limit is not None and len(found) >= limit:
            return found[:limit], more or len(found) > limit
    return found, False
