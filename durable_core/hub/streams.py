"""Rows of streams: what activities write while they run, in batches, a row for each.

The rows of one stream of an execution are a log, numbered from 0: row *p* is inserted only by a writer that has read
all rows before it, so a successful insert means that the writer knew everything before (rule S1). A row is never
changed. Each call of an activity that writes to the stream is a *lane* of it; each row says of which lane it is, and
by which run of which attempt it was written.
"""

from __future__ import annotations

import hashlib
import json
from typing import NamedTuple

from ..errors import DamagedRowError
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..storage.ports import Row, Table, Value
from .encoding import Encoding
from .keys import after_prefix, stream_key, stream_prefix
from .payloads import PLAIN_CHARS, join_bytes, split_bytes

PAGE = 200  # rows of one read: at most about 6 MiB where all batches are full

_HEAD = ["id", "run", "lane", "attempt", "restart", "count", "end", "shared", "total"]


class Lane(NamedTuple):
    """The call of an activity that writes to a stream."""

    generation: int
    task_id: int

    def __str__(self) -> str:
        return f"{self.generation}-{self.task_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRow:
    """A row as written.

    entry: random, of this one insert. run: random, of one run of an attempt. restart: the run has found rows of its
        lane by other runs, and the chunks of the lane from this row on are superseded; None: not so.
    text: its chunks as a JSON list, '' if there are none or they were not read. count: how many chunks it has.
    is_end: the lane ends with this row.
    total: bytes of chunks in the stream up to here.
    """

    number: int
    entry: str
    run: str
    lane: Lane
    attempt: int
    restart: int | None
    text: str
    count: int
    is_end: bool
    is_shared: bool
    total: int

    def chunks(self) -> list[JSON]:
        return json.loads(self.text) if self.text else []


class StreamKey(NamedTuple):
    """Which stream: of an execution of an instance, by name."""

    instance_id: str
    execution_id: str
    name: str

    @property
    def digest(self) -> str:
        return _digest(self.name)


class Streams:
    def __init__(self, table: Table, encoding: Encoding) -> None:
        self._table = table
        self._encoding = encoding

    async def insert(self, key: StreamKey, row: StreamRow) -> None:
        """RowExistsError if the number is taken, perhaps by an earlier try of this insert (see ``entry``)."""
        props: dict[str, Value] = {
            "id": row.entry,
            "run": row.run,
            "lane": str(row.lane),
            "attempt": row.attempt,
            "total": row.total,
        }
        if row.restart is not None:
            props["restart"] = row.restart
        if row.is_end:
            props["end"] = True
        if row.is_shared:
            props["shared"] = True
        if row.number == 0:
            props["name"] = self._encoding.hide(key.name)
        if text := row.text:
            props["count"] = row.count
            if len(text) <= PLAIN_CHARS and not self._encoding.hides:
                props["c0"] = text
            else:
                props |= split_bytes("c", self._encoding.pack(text))
        await self._table.insert(key.instance_id, stream_key(key.execution_id, key.digest, row.number), props)

    async def read(self, key: StreamKey, number: int, *, heads: bool = False) -> list[StreamRow]:
        """The rows from this number on, up to the first gap, at most a page. ``heads``: without their chunks.

        CodecError, DamagedRowError.
        """
        prefix = stream_prefix(key.execution_id, key.digest)
        found = await self._table.read_range(
            key.instance_id,
            f"{prefix}{number:010}",
            after_prefix(prefix),
            select=_HEAD if heads else None,
            limit=PAGE,
        )
        rows: list[StreamRow] = []
        for at, row in enumerate(found.rows, number):
            if is_behind_a_gap(int(row.key[len(prefix) :]), at):
                break
            rows.append(self._row(row, at))
        return rows

    async def names(self, instance_id: str, execution_id: str) -> list[str]:
        """The names of the execution's streams, in the order of their keys. A read for each, and one."""
        low, end = stream_prefix(execution_id), after_prefix(stream_prefix(execution_id))
        names: list[str] = []
        while rows := (await self._table.read_range(instance_id, low, end, select=["name"], limit=1)).rows:
            if (name := rows[0].props.get("name")) is not None:
                names.append(self._encoding.show(str(name)))
            low = after_prefix(rows[0].key.rpartition("-")[0] + "-")
        return names

    def _row(self, row: Row, number: int) -> StreamRow:
        props = row.props
        try:
            generation, task_id = str(props["lane"]).split("-")[:2]
            restart, stored = props.get("restart"), props.get("c0")
            text = stored if isinstance(stored, str) else ""
            if isinstance(stored, bytes):
                text = self._encoding.unpack(join_bytes("c", props))
            return StreamRow(
                number=number,
                entry=str(props["id"]),
                run=str(props["run"]),
                lane=Lane(int(generation), int(task_id)),
                attempt=int(props["attempt"]),  # type: ignore[arg-type]
                restart=None if restart is None else int(restart),  # type: ignore[arg-type]
                text=text,
                count=int(props.get("count", 0)),  # type: ignore[arg-type]
                is_end=bool(props.get("end")),
                is_shared=bool(props.get("shared")),
                total=int(props["total"]),  # type: ignore[arg-type]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DamagedRowError(f"row '{row.key}' of instance '{row.partition}' is damaged: {error}") from error


def is_behind_a_gap(number: int, expected: int) -> bool:
    """Whether rows are missing before this one: the stream is being purged. A reader stops there (rule S8)."""
    return number != expected


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:16]
