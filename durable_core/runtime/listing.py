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

_POSITION = re.compile(r"-?[0-9]{1,16}-[0-9A-Za-z_.]{1,64}-.{1,256}")
CHUNK = 200  # catalogue rows fetched at a time from each stream
LOOKED_AT_ONCE = 16  # instances that are read at a time

UNREADABLE = (CodecError, DamagedRowError, NewerFormatError)
"""What one instance's rows may be to this host. It concerns that instance alone, and no other in a list."""

Statuses: TypeAlias = RuntimeStatus | Collection[RuntimeStatus]
"""One status of a filter, or several."""


@dataclass(frozen=True, slots=True)
class InstancePage:
    """``continuation_token`` None: there are no more."""

    instances: list[OrchestrationStatus]
    continuation_token: str | None


Look: TypeAlias = Callable[[Entry], Awaitable[OrchestrationStatus | None]]
"""Reads an instance itself, of which the catalogue has this entry; None: the entry's execution is not there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which instances are looked for. Those of the framework itself, such as schedules, are found by their prefix."""

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
        """The filters of a caller, checked. InvalidInputError says which of them cannot be, and what it should be."""
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
        """The same, of these statuses alone."""
        return replace(self, statuses=statuses if self.statuses is None else self.statuses & statuses)

    def wants(self, entry: Entry) -> bool:
        """Whether an entry is looked for, as far as its row in the catalogue tells; of its status that may not."""
        return (
            (self.created_from is None or entry.created >= self.created_from)
            and (self.created_to is None or entry.created <= self.created_to)
            and (self.statuses is None or entry.status in self.statuses or _may_have_moved(entry))
            and entry.instance_id.startswith(self.prefix)
            and (self.prefix.startswith(RESERVED) or not entry.name.startswith(RESERVED))
            and (not entry.is_readable or all(entry.tags.get(name) == value for name, value in self.tags.items()))
        )

    def takes(self, status: OrchestrationStatus) -> bool:
        """The same, of an instance as it is known now."""
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
    """Whether only the instance itself tells how it stands: an open row is written again only when a status lasts,
    and a start that was refused may have left one behind."""
    return entry.status is RuntimeStatus.PENDING or not entry.is_readable


class Listing:
    def __init__(self, hub: TaskHub) -> None:
        self._hub = hub

    async def page(self, query: Query, size: int, token: str | None, look: Look | None = None) -> InstancePage:
        """Up to ``size`` instances behind ``token``. An instance that ends meanwhile may be left out of this walk.

        look: reads each instance that is shown; None: only those are read whose state the catalogue cannot tell.
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
        """The instances of these entries by the entries' keys."""
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
        """The next entries of all streams, as far as all of them have been read; whether that is the end."""
        start = position
        if not start and query.created_to is not None:
            start = inverted_ms(query.created_to)
        entries: list[Entry] = []
        horizon: str | None = None  # behind this key some stream has not been read
        for shard in self._hub.catalog.shards:
            for kind in (OPEN, CLOSED):
                chunk = await self._hub.catalog.read(shard, kind, kind + start if start else "", CHUNK)
                entries.extend(chunk)
                if len(chunk) >= CHUNK - 1:
                    last = chunk[-1].key[1:]
                    horizon = last if horizon is None else min(horizon, last)
        ordered = newest_first(entries)
        if horizon is not None:
            ordered = [entry for entry in ordered if entry.key[1:] <= horizon]
        if query.created_from is not None:
            limit = inverted_ms(query.created_from) + "~"
            kept = [entry for entry in ordered if entry.key[1:] <= limit]
            if len(kept) < len(ordered):
                return kept, True
        return ordered, horizon is None


def status_of(entry: Entry, problem: str = "") -> OrchestrationStatus:
    """An instance as the catalogue shows it. problem: why the instance itself cannot be shown."""
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
