"""The catalogue: a projection of all instances for listing and recovery. The instance row is the truth.

One partition per shard. Open rows (``o...``), one per live instance, are inserted before the instance row; closing is
one transaction that deletes the open row, which must exist, and inserts the closed one (``c...``): a late worker cannot
create rows of a purged instance again. Both keys begin with inverted milliseconds of the creation time, so that a range
read returns the newest first.

The rows of a rewound execution have another key at each rewind: a host that ends the execution late, as it was before a
rewind, then finds no row to close (rule R20).

An instance that failed, or was terminated or cancelled, has a third row (``e...``), whose key begins with inverted
milliseconds of its end: what failed in the last hour is read without what was created before. It is inserted and
deleted in the transactions of the closed row. A version that does not know such rows reads none of them, and deletes
the closed row alone; a row of an end that is left so is one of no instance.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime
from typing import NamedTuple

from ..definitions import is_internal
from ..errors import CodecError, PreconditionFailedError, RowExistsError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..models import FailureDetails, Operations, RuntimeStatus
from ..storage.ports import Delete, Insert, Props, Row, RowRange, Table, Value
from .encoding import Encoding
from .instance_row import Instance, operations_in, text_of_operations
from .names import shard_of
from .payloads import dumps
from .times import from_inverted_ms, from_iso, inverted_ms, iso

OPEN = "o"
CLOSED = "c"
ENDED = "e"

BY_END = frozenset({RuntimeStatus.FAILED, RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED})
"""The statuses of instances that have a row by the time of their end."""

SUMMARY_CHARS = 200  # of a failure's message in the catalogue


class Summary(NamedTuple):
    """Why an instance failed, in the catalogue. ``line``: ``file:line`` at which its code raised; '' if not known."""

    type: str
    message: str
    line: str

    @classmethod
    def of(cls, failure: FailureDetails) -> Summary:
        return cls(failure.type[:SUMMARY_CHARS], failure.message[:SUMMARY_CHARS], failure.line)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """The catalogue row of one instance. ``start_at``: the time of a delayed start.

    updated: of an ended instance, the time of its end. failure: of a failed instance. operations: of an ended instance,
        the storage operations that it took; None if they are not known.
    is_retrying: whether calls of it were tried again for long (see ``RetryState.is_lasting``) when the row was written.
    next_check: recovery skips a stuck instance until then, unless recovery is run on demand.
    is_readable: False for a row that this version cannot read, perhaps a row of a newer version: the instance id is
    read from its key, everything else must be read from the instance row. Such a row is not changed.
    rewinds: how often the execution was rewound.
    """

    instance_id: str
    execution_id: str
    name: str
    version: str
    status: RuntimeStatus
    created: datetime
    updated: datetime
    stuck: str = ""
    tags: dict[str, str] = field(default_factory=lambda: {})
    start_at: datetime | None = None
    next_check: datetime | None = None
    rewinds: int = 0
    failure: Summary | None = None
    operations: Operations | None = None
    is_retrying: bool = False
    key: str = ""
    is_readable: bool = True

    def props(self, encoding: Encoding) -> dict[str, Value]:
        props: dict[str, Value] = {
            "instance": self.instance_id,
            "exec": self.execution_id,
            "name": self.name,
            "version": self.version,
            "status": f"{self.status}",
            "created": iso(self.created),
            "updated": iso(self.updated),
            "stuck": self.stuck[:2000],
        }
        if self.tags:
            props["tags"] = dumps(self.tags)
        if self.start_at is not None:
            props["start"] = iso(self.start_at)
        if self.rewinds:
            props["rewinds"] = self.rewinds
        if self.failure is not None:
            props["failure"] = encoding.hide(dumps(list(self.failure)))
        if self.operations is not None and self.status.is_terminal:
            props["ops"] = text_of_operations(self.operations)
        return props

    @classmethod
    def from_row(cls, row: Row, encoding: Encoding) -> Entry:
        """The entry of a row. A failure that cannot be decoded is left out."""
        try:
            return cls._read(row, encoding)
        except (LookupError, TypeError, ValueError, ArithmeticError):
            created, execution_id, instance_id = _parts_of_key(row.key)
            return cls(
                instance_id=instance_id,
                execution_id=execution_id,
                name="",
                version="",
                status=RuntimeStatus.PENDING,
                created=created,
                updated=row.timestamp,
                key=row.key,
                is_readable=False,
            )

    @classmethod
    def _read(cls, row: Row, encoding: Encoding) -> Entry:
        props: Props = row.props
        tags, start, look, failure = props.get("tags"), props.get("start"), props.get("look"), props.get("failure")
        operations = props.get("ops")
        summary: Summary | None = None
        if failure is not None:
            with suppress(CodecError):  # of another codec
                summary = Summary(*json.loads(encoding.show(str(failure)))[:3])
        return cls(
            instance_id=str(props["instance"]),
            execution_id=str(props["exec"]),
            name=str(props["name"]),
            version=str(props["version"]),
            status=RuntimeStatus(str(props["status"])),
            created=from_iso(str(props["created"])),
            updated=from_iso(str(props["updated"])),
            stuck=str(props.get("stuck", "")),
            tags={} if tags is None else json.loads(str(tags)),
            start_at=None if start is None else from_iso(str(start)),
            next_check=None if not look else from_iso(str(look)),
            rewinds=int(str(props.get("rewinds", 0))),
            failure=summary,
            operations=None if operations is None else operations_in(str(operations)),
            is_retrying=bool(props.get("retry")),
            key=row.key,
        )


class Count(NamedTuple):
    """How many instances the catalogue shows, without those of built-in orchestrators.

    retrying: with calls that were tried again for long when their row was written.
    is_complete: False if rows were left out.
    """

    statuses: Counter[str]
    stuck: int
    retrying: int
    is_complete: bool


_COUNTED = ("name", "status", "stuck", "retry")


class Catalog:
    """The catalogue of one hub."""

    def __init__(self, table: Table, partitions: int, encoding: Encoding) -> None:
        self._table = table
        self._partitions = partitions
        self._encoding = encoding

    @property
    def shards(self) -> list[str]:
        return [_shard(k) for k in range(self._partitions)]

    async def open(self, entry: Entry) -> None:
        """Insert the open row; an existing one is from our own earlier try."""
        try:
            await self._table.insert(self._shard_of(entry), _key(OPEN, entry), entry.props(self._encoding))
        except RowExistsError:
            return  # the key contains the execution id: it is the same row

    async def note(self, entry: Entry) -> None:
        """Write a lasting change (suspended, stuck, running, tried again, another version) to the open row, if any."""
        try:
            await self._table.merge(
                self._shard_of(entry),
                _key(OPEN, entry),
                {
                    "status": f"{entry.status}",
                    "stuck": entry.stuck[:2000],
                    "updated": iso(entry.updated),
                    "version": entry.version,
                    "retry": entry.is_retrying,
                    "look": "",
                },
            )
        except RowNotFoundError:
            return  # ended or purged meanwhile

    async def next_check(self, entry: Entry) -> datetime | None:
        """When recovery checks a stuck instance next; None: at its next round."""
        row = await self._table.get(self._shard_of(entry), _key(OPEN, entry), ["look"])
        return None if row is None or not row.props.get("look") else from_iso(str(row.props["look"]))

    async def find_open(self, instance: Instance) -> Entry | None:
        """The open row of an instance; None if there is none."""
        shard = _shard(shard_of(instance.instance_id, self._partitions))
        run = _run(instance.rewinds)
        row = await self._table.get(
            shard, _key_of(OPEN, instance.created, instance.execution_id, run, instance.instance_id)
        )
        return None if row is None else Entry.from_row(row, self._encoding)

    async def postpone_check(self, entry: Entry, until: datetime) -> None:
        """Set when recovery checks a stuck instance next; ``note`` clears it."""
        try:
            await self._table.merge(self._shard_of(entry), _key(OPEN, entry), {"look": iso(until)})
        except RowNotFoundError:
            return  # as above

    async def close(self, entry: Entry) -> bool:
        """Replace the open row by a closed one; False if there is no open row: it was closed or purged before.

        The closed row of the run before a rewind is deleted, which the process that rewound may not have done.
        """
        is_closed = await self._close(entry)
        await self.forget_last_run(entry)
        return is_closed

    async def _close(self, entry: Entry) -> bool:
        try:
            await self._table.transact(self._shard_of(entry), [Delete(_key(OPEN, entry)), *self._of_an_end(entry)])
        except RowExistsError:  # closed before; a late start has inserted the open row again
            await self.forget_open(entry)
            return False
        except (RowNotFoundError, PreconditionFailedError):
            return False  # rule R14: without its open row an instance gets no closed row
        return True

    async def show_ended(self, entry: Entry) -> None:
        """Insert the closed row of an ended instance that has none."""
        try:
            await self._table.transact(self._shard_of(entry), self._of_an_end(entry))
        except RowExistsError:
            return  # the instance has its closed row

    async def forget_open(self, entry: Entry) -> None:
        """Delete the open row of a start that was refused or came late."""
        await self._delete(entry, OPEN)

    async def forget_closed(self, entry: Entry) -> bool:
        """Delete the closed row, and the row of the end with it. Whether there was a closed row."""
        if entry.status not in BY_END:
            return await self._delete(entry, CLOSED)
        try:
            await self._table.transact(self._shard_of(entry), [Delete(_key(kind, entry)) for kind in (ENDED, CLOSED)])
        except RowNotFoundError:  # closed, or partly deleted, by a version that knows one row only; or deleted before
            await self._delete(entry, ENDED)
            return await self._delete(entry, CLOSED)
        return True

    async def forget_last_run(self, entry: Entry) -> None:
        """Delete the closed row that a rewound execution had before its last rewind, and the row of that end."""
        if not entry.rewinds:
            return
        last = replace(entry, rewinds=entry.rewinds - 1)
        row = await self._table.get(self._shard_of(last), _key(CLOSED, last))
        if row is not None:
            ended = Entry.from_row(row, self._encoding)
            await self.forget_closed(replace(last, status=ended.status, updated=ended.updated))

    def is_at_its_place(self, opened: Entry, instance: Entry) -> bool:
        """Whether an open row that was read is the one under which the instance will be closed."""
        return opened.key == _key(OPEN, instance)

    async def is_open(self, entry: Entry) -> bool:
        """Whether the instance has an open row."""
        return await self._table.get(self._shard_of(entry), _key(OPEN, entry), ["exec"]) is not None

    async def read(self, shard: str, kind: str, after: str = "", limit: int | None = None) -> list[Entry]:
        """Entries of one stream of one shard, newest first (``ENDED``: latest end first), after the key ``after``."""
        low = after + "\x20" if after else kind
        found = await self._table.read_range(shard, low, chr(ord(kind) + 1), limit=limit)
        return [Entry.from_row(row, self._encoding) for row in found.rows if row.key != after]

    async def count(self, limit: int) -> Count:
        """Count the instances by status, of the newest ``limit`` open and ``limit`` closed rows of each shard; a range
        read for each of these. An instance that ends meanwhile is counted once."""
        found: list[RowRange] = []
        for kind in (OPEN, CLOSED):  # in this order: what ends between the two reads is in both, not in neither
            reads = [
                self._table.read_range(shard, kind, chr(ord(kind) + 1), select=_COUNTED, limit=limit)
                for shard in self.shards
            ]
            found += await asyncio.gather(*reads)
        # A closed row takes the place of the open row of the same execution.
        by_key = {row.key[1:]: row.props for each in found for row in each.rows}
        rows = list(by_key.values())
        of_users = [props for props in rows if not is_internal(str(props.get("name", "")))]
        return Count(
            Counter(str(props.get("status", "")) for props in of_users),
            stuck=sum(1 for props in of_users if props.get("stuck")),
            retrying=sum(1 for props in of_users if props.get("retry")),
            is_complete=all(len(each.rows) < limit for each in found),
        )

    async def _delete(self, entry: Entry, kind: str) -> bool:
        try:
            await self._table.delete(self._shard_of(entry), _key(kind, entry))
        except RowNotFoundError:
            return False  # done before
        return True

    def _of_an_end(self, entry: Entry) -> list[Insert]:
        """The rows of an ended instance."""
        props = entry.props(self._encoding)
        kinds = (CLOSED, ENDED) if entry.status in BY_END else (CLOSED,)
        return [Insert(_key(kind, entry), props) for kind in kinds]

    def _shard_of(self, entry: Entry) -> str:
        return _shard(shard_of(entry.instance_id, self._partitions))


def newest_first(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.key[1:])


def _parts_of_key(key: str) -> tuple[datetime, str, str]:
    """Creation time, execution id and instance id in a key; empty ids for a key that this package did not write."""
    inverted, _, rest = key[1:].partition("-")
    execution_id, _, instance_id = rest.partition("-")
    execution_id = execution_id.partition("~")[0]
    try:
        return from_inverted_ms(inverted), execution_id, instance_id
    except ValueError:
        return from_inverted_ms("0"), "", ""


def _shard(index: int) -> str:
    return f"{index:02}"


def _key(kind: str, entry: Entry) -> str:
    moment = entry.updated if kind == ENDED else entry.created
    return _key_of(kind, moment, entry.execution_id, run_of(entry), entry.instance_id)


def _key_of(kind: str, moment: datetime, execution_id: str, run: str, instance_id: str) -> str:
    return f"{kind}{inverted_ms(moment)}-{execution_id}{run}-{instance_id}"


def run_of(entry: Entry) -> str:
    """What tells the rows of a rewound execution from those that it had before the rewind."""
    return _run(entry.rewinds)


def _run(rewinds: int) -> str:
    return f"~{rewinds}" if rewinds else ""
