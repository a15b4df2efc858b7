"""Lists instances from the catalogue, page by page: two streams per shard, merged newest first; or one stream per
shard, merged by the latest end."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime
from typing import Literal, TypeAlias, TypedDict, Unpack, cast, get_args

from ..definitions import is_internal
from ..errors import CodecError, DamagedRowError, InvalidInputError, NewerFormatError
from ..hub.catalog import BY_END, CLOSED, ENDED, OPEN, Entry, newest_first
from ..hub.taskhub import TaskHub
from ..hub.times import inverted_ms
from ..instance_ids import FORBIDDEN_IN_KEYS, check_tags
from ..jobs import is_job
from ..lazy_dataclass import dataclass
from ..marks import RESERVED
from ..models import FailureDetails, OrchestrationStatus, RuntimeStatus
from ..moments import in_utc
from .turn.decision import entry_of

_POSITION = re.compile(r"-?[0-9]{1,16}-[0-9A-Za-z_.]{1,64}(?:~[0-9]{1,9})?-.{1,256}")
CHUNK = 200  # catalogue rows fetched at a time from each stream
LOOKED_AT_ONCE = 16  # instances that are read at a time
MOST_LOOKS = 2_000  # instances read for one page; then the page ends, however few match
MOST_ROWS = 50_000  # of the catalogue, as well

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


Order: TypeAlias = Literal["created", "ended"]
"""The order of a list: the newest creation first, or the latest end first."""


class MoreFilters(TypedDict, total=False):
    """The filters of a list that have no place in the signatures of Durable Functions.

    name: of the orchestrator. version: of the orchestrator; '' for one without a version.
    stuck: only instances that are stuck, or only those that are not.
    retrying: only instances with a call that is tried again for long (at its fourth attempt, or half a minute after the
        call), or only those without.
    jobs: only jobs (``client.enqueue``), or only instances that are none.
    ended_time_from, ended_time_to: the range of the times of the end, both ends included; only ended instances match.
    order: ``created``, the newest first; or ``ended``, the latest end first, which is possible for Failed, Terminated
        and Canceled instances, and takes these statuses if ``runtime_status`` is None. Instances that ended before the
        task hub was first opened by a version that knows this order are missing in it.
    """

    name: str | None
    version: str | None
    stuck: bool | None
    retrying: bool | None
    jobs: bool | None
    ended_time_from: datetime | None
    ended_time_to: datetime | None
    order: Order | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The filters of a list. Instances of built-in orchestrators, such as schedules, match only by their id prefix or
    their name; but batches of maps match as other sub-orchestrations do."""

    created_from: datetime | None = None
    created_to: datetime | None = None
    statuses: frozenset[RuntimeStatus] | None = None
    prefix: str = ""
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    name: str | None = None
    version: str | None = None
    stuck: bool | None = None
    retrying: bool | None = None
    jobs: bool | None = None
    ended_from: datetime | None = None
    ended_to: datetime | None = None
    order: Order | None = None

    @classmethod
    def of(
        cls,
        created_from: datetime | None,
        created_to: datetime | None,
        statuses: Statuses | None,
        prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        **more: Unpack[MoreFilters],
    ) -> Query:
        """The filters of a caller, checked. InvalidInputError names an invalid filter and its possible values."""
        check_tags(tags)
        given: Mapping[str, object] = more
        for what, text in (("instance_id_prefix", prefix), *((what, given.get(what)) for what in ("name", "version"))):
            if text is not None and not isinstance(text, str):
                raise InvalidInputError(f"{what} must be a string, not {text!r}")
        for what, asked in ((what, given.get(what)) for what in ("stuck", "retrying", "jobs")):
            if asked is not None and not isinstance(asked, bool):
                raise InvalidInputError(f"{what} must be True, False or None, not {asked!r}")
        if unknown := sorted(given.keys() - MoreFilters.__annotations__.keys()):
            raise InvalidInputError(f"'{unknown[0]}' is not a filter: {', '.join(MoreFilters.__annotations__)} are")
        wanted, order = statuses_of(statuses), more.get("order")
        if order is not None and order not in get_args(Order):
            raise InvalidInputError(f"order must be one of {', '.join(get_args(Order))}, not {order!r}")
        if order == "ended":
            wanted = BY_END if wanted is None else wanted
            if not wanted <= BY_END:
                raise InvalidInputError(
                    f"order 'ended' is possible for the statuses {', '.join(sorted(BY_END))} only: "
                    "give these as runtime_status, or leave order out"
                )
        return cls(
            created_from=_in_utc("created_time_from", created_from),
            created_to=_in_utc("created_time_to", created_to),
            statuses=wanted,
            prefix=prefix or "",
            tags=dict(tags or {}),
            name=more.get("name"),
            version=more.get("version"),
            stuck=more.get("stuck"),
            retrying=more.get("retrying"),
            jobs=more.get("jobs"),
            ended_from=_in_utc("ended_time_from", more.get("ended_time_from")),
            ended_to=_in_utc("ended_time_to", more.get("ended_time_to")),
            order=order,
        )

    @property
    def is_of_ends(self) -> bool:
        """Whether only instances match that have ended."""
        return self.ended_from is not None or self.ended_to is not None or self.order == "ended"

    def of_statuses(self, statuses: frozenset[RuntimeStatus]) -> Query:
        """The same filters with these statuses."""
        return replace(self, statuses=statuses if self.statuses is None else self.statuses & statuses)

    def wants(self, entry: Entry) -> bool:
        """Whether the catalogue entry matches the filters. Its status may be out of date, and is then not compared."""
        moved = _may_have_moved(entry)
        return (
            (self.created_from is None or entry.created >= self.created_from)
            and (self.created_to is None or entry.created <= self.created_to)
            and entry.instance_id.startswith(self.prefix)
            and (not entry.is_readable or self._has(entry.name, entry.tags))
            and (moved or self.statuses is None or entry.status in self.statuses)
            and (moved or self.version is None or entry.version == self.version)
            and (moved or self.stuck is None or bool(entry.stuck) is self.stuck)
            and (moved or entry.is_retrying or not self.retrying)
            and (moved or self._ended(entry.updated if entry.status.is_terminal else None))
        )

    def must_read(self, entry: Entry) -> bool:
        """Whether the instance row must be read to know whether the instance matches, and what its status is."""
        return _may_have_moved(entry) or (self.retrying is not None and entry.is_retrying)

    def takes(self, status: OrchestrationStatus) -> bool:
        """Whether the current status of an instance matches the filters."""
        return (
            (self.statuses is None or status.runtime_status in self.statuses)
            and self._has(status.name, status.tags)
            and (self.version is None or status.version == self.version)
            and (self.stuck is None or bool(status.stuck_reason) is self.stuck)
            and (self.retrying is None or bool(status.retrying) is self.retrying)
            and self._ended(status.ended_time)
        )

    def _has(self, name: str, tags: Mapping[str, str]) -> bool:
        """Whether an instance of an orchestrator of this name, with these tags, matches."""
        shows_built_in = self.prefix.startswith(RESERVED) or (self.name or "").startswith(RESERVED)
        return (
            (self.name is None or name == self.name)
            and (self.jobs is None or is_job(name) is self.jobs)
            and (shows_built_in or not is_internal(name))
            and all(tags.get(tag) == value for tag, value in self.tags.items())
        )

    def _ended(self, ended: datetime | None) -> bool:
        """Whether an instance that ended then, or (None) has not ended, matches."""
        if not self.is_of_ends:
            return True
        return (
            ended is not None
            and (self.ended_from is None or ended >= self.ended_from)
            and (self.ended_to is None or ended <= self.ended_to)
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
        """Up to ``size`` instances after ``token``. An instance that ends while the pages are read is on one of them;
        one that is rewound meanwhile may be missing, or listed as it was before and as it is after.

        A page is shorter, or empty, and has a token, when many instances had to be looked at and few of them match.

        look: reads each instance of the page; None: only those are read whose status is not in the catalogue.
        """
        if not isinstance(size, int) or size < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"the page size must be a whole number of at least 1, not {size!r}")
        where = _read_token(token) or _Position("", by_end=await self._goes_by_end(query))
        found: list[OrchestrationStatus] = []
        seen: set[str] = set()
        looks = rows = 0
        while True:
            batch, complete = await self._next(query, where)
            rows += len(batch)
            for at in range(0, len(batch), LOOKED_AT_ONCE):
                some = batch[at : at + LOOKED_AT_ONCE]
                wanted = [entry for entry in some if query.wants(entry) and entry.execution_id not in seen]
                to_read = [entry for entry in wanted if look is not None or query.must_read(entry)]
                looks += len(to_read)
                shown = {entry.key: status_of(entry) for entry in wanted} | await self._read(to_read, look)
                for entry in some:
                    where = replace(where, after=entry.key[1:])
                    status = shown.get(entry.key)
                    if status is None or not query.takes(status) or entry.execution_id in seen:
                        continue
                    seen.add(entry.execution_id)
                    found.append(status)
                    if len(found) == size:
                        return InstancePage(found, where.token)
            if complete:
                return InstancePage(found, None)
            if looks >= MOST_LOOKS or rows >= MOST_ROWS:
                return InstancePage(found, where.token)

    async def _goes_by_end(self, query: Query) -> bool:
        """Whether the list is read by the times of the ends: if all instances that may match have such rows."""
        if query.order == "ended":
            return True
        if query.order == "created" or query.ended_from is None or query.statuses is None:
            return False
        return query.statuses <= BY_END and await self._hub.ends_known_since() <= query.ended_from

    async def _read(self, entries: Sequence[Entry], look: Look | None) -> dict[str, OrchestrationStatus | None]:
        """The statuses of the entries' instances, by the keys of the entries."""
        read = await asyncio.gather(*((look or self._look)(entry) for entry in entries))
        return dict(zip((entry.key for entry in entries), read, strict=True))

    async def _look(self, entry: Entry) -> OrchestrationStatus | None:
        try:
            instance = await self._hub.instances.get(entry.instance_id) if entry.instance_id else None
        except UNREADABLE as error:
            return status_of(entry, str(error))
        if instance is None or instance.execution_id != entry.execution_id:
            return None
        return status_of(entry_of(instance))

    async def _next(self, query: Query, where: _Position) -> tuple[list[Entry], bool]:
        """The next entries of all streams, up to the last key that all streams have reached; whether it is the end."""
        kinds = (ENDED,) if where.by_end else (CLOSED,) if query.is_of_ends else (OPEN, CLOSED)
        # No instance is created after its end: each time limits the other from one side.
        upper = [moment for moment in (query.created_to, query.ended_to) if moment is not None]
        upper = [moment for moment in upper if not where.by_end or moment is query.ended_to]
        lower = [moment for moment in (query.created_from, query.ended_from) if moment is not None]
        lower = [moment for moment in lower if where.by_end or moment is query.created_from]
        start = where.after or (inverted_ms(min(upper)) if upper else "")
        entries: list[Entry] = []
        horizon: str | None = None  # the last key up to which every stream has been read
        for kind in kinds:  # the open rows first: what ends between the two reads is then in both, not in neither
            reads = [
                self._hub.catalog.read(shard, kind, kind + start if start else "", CHUNK)
                for shard in self._hub.catalog.shards
            ]
            for chunk in await asyncio.gather(*reads):
                entries.extend(chunk)
                if len(chunk) >= CHUNK - 1:
                    last = chunk[-1].key[1:]
                    horizon = last if horizon is None else min(horizon, last)
        ordered = newest_first(_without_ended(_last_runs(entries)))
        if horizon is not None:
            ordered = [entry for entry in ordered if entry.key[1:] <= horizon]
        if lower:
            limit = inverted_ms(max(lower)) + "~"
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


