"""The instance row: its state, its append log, and the chunk rows that older commits move to.

A commit is one ``merge`` guarded by the row's ETag that adds one segment property; it sends only what is new, however
long the history is. When the log nears a row's limits, one transaction moves it to an immutable chunk row and replaces
the instance row without it. A reader takes from chunks only commits below the ``base`` of the row it has read; a gap
means that the row was rolled in between: start over (``HistoryMovedError``).
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NamedTuple

from ..engine.events import (
    CancelRequested,
    ContinueAsNew,
    Event,
    EventRaised,
    ExecutionStarted,
    Outgoing,
    Segment,
    from_array,
    from_epoch,
    to_array,
)
from ..errors import NewerFormatError, PreconditionFailedError, RowNotFoundError, StorageError
from ..models import JSON, ParentLink, RuntimeStatus
from ..storage.ports import MAX_TRANSACTION_ROWS, Delete, Insert, Merge, Operation, Props, Replace, Row, Table, Value
from .inbox import INBOX_PROPS, InboxRow
from .layout import (
    CHUNK_END,
    FORMAT,
    INSTANCE_KEY,
    LIVE_RANGE,
    after_prefix,
    chunk_key,
    chunk_prefix,
    from_iso,
    iso,
)
from .payloads import PLAIN_CHARS, Payloads, dumps, join_bytes, size_of, split_bytes

LOG_SEGMENTS = 128  # what the row's log may hold before it is rolled
LOG_BYTES = 256 * 1024
SEGMENT_BYTES = 256 * 1024  # a larger segment goes to payload rows
RETRY_BUCKETS = 16  # a row has 252 properties: retry states share these


ENDED_KEPT = 8  # commits of ended generations that can still be told apart
MOVED_TRIES = 20  # loads after which a history with a gap is taken for damaged


class HistoryMovedError(StorageError):
    """The row changed while its history was read; load again."""


@dataclass(frozen=True, slots=True)
class RetryState:
    """An open task whose next attempt is due. Times are UTC."""

    attempt: int
    first_try: datetime
    next_try: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """The instance row as read or written last. ``log`` maps a commit's seq to its stored value.

    seq: number of the next commit; it goes on counting through continue-as-new.
    first: the first commit of this generation; base: the first that is in the row, not in a chunk.
    dispatched: every commit up to this one is known to be fully dispatched.
    start_at: not to begin before then; deadline: when the whole run must have ended.
    last_commit: id of the newest commit; carry: what the last generation left to do (see ``Carry``).
    ended: ids of the last commits before this generation, whose history is gone.
    """

    instance_id: str
    execution_id: str
    generation: int = 0
    name: str
    version: str
    status: RuntimeStatus
    created: datetime
    updated: datetime
    input: Value
    output: Value | None = None
    failure: Value | None = None
    custom: Value | None = None
    parent: ParentLink | None = None
    tags: Mapping[str, str] = field(default_factory=dict[str, str])
    start_at: datetime | None = None
    deadline: datetime | None = None
    seq: int = 0
    first: int = 0
    base: int = 0
    dispatched: int = -1
    last_commit: str = ""
    carry: Value | None = None
    ended: tuple[str, ...] = ()
    stuck: str = ""
    build: str = ""
    format: int = FORMAT
    retries: Mapping[int, RetryState] = field(default_factory=dict[int, RetryState])
    log: dict[int, Value] = field(default_factory=dict[int, Value])
    log_bytes: int = 0
    etag: str = ""

    @property
    def is_terminal(self) -> bool:
        return self.status.is_terminal

    @property
    def is_unstarted(self) -> bool:
        """Whether this generation has no commit yet."""
        return self.seq == self.first

    def props(self) -> dict[str, Value]:
        """Every property but the log's."""
        props: dict[str, Value] = {
            "fmt": self.format,
            "build": self.build,
            "name": self.name,
            "version": self.version,
            "status": self.status.value,
            "created": iso(self.created),
            "updated": iso(self.updated),
            "exec": self.execution_id,
            "gen": self.generation,
            "seq": self.seq,
            "first": self.first,
            "base": self.base,
            "dispatched": self.dispatched,
            "last": self.last_commit,
            "input": self.input,
            "stuck": self.stuck,
        }
        for name, value in (
            ("output", self.output),
            ("failure", self.failure),
            ("custom", self.custom),
            ("carry", self.carry),
        ):
            if value is not None:
                props[name] = value
        for name, moment in (("start", self.start_at), ("deadline", self.deadline)):
            if moment is not None:
                props[name] = iso(moment)
        if self.parent is not None:
            link = self.parent
            props["parent"] = dumps([link.instance_id, link.execution_id, link.generation, link.task_id, link.attempt])
        if self.tags:
            props["tags"] = dumps(dict(self.tags))
        if self.ended:
            props["ended"] = " ".join(self.ended)
        for bucket in {task % RETRY_BUCKETS for task in self.retries}:
            props[f"r{bucket}"] = _bucket(self.retries, bucket)
        return props


