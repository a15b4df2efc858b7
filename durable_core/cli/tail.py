"""``tail``: follows one instance until its end, or what happens in a hub."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..models import RuntimeStatus
from .calls import under_way
from .exit_codes import FINDING, FINE, NOTHING_MATCHED, NothingMatchedError
from .filters import Filter, iso, some_of
from .formats import Document, now
from .list_instances import note_of
from .place import Place, place_options, run_at
from .show import details_of, status_of, timeline_of, with_history
from .table import coloured
from .text import moment_of, safe, to_json

if TYPE_CHECKING:
    from .api.port import ManagementApi

T = TypeVar("T")

SHORTEST_PAUSE = 0.5  # seconds between two looks
LONGEST_PAUSE = 30.0
SHARE = 5  # a look takes at most one part in so many of the time
FOLLOWED = 1000  # open instances of a hub
AT_ONCE = 8
QUIET = 5.0  # seconds without an event after which the calls are told that run or are tried again
OVERLAP = timedelta(seconds=60)
"""Of two looks at what was created lately: the clocks of hosts differ."""
_ENDED = {status.value for status in RuntimeStatus if status.is_terminal}
_OPEN: Filter = [("runtimeStatus", status.value) for status in RuntimeStatus if not status.is_terminal]
_NO_NEWS = ("OrchestratorStarted",)


@click.command()
@click.argument("instance_id", metavar="ID", required=False)
@click.option("--all", "every", is_flag=True, help="Follow all instances of the hub: what starts, changes and ends.")
@click.option("--output", "with_output", is_flag=True, help="With the results of calls and the data of events.")
@click.option("--format", "form", type=click.Choice(["table", "jsonl"]), default="table", show_default=True)
@place_options
def tail(instance_id: str | None, every: bool, with_output: bool, form: str, place: Place) -> int:
    """Follow an instance live: its history so far, then each new event, until it has ended. Times are UTC.

    While no event comes, it shows which calls run, and which are tried again.

    Exit code 0: it completed; 1: it ended otherwise; 3: there is none of this ID. --all goes on until Ctrl-C.
    """
    if every == (instance_id is not None):
        raise click.UsageError("name one instance, or follow the hub with --all")

    async def work(api: ManagementApi) -> int:
        if instance_id is None:
            await _follow_hub(api, _Writer(form))
            return FINE
        return await _follow_one(api, instance_id, _Writer(form), with_output=with_output)

    return run_at(place, work)


class _Writer:
    """Writes lines at once: a reader in a pipe follows, too."""

    def __init__(self, form: str) -> None:
        self._is_table = form == "table"

    def event(self, event: Document) -> None:
        if not self._is_table:
            click.echo(to_json(event))
        elif event["EventType"] not in _NO_NEWS:
            task = "" if event.get("TaskId") is None else f"#{event['TaskId']}"
            parts = [_time(event.get("Timestamp")), event["EventType"], task, event.get("Name", ""), details_of(event)]
            click.echo("  ".join(safe(str(part)) for part in parts if part))

    def status(self, status: Document, *, with_id: bool) -> None:
        if not self._is_table:
            click.echo(to_json(status))
            return
        shown = str(status["runtimeStatus"])
        parts = [_time(status["lastUpdatedTime"])]
        parts += [safe(str(status["instanceId"])), safe(str(status["name"]))] if with_id else []
        click.echo("  ".join(part for part in (*parts, coloured(shown, safe(shown)), safe(_news_of(status))) if part))

    def under_way(self, call: Sequence[str]) -> None:
        if self._is_table:
            click.echo("  ".join(safe(part) for part in (_time(now().isoformat()), *call) if part))

    def remark(self, text: str) -> None:
        click.echo(safe(text), err=True)


async def _follow_one(api: ManagementApi, instance_id: str, out: _Writer, *, with_output: bool) -> int:
    seen: list[Document] = []
    shown: tuple[object, ...] = ()
    calls = _Calls(api, instance_id, out)
    async for status in _looks(lambda: with_history(api, instance_id, with_output=with_output), out):
        if status is None:
            if not shown:
                raise NothingMatchedError(f"there is no instance '{instance_id}'")
            out.remark(f"'{instance_id}' was purged")
            return NOTHING_MATCHED
        events: list[Document] = status.pop("historyEvents")
        if seen and events[: len(seen)] != seen:  # continued as new, rewound, or started again
            out.remark(f"'{instance_id}' has begun another history")
            seen = []
        for event in events[len(seen) :]:
            out.event(event)
        await calls.tell(is_quiet=len(events) == len(seen))
        seen = events
        state = _state_of(status)
        if state != shown:
            out.status(status, with_id=False)
            shown = state
        if _has_ended(status):
            return FINE if status["runtimeStatus"] == RuntimeStatus.COMPLETED.value else FINDING
    return FINE


class _Calls:
    """Tells the calls that run or are tried again, each when that has changed, at most once in ``QUIET`` seconds."""

    def __init__(self, api: ManagementApi, instance_id: str, out: _Writer) -> None:
        self._api, self._instance_id, self._out = api, instance_id, out
        self._told: dict[int, tuple[str, ...]] = {}
        self._since = asyncio.get_running_loop().time()

    async def tell(self, *, is_quiet: bool) -> None:
        at = asyncio.get_running_loop().time()
        if is_quiet and at - self._since < QUIET:
            return
        self._since = at
        timeline = await timeline_of(self._api, self._instance_id) if is_quiet else None
        if timeline is None:
            return
        open_calls = under_way(timeline, now())
        for task_id, call in open_calls.items():
            if self._told.get(task_id) != call:
                self._out.under_way(call)
        self._told = open_calls


async def _follow_hub(api: ManagementApi, out: _Writer) -> None:
    known: dict[str, Document] | None = None
    last_look = now()

    async def look() -> tuple[dict[str, Document], bool]:
        nonlocal last_look
        began, since = now(), last_look - OVERLAP
        still_open, more = await some_of(api, _OPEN, FOLLOWED)
        recent, _ = await some_of(api, [("createdTimeFrom", iso(since))], FOLLOWED)  # may have ended between two looks
        last_look = began
        return {status["instanceId"]: status for status in (*still_open, *recent)}, more

    async for found in _looks(look, out):
        assert found is not None
        listed, more = found
        if known is None:
            those = f"the newest {FOLLOWED:,} open instances" if more else f"{len(listed):,} instances"
            out.remark(f"following {api.place}, {those}; Ctrl-C ends")
            known = listed
            continue
        current = listed | await _statuses(api, [each for each in known if each not in listed])
        for each, status in sorted(current.items(), key=lambda item: str(item[1]["lastUpdatedTime"])):
            if each not in known or _state_of(status) != _state_of(known[each]):
                out.status(status, with_id=True)
        known = {each: status for each, status in current.items() if each in listed or not _has_ended(status)}


async def _statuses(api: ManagementApi, instance_ids: Sequence[str]) -> dict[str, Document]:
    """The instances that are no longer listed as open, as they are now; without those that were purged."""
    found: list[Document | None] = []
    for at in range(0, len(instance_ids), AT_ONCE):
        some = instance_ids[at : at + AT_ONCE]
        found.extend(await asyncio.gather(*(_status_or_none(api, each) for each in some)))
    return {status["instanceId"]: status for status in found if status is not None}


def _has_ended(status: Document) -> bool:
    return status["runtimeStatus"] in _ENDED


async def _status_or_none(api: ManagementApi, instance_id: str) -> Document | None:
    try:
        return await status_of(api, instance_id)
    except NothingMatchedError:
        return None


async def _looks(look: Callable[[], Awaitable[T]], out: _Writer) -> AsyncGenerator[T | None]:
    """What ``look`` returns, again and again; None where it found no instance. A hub that does not answer for a while
    is waited for, but for the first time. The pause grows with the time of a look, so that a long history costs no
    more."""
    from .api.port import UnreachableError

    loop = asyncio.get_running_loop()
    has_answered, is_lost = False, False
    while True:
        began = loop.time()
        try:
            found: T | None = await look()
        except NothingMatchedError:
            found = None
        except UnreachableError as error:
            if not has_answered:
                raise
            if not is_lost:
                out.remark(f"{error.message}; waiting")
            is_lost = True
            await asyncio.sleep(2 * SHORTEST_PAUSE)
            continue
        has_answered, is_lost = True, False
        took = loop.time() - began
        yield found
        await asyncio.sleep(min(max(SHORTEST_PAUSE, SHARE * took), LONGEST_PAUSE))


def _state_of(status: Document) -> tuple[object, ...]:
    """What a line is printed for when it changes."""
    return status["createdTime"], status["runtimeStatus"], _news_of(status)


def _news_of(status: Document) -> str:
    """What is said beside a status: why it cannot go on or failed, else the output of what has ended."""
    output: Any = status.get("output")
    if not _has_ended(status) or status.get("failure") or output is None:
        return note_of(status)
    return output if isinstance(output, str) else to_json(output)


def _time(text: object) -> str:
    moment: datetime | None = moment_of(text)
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
