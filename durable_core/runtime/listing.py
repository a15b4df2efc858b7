"""Lists instances from the catalogue: two streams per shard, merged newest first, page by page."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TypeAlias, cast

from ..errors import CodecError, DamagedRowError, InvalidInputError, NewerFormatError
from ..hub.catalog import CLOSED, OPEN, Entry, newest_first
from ..hub.taskhub import TaskHub
from ..hub.times import inverted_ms
from ..instance_ids import FORBIDDEN_IN_KEYS, check_tags
from ..models import OrchestrationStatus, RuntimeStatus
from ..moments import in_utc
from ..registry import RESERVED
from .turn.decision import entry_of

_POSITION = re.compile(r"-?[0-9]{1,16}-[0-9A-Za-z_.]{1,64}(?:~[0-9]{1,9})?-.{1,256}")
CHUNK = 200  # catalogue rows fetched at a time from each stream
LOOKED_AT_ONCE = 16  # instances that are read at a time

UNREADABLE = (CodecError, DamagedRowError, NewerFormatError)
"""The errors of an instance whose rows this host cannot read. A list shows its other instances all the same."""

Statuses: TypeAlias = RuntimeStatus | Collection[RuntimeStatus]
"""One status of a filter, or several."""


@dataclass(frozen=True, slots=True)
class InstancePage:
    """A page of ``list_instances``. ``continuation_token`` None: this is the last page."""

    instances: list[OrchestrationStatus]
    continuation_token: str | None


Look: TypeAlias = Callable[[Entry], Awaitable[OrchestrationStatus | None]]
"""Reads the instance of a catalogue entry; None if the entry's execution no longer exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The filters of a list. Instances of built-in orchestrators, such as schedules, match only by their id prefix."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: frozenset[RuntimeStatus] | None = None
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(
        cls,
        created_from: datetime | None,
        created_to: datetime | None,
        statuses: Statuses | None,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Query:
        """The filters of a caller, checked. InvalidInputError names an invalid filter and its possible values."""
        check_tags(tags)
        if prefix is not None and not isinstance(prefix, str):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"instance_id_prefix must be a string, not {prefix!r}")
        return cls(
            created_from=_in_utc("created_time_from", created_from),
            created_to=_in_utc("created_time_to", created_to),
            statuses=statuses_of(statuses),
            prefix=prefix or "",
            tags=dict(tags or {}),
        )

    def of_statuses(self, statuses: frozenset[RuntimeStatus]) -> Query:
        """The same filters with these statuses."""
        return replace(self, statuses=statuses if self.statuses is None else self.statuses & statuses)

    def wants(self, entry: Entry) -> bool:
        """Whether the catalogue entry matches the filters. Its status may be out of date, and is then not compared."""
        return (
            (self.created_from is None or entry.created >= self.created_from)
            and (self.created_to is None or entry.created <= self.created_to)
            and (self.statuses is None or entry.status in self.statuses or _may_have_moved(entry))
            and entry.instance_id.startswith(self.prefix)
            and (self.prefix.startswith(RESERVED) or not entry.name.startswith(RESERVED))
            and (not entry.is_readable or all(entry.tags.get(name) == value for name, value in self.tags.items()))
        )

    def takes(self, status: OrchestrationStatus) -> bool:
        """Whether the current status of an instance matches the filters."""
        return (
            (self.statuses is None or status.runtime_status in self.statuses)
            and (self.prefix.startswith(RESERVED) or not status.name.startswith(RESERVED))
            and all(status.tags.get(name) == value for name, value in self.tags.items())
        )


def statuses_of(given: Statuses | None) -> frozenset[RuntimeStatus] | None:
    """The statuses of a filter: one or several, as members or by name, in upper or lower case.

    None: any status. InvalidInputError for a name of no status: a filter that matches nothing would hide the mistake.
    """
    if given is None:
        return None
    known = {status.value.lower(): status for status in RuntimeStatus}
    is_several = hasattr(given, "__iter__") and not isinstance(given, str)
    several = cast("Sequence[object]", tuple(given) if is_several else (given,))
    if unknown := [each for each in several if str(each).lower() not in known]:
        raise InvalidInputError(f"runtime_status must be one or more of {', '.join(RuntimeStatus)}; not {unknown[0]!r}")
    return frozenset(known[str(each).lower()] for each in several)


def _in_utc(name: str, moment: datetime | None) -> datetime | None:
    """A time without an offset is UTC, as in the HTTP API."""
    if moment is None:
        return None
    if not isinstance(moment, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"{name} must be a datetime, such as datetime(2025, 1, 31, tzinfo=UTC), not {moment!r}")
    return in_utc(moment.replace(tzinfo=UTC) if moment.utcoffset() is None else moment)