STATUS_PROPS = (
    "fmt",
    "name",
    "version",
    "status",
    "created",
    "updated",
    "exec",
    "gen",
    "seq",
    "first",
    "base",
    "dispatched",
    "input",
    "output",
    "failure",
    "custom",
    "parent",
    "tags",
    "stuck",
    "start",
    "deadline",
)


class Carried(NamedTuple):
    """A decision of an earlier generation, and the time of the commit that held it."""

    generation: int
    decided: datetime
    event: Outgoing


class Carry(NamedTuple):
    """What a generation hands to the next: events nobody consumed, decisions that may not be dispatched, and keys of
    consumed inbox rows that may be written again."""

    events: tuple[EventRaised | CancelRequested, ...]
    decisions: tuple[Carried, ...]
    seen: tuple[str, ...] = ()


class Loaded(NamedTuple):
    instance: Instance | None
    inbox: list[InboxRow]


class Peeked(NamedTuple):
    etag: str | None
    inbox: list[InboxRow]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One commit to be. ``consumed`` are keys of inbox rows that go in the same transaction.

    output, failure, custom: stored values, None to leave them as they are.
    retries: every retry state there is after the commit. next_generation: see ``Instances.next_generation``.
    """

    commit_id: str
    timestamp: datetime
    events: tuple[Event, ...] = ()
    status: RuntimeStatus
    output: Value | None = None
    failure: Value | None = None
    custom: Value | None = None
    retries: Mapping[int, RetryState] | None = None
    consumed: Sequence[str] = ()
    dispatched: int
    build: str = ""


class Instances:
    """Reads and writes instance rows, their chunks, and (with ``inbox``) what has been sent to them."""

    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    async def load(self, instance_id: str) -> Loaded:
        """The instance row with its log, and its inbox, in one range read."""
        while True:
            found = await self._table.read_range(instance_id, LIVE_RANGE)
            loaded = self._split(found.rows)
            if found.pages == 1 or loaded.instance is None:
                return loaded
            again = await self._table.get(instance_id, INSTANCE_KEY, ["exec"])
            if again is not None and again.etag == loaded.instance.etag:  # several pages are no snapshot
                return loaded

    async def peek(self, instance_id: str) -> Peeked:
        """The row's ETag and the inbox: what a bare doorbell must see of an instance that is warm (rule R2)."""
        found = await self._table.read_range(instance_id, LIVE_RANGE, select=["exec", *INBOX_PROPS])
        etag = next((row.etag for row in found.rows if row.key == INSTANCE_KEY), None)
        return Peeked(etag, self._inbox(found.rows))

    async def read(self, instance_id: str) -> Instance | None:
        """The row with its log, and nothing of what was sent to it."""
        row = await self._table.get(instance_id, INSTANCE_KEY)
        return None if row is None else _read_instance(row)

    async def get(self, instance_id: str) -> Instance | None:
        """The state alone, without its log."""
        row = await self._table.get(instance_id, INSTANCE_KEY, STATUS_PROPS)
        return None if row is None else _read_instance(row)

    async def history(self, instance: Instance) -> list[Segment]:
        """All commits of this generation. HistoryMovedError if the row has changed since it was read."""
        chunks: list[tuple[int, Value]] = []
        if instance.base > instance.first:
            prefix = chunk_prefix(instance.execution_id, instance.generation)
            found = await self._table.read_range(instance.instance_id, prefix, after_prefix(prefix))
            for row in found.rows:
                first = int(row.key[len(prefix) :])
                texts: list[Any] = json.loads(self._payloads.encoding.unpack(join_bytes("d", row.props)))
                chunks.extend(enumerate(texts, first))
        segments = [
            _read_segment(seq, await self._payloads.load_text(instance.instance_id, entry))
            for seq, entry in whole_log(instance, chunks)
        ]
        if segments and isinstance(started := segments[0].events[0], ExecutionStarted):  # its input is kept once
            whole = replace(started, input=await self._payloads.load(instance.instance_id, instance.input))
            segments[0] = replace(segments[0], events=(whole, *segments[0].events[1:]))
        return segments

    async def carry(self, instance: Instance) -> Carry:
        if instance.carry is None:
            return Carry((), ())
        events, decisions, *more = await self._payloads.load(instance.instance_id, instance.carry)
        return Carry(
            tuple(from_array(e) for e in events),  # type: ignore[arg-type]
            tuple(Carried(generation, from_epoch(at), from_array(d)) for generation, at, d in decisions),  # type: ignore[arg-type]
            tuple(more[0]) if more else (),
        )

    async def create(self, instance: Instance, first: Insert | None = None) -> Instance:
        """``first``: an inbox row that comes into being with the instance. RowExistsError if the id is taken."""
        if first is not None:
            etags = await self._table.transact(instance.instance_id, [Insert(INSTANCE_KEY, instance.props()), first])
            return replace(instance, etag=str(etags[0]))
        etag = await self._table.insert(instance.instance_id, INSTANCE_KEY, instance.props())
        return replace(instance, etag=etag)

    async def restart(self, ended: Instance, fresh: Instance, first: Insert | None = None) -> Instance:
        """Put a new execution in the place of an ended one. PreconditionFailedError if somebody was faster."""
        if first is not None:
            etags = await self._table.transact(
                ended.instance_id, [Replace(INSTANCE_KEY, fresh.props(), ended.etag), first]
            )
            return replace(fresh, etag=str(etags[0]))
        etag = await self._table.replace(ended.instance_id, INSTANCE_KEY, fresh.props(), ended.etag)
        return replace(fresh, etag=etag)

    async def commit(self, instance: Instance, commit: Commit) -> Instance:
        """Write one commit. Any StorageError leaves it unknown whether it was written."""
        changes: dict[str, Value] = {"last": commit.commit_id, "updated": iso(commit.timestamp)}
        after: dict[str, Any] = {"updated": commit.timestamp, "last_commit": commit.commit_id, "stuck": ""}
        if instance.stuck:
            changes["stuck"] = ""
        for name in ("status", "dispatched", "build"):
            if (value := getattr(commit, name)) != getattr(instance, name):
                changes[name] = after[name] = value
        for name in ("output", "failure", "custom"):
            if (value := getattr(commit, name)) is not None:
                changes[name] = after[name] = value
        if commit.retries is not None:
            after["retries"] = commit.retries
            changed = {
                task % RETRY_BUCKETS
                for task in instance.retries.keys() | commit.retries.keys()
                if instance.retries.get(task) != commit.retries.get(task)
            }
            changes.update({f"r{bucket}": _bucket(commit.retries, bucket) for bucket in changed})
        if not commit.events:
            etag = await self._write(
                instance.instance_id, [Merge(INSTANCE_KEY, changes, instance.etag)], commit.consumed
            )
            return replace(instance, **after, etag=etag)
        segment, entry = await self._segment(instance, commit)
        after |= {"seq": instance.seq + 1, "log_bytes": instance.log_bytes + size_of(segment)}
        if instance.log and (len(instance.log) >= LOG_SEGMENTS or after["log_bytes"] > LOG_BYTES):
            return await self._roll(instance, replace(instance, **after), segment, entry, commit.consumed)
        changes |= segment | {"seq": instance.seq + 1}
        etag = await self._write(instance.instance_id, [Merge(INSTANCE_KEY, changes, instance.etag)], commit.consumed)
        instance.log[instance.seq] = entry  # shared by the row before and after; nobody reads the one before again
        return replace(instance, **after, etag=etag)

    async def next_generation(
        self,
        instance: Instance,
        commit: Commit,
        ending: ContinueAsNew,
        carry: Carry,
        commits: Sequence[str],
        version: str,
    ) -> Instance:
        """Continue as new: the row begins again with a new generation, its old log gone.

        ``commits``: ids of this generation's commits before this one. ``version``: of the orchestrator from now on.
        """
        seq = instance.seq + 1
        carried = None
        if any(carry):
            left = [[generation, at.timestamp(), to_array(event)] for generation, at, event in carry.decisions]
            arrays = [[to_array(e) for e in carry.events], left, list(carry.seen)]
            carried = await self._payloads.store(instance.instance_id, instance.execution_id, arrays)
        after = replace(
            instance,
            generation=instance.generation + 1,
            version=version,
            status=commit.status,
            updated=commit.timestamp,
            input=await self._payloads.store(instance.instance_id, instance.execution_id, ending.input),
            custom=instance.custom if commit.custom is None else commit.custom,
            seq=seq,
            first=seq,
            base=seq,
            dispatched=commit.dispatched,
            last_commit=commit.commit_id,
            carry=carried,
            ended=(*instance.ended, *commits, commit.commit_id)[-ENDED_KEPT:],
            build=commit.build,
            stuck="",
            retries={},
            log={},
            log_bytes=0,
        )
        row = Replace(INSTANCE_KEY, after.props(), instance.etag)
        return replace(after, etag=await self._write(instance.instance_id, [row], commit.consumed))

    async def pin(self, instance: Instance, version: str) -> Instance:
        """Decide which version of its orchestrator an instance begins with. HistoryMovedError if somebody else has."""
        try:
            etag = await self._table.merge(instance.instance_id, INSTANCE_KEY, {"version": version}, instance.etag)
        except (PreconditionFailedError, RowNotFoundError):
            raise HistoryMovedError(f"instance '{instance.instance_id}' has moved") from None
        return replace(instance, version=version, etag=etag)

    async def mark_stuck(self, instance_id: str, reason: str) -> None:
        """Show the instance as stuck; its next commit takes the mark away. RowNotFoundError."""
        await self._table.merge(instance_id, INSTANCE_KEY, {"stuck": reason[:8000]})

    async def drop_generation(self, instance: Instance) -> None:
        """Collect the chunk rows of a generation that has ended."""
        prefix = chunk_prefix(instance.execution_id, instance.generation)
        found = await self._table.read_range(instance.instance_id, prefix, after_prefix(prefix), select=["d"])
        await self._delete_all(instance.instance_id, [row.key for row in found.rows])

    async def drop_execution(self, instance_id: str, keep_execution: str) -> None:
        """Collect chunks and payloads of every execution but one."""
        found = await self._table.read_range(instance_id, "", CHUNK_END, select=["d"])
        await self._delete_all(
            instance_id, [row.key for row in found.rows if not row.key[1:].startswith(keep_execution)]
        )

    async def purge(self, instance: Instance) -> None:
        """Delete the partition, the instance row last. PreconditionFailedError if it was restarted meanwhile."""
        found = await self._table.read_range(instance.instance_id, "", INSTANCE_KEY, select=["d"])
        await self._delete_all(instance.instance_id, [row.key for row in found.rows])
        await self._table.delete(instance.instance_id, INSTANCE_KEY, instance.etag)

    async def _delete_all(self, instance_id: str, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), MAX_TRANSACTION_ROWS):
            batch = keys[at : at + MAX_TRANSACTION_ROWS]
            try:
                await self._table.transact(instance_id, [Delete(key) for key in batch])
            except RowNotFoundError:  # somebody else collects too: one by one
                for key in batch:
                    with suppress(RowNotFoundError):
                        await self._table.delete(instance_id, key)

    async def _segment(self, instance: Instance, commit: Commit) -> tuple[dict[str, Value], Value]:
        """The properties that hold the commit's segment, and its stored value."""
        text = dumps([commit.commit_id, commit.timestamp.timestamp(), [to_array(e) for e in commit.events]])
        name = f"s{instance.seq}_"
        encoding = self._payloads.encoding
        if len(text) <= PLAIN_CHARS and not encoding.hides:
            return {f"{name}0": text}, text
        packed = encoding.pack(text)
        if len(packed) <= SEGMENT_BYTES:
            return split_bytes(name, packed), packed
        reference = await self._payloads.put(instance.instance_id, instance.execution_id, packed)
        return {f"{name}0": reference}, reference

    async def _roll(
        self, instance: Instance, after: Instance, segment: dict[str, Value], entry: Value, consumed: Sequence[str]
    ) -> Instance:
        """The commit that moves the log before it into a chunk row."""
        encoding = self._payloads.encoding
        entries = [instance.log[seq] for seq in range(instance.base, instance.seq)]
        joined = ",".join(dumps(encoding.unpack(e) if isinstance(e, bytes) else e) for e in entries)
        packed = encoding.pack(f"[{joined}]")
        after = replace(after, base=instance.seq, log={instance.seq: entry}, log_bytes=size_of(segment))
        chunk = Insert(chunk_key(instance.execution_id, instance.generation, instance.base), split_bytes("d", packed))
        row = Replace(INSTANCE_KEY, after.props() | segment, instance.etag)
        return replace(after, etag=await self._write(after.instance_id, [chunk, row], consumed))

    async def _write(self, instance_id: str, operations: list[Operation], consumed: Sequence[str]) -> str:
        """The instance row's new ETag."""
        operations.extend(Delete(key) for key in consumed)
        last = operations[0]
        if len(operations) == 1 and isinstance(last, Merge):
            return await self._table.merge(instance_id, last.key, last.props, last.etag)
        if len(operations) == 1 and isinstance(last, Replace):
            return await self._table.replace(instance_id, last.key, last.props, last.etag)
        etags = await self._table.transact(instance_id, operations)
        return str(etags[next(k for k, op in enumerate(operations) if op.key == INSTANCE_KEY)])

    def _split(self, rows: Sequence[Row]) -> Loaded:
        instance = next((_read_instance(row) for row in rows if row.key == INSTANCE_KEY), None)
        return Loaded(instance, self._inbox(rows))

    def _inbox(self, rows: Sequence[Row]) -> list[InboxRow]:
        encoding = self._payloads.encoding
        return [InboxRow.from_row(row, encoding) for row in rows if row.key != INSTANCE_KEY]