def _without_ended(entries: Sequence[Entry]) -> Sequence[Entry]:
    """Without the open rows of executions that have a closed row: they ended between the two reads."""
    closed = {entry.key[1:] for entry in entries if entry.key.startswith(CLOSED)}
    return [entry for entry in entries if not (entry.key.startswith(OPEN) and entry.key[1:] in closed)]


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
        ended_time=entry.updated if entry.status.is_terminal else None,
        failure=None if entry.failure is None else FailureDetails(**entry.failure._asdict()),
        retrying=int(entry.is_retrying and not entry.status.is_terminal),
        operations=entry.operations,
    )


@dataclass(frozen=True, slots=True)
class _Position:
    """Where a list goes on: after this key, without its first letter. by_end: in the stream of the ends."""

    after: str
    by_end: bool

    @property
    def token(self) -> str:
        form = _BY_END if self.by_end else _BY_CREATION
        return base64.urlsafe_b64encode(json.dumps([form, self.after]).encode()).decode()


_BY_CREATION, _BY_END = 1, 2  # the first item of a token


def _read_token(token: str | None) -> _Position | None:
    if not token:
        return None
    try:
        form, position = json.loads(base64.urlsafe_b64decode(token.encode()))
        if form not in (_BY_CREATION, _BY_END) or not _POSITION.fullmatch(position):
            raise ValueError(form)
        if FORBIDDEN_IN_KEYS.search(position):
            raise ValueError(position)
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidInputError(
            "the continuation token was not issued by this task hub; start again without one"
        ) from None
    return _Position(position, by_end=form == _BY_END)