def _may_have_moved(entry: Entry) -> bool:
    """Whether the instance row must be read for the current status: an open catalogue row is not updated at every
    change of status, and a refused start may have left one behind."""
    return entry.status is RuntimeStatus.PENDING or not entry.is_readable


class Listing:
    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    async def page(self, query: Query, size: int, token: str | None, look: Look | None = None) -> InstancePage:
        """Up to ``size`` instances after ``token``. An instance that ends while the pages are read may be missing.

        look: reads each instance of the page; None: only those are read whose status is not in the catalogue.
        """
        if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"the page size must be a whole number of at least 1, not {size!r}")
        position = _read_token(token)
        found: list[OrchestrationStatus] = []
        seen: set[str] = set()
        while True:
            batch, complete = await self._next(query, position)
            for at in range(0, len(batch), LOOKED_AT_ONCE):
                some = batch[at : at + LOOKED_AT_ONCE]
                wanted = [entry for entry in some if query.wants(entry) and entry.execution_id not in seen]
                shown = await self._shown(wanted, look)
                for entry in some:
                    position = entry.key[1:]
                    status = shown.get(entry.key)
                    if status is None or not query.takes(status) or entry.execution_id in seen:
                        continue
                    seen.add(entry.execution_id)
                    found.append(status)
                    if len(found) == size:
                        return InstancePage(found, _token(position))
            if complete:
                return InstancePage(found, None)

    async def _shown(self, entries: Sequence[Entry], look: Look | None) -> dict[str, OrchestrationStatus | None]:
        """The statuses of the entries' instances, by the keys of the entries."""
        shown: dict[str, OrchestrationStatus | None] = {}
        to_read: list[Entry] = []
        for entry in entries:
            if look is None and not _may_have_moved(entry):
                shown[entry.key] = status_of(entry)
            else:
                to_read.append(entry)
        if to_read:
            read = await asyncio.gather(*((look or self._look)(entry) for entry in to_read))
            shown.update(zip((entry.key for entry in to_read), read, strict=True))
        return shown

    async def _look(self, entry: Entry) -> OrchestrationStatus | None:
        try:
            instance = await self._hub.instances.get(entry.instance_id) if entry.instance_id else None
        except UNREADABLE as error:
            return status_of(entry, str(error))
        if instance is None or instance.execution_id != entry.execution_id:
            return None
        return status_of(entry_of(instance))

    async def _next(self, query: Query, position: str) -> tuple[list[Entry], bool]:
        """The next entries of all streams, up to the last key that all streams have reached; whether it is the end."""
        start = position
        if not start and query.created_to is not None:
            start = inverted_ms(query.created_to)
        entries: list[Entry] = []
        horizon: str | None = None  # the last key up to which every stream has been read
        for shard in self._hub.catalog.shards:
            for kind in (OPEN, CLOSED):
                chunk = await self._hub.catalog.read(shard, kind, kind + start if start else "", CHUNK)
                entries.extend(chunk)
                if len(chunk) >= CHUNK - 1:
                    last = chunk[-1].key[1:]
                    horizon = last if horizon is None else min(horizon, last)
        ordered = newest_first(_last_runs(entries))
        if horizon is not None:
            ordered = [entry for entry in ordered if entry.key[1:] <= horizon]
        if query.created_from is not None:
            limit = inverted_ms(query.created_from) + "~"
            kept = [entry for entry in ordered if entry.key[1:] <= limit]
            if len(kept) < len(ordered):
                return kept, True
        return ordered, horizon is None


def _last_runs(entries: Sequence[Entry]) -> list[Entry]:
    """Without the rows of earlier runs of an execution: a rewind opens the next row before it forgets the last one."""
    runs = {entry.execution_id: entry.rewinds for entry in entries if entry.rewinds}
    for entry in entries:
        if entry.rewinds > runs.get(entry.execution_id, 0):
            runs[entry.execution_id] = entry.rewinds
    return [entry for entry in entries if entry.rewinds == runs.get(entry.execution_id, entry.rewinds)]


def status_of(entry: Entry, problem: str = "") -> OrchestrationStatus:
    """The status in a catalogue entry. problem: why the instance row cannot be shown."""
    return OrchestrationStatus(
        instance_id=entry.instance_id,
        name=entry.name,
        version=entry.version,
        runtime_status=entry.status,
        created_time=entry.created,
        last_updated_time=entry.updated,
        stuck_reason=entry.stuck or problem or None,
        execution_id=entry.execution_id,
        tags=dict(entry.tags),
        scheduled_start_time=entry.start_at,
    )


def _token(position: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([1, position]).encode()).decode()


def _read_token(token: str | None) -> str:
    if not token:
        return ""
    try:
        version, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        if version != 1 or not _POSITION.fullmatch(position) or FORBIDDEN_IN_KEYS.search(position):
            raise ValueError(version)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInputError(
            "the continuation token was not issued by this task hub; start again without one"
        ) from None
    return position