def whole_log(instance: Instance, chunks: Sequence[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Every commit of the generation once, in order, from its chunk rows and from the instance row (rule R15).

    The log may have been rolled between the two reads: a chunk counts for what lies below the row's ``base`` only.
    HistoryMovedError: a commit is in neither, the generation was collected meanwhile.
    """
    log = {seq: entry for seq, entry in chunks if seq < instance.base} | instance.log
    for seq in range(instance.first, instance.seq):
        if seq not in log:
            raise HistoryMovedError(f"commit {seq} of instance '{instance.instance_id}' has moved")
    return [(seq, log[seq]) for seq in range(instance.first, instance.seq)]


def _read_instance(row: Row) -> Instance:
    props: Props = row.props
    form = props["fmt"]
    if not isinstance(form, int) or form > FORMAT:
        raise NewerFormatError(f"instance '{row.partition}' is of storage format {form}; this version reads {FORMAT}")
    data: dict[str, Any] = dict(props)
    log, log_bytes = _read_log(data)
    parent, tags = data.get("parent"), data.get("tags")
    retries: dict[int, RetryState] = {}
    for bucket in range(RETRY_BUCKETS):
        if text := data.get(f"r{bucket}"):
            text = zlib.decompress(text) if isinstance(text, bytes) else text
            for task, (attempt, first, following) in json.loads(text).items():
                retries[int(task)] = RetryState(attempt, from_epoch(first), from_epoch(following))
    return Instance(
        instance_id=row.partition,
        execution_id=data["exec"],
        generation=data["gen"],
        name=data["name"],
        version=data["version"],
        status=RuntimeStatus(data["status"]),
        created=from_iso(data["created"]),
        updated=from_iso(data["updated"]),
        input=data["input"],
        output=data.get("output"),
        failure=data.get("failure"),
        custom=data.get("custom"),
        parent=None if parent is None else ParentLink(*json.loads(parent)),
        tags={} if tags is None else json.loads(tags),
        start_at=None if (start := data.get("start")) is None else from_iso(start),
        deadline=None if (deadline := data.get("deadline")) is None else from_iso(deadline),
        seq=data["seq"],
        first=data["first"],
        base=data["base"],
        dispatched=data["dispatched"],
        last_commit=data.get("last", ""),
        carry=data.get("carry"),
        ended=tuple(data.get("ended", "").split()),
        stuck=data.get("stuck", ""),
        build=data.get("build", ""),
        format=form,
        retries=retries,
        log=log,
        log_bytes=log_bytes,
        etag=row.etag,
    )


def _read_log(data: dict[str, Any]) -> tuple[dict[int, Value], int]:
    log: dict[int, Value] = {}
    weight = 0
    for seq in range(data["base"], data["seq"]):
        piece = data.get(f"s{seq}_0")
        if piece is None:
            break  # a selective read
        if isinstance(piece, bytes):
            log[seq] = packed = join_bytes(f"s{seq}_", data)
            weight += len(packed)
        else:
            log[seq] = piece
            weight += 2 * len(piece)
    return log, weight


def _read_segment(seq: int, text: str) -> Segment:
    commit_id, timestamp, arrays = json.loads(text)
    return Segment(seq, commit_id, from_epoch(timestamp), tuple(from_array(array) for array in arrays))


def _bucket(retries: Mapping[int, RetryState], bucket: int) -> Value:
    states: JSON = {
        str(task): [state.attempt, state.first_try.timestamp(), state.next_try.timestamp()]
        for task, state in retries.items()
        if task % RETRY_BUCKETS == bucket
    }
    text = dumps(states)
    return text if len(text) <= PLAIN_CHARS else zlib.compress(text.encode(), 1)
