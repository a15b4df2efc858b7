"""Reading and writing instances: the row, its append log, and the chunk rows that older commits move to.

A commit is one ``merge`` guarded by the row's ETag that adds one segment property; it sends only what is new, however
long the history is. When the log nears a row's limits, one transaction moves it to an immutable chunk row and replaces
the instance row without it. A reader takes from chunks only commits below the ``base`` of the row it has read; a gap
means that the row was rolled in between: start over (``HistoryMovedError``).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple, TypeVar, get_args

from ..engine.events import (
    CancelRequested,
    ContinueAsNew,
    Event,
    EventRaised,
    ExecutionStarted,
    ForEntity,
    Outgoing,
    Segment,
    from_array,
    from_arrays,
    make_segment,
    to_array,
)
from ..errors import DamagedRowError, PreconditionFailedError, RowExistsError, RowNotFoundError, StorageError
from ..headers import text_of
from ..lazy_dataclass import dataclass
from ..models import JSON, NO_OPERATIONS, Operations, RuntimeStatus
from ..moments import from_epoch
from ..storage.accounts import current_account
from ..storage.ports import (
    MAX_TRANSACTION_BYTES,
    MAX_TRANSACTION_ROWS,
    Delete,
    Insert,
    Merge,
    Operation,
    Replace,
    Row,
    Table,
    Value,
)
from .attempts import RETRY_BUCKETS
from .inbox import INBOX_PROPS, InboxRow
from .instance_row import STATUS_PROPS, Instance, RetryState, read_instance, retry_bucket, text_of_operations
from .keys import CHUNK_END, INSTANCE_KEY, LIVE_RANGE, after_prefix, chunk_key, chunk_prefix, journal_prefix
from .past_generations import PastGeneration, with_one_more
from .payloads import PLAIN_CHARS, PayloadGoneError, Payloads, dumps, join_bytes, size_of, split_bytes
from .times import iso
from .voiding import without_void

LOG_SEGMENTS = 128  # what the row's log may hold before it is rolled
LOG_BYTES = 256 * 1024
SEGMENT_BYTES = 256 * 1024  # a larger segment goes to payload rows
ENDED_KEPT = 8  # commits of ended generations that can still be told apart
PARSED_AT_ONCE = LOG_SEGMENTS  # segments in one JSON pass; more would hold more memory, and win nothing
COPIED_CHARS = 256 * 1024  # of segments in one chunk row of a fork
_FOR_ENTITIES = frozenset(get_args(ForEntity))
MOVED_TRIES = 20  # loads after which a history with a gap is taken for damaged


T = TypeVar("T")


class HistoryMovedError(StorageError):
    """The row changed while its history was read; load again."""


async def while_it_moves(read: Callable[[], Awaitable[T]]) -> T:
    """What ``read`` returns, which reads a row and then what belongs to it. It is called again while the instance is
    changed, or purged, in between.

    HistoryMovedError, PayloadGoneError: so often that the rows are probably damaged.
    """
    for _ in range(MOVED_TRIES - 1):
        with suppress(HistoryMovedError, PayloadGoneError):
            return await read()
    return await read()


class Carried(NamedTuple):
    """A decision of an earlier generation, and the time of the commit that held it.

    seq, previous: of a decision for an entity, the number of that commit, and of the commit before it with a decision
    for the same entity (-1: none).
    """

    generation: int
    decided: datetime
    event: Outgoing
    seq: int = -1
    previous: int = -1

    def to_json(self) -> JSON:
        fields: list[JSON] = [self.generation, self.decided.timestamp(), to_array(self.event)]
        return [*fields, self.seq, self.previous] if isinstance(self.event, ForEntity) else fields

    @classmethod
    def from_json(cls, data: JSON) -> Carried:
        generation, at, event, *more = data
        return cls(generation, from_epoch(at), from_array(event), *more)  # type: ignore[arg-type]


class Carry(NamedTuple):
    """What a generation passes on to the next: events that were not consumed, decisions that may not be dispatched, and
    the keys of consumed inbox rows that may be written again."""

    events: tuple[EventRaised | CancelRequested, ...]
    decisions: tuple[Carried, ...]
    seen: tuple[str, ...] = ()


class Loaded(NamedTuple):
    instance: Instance | None
    inbox: list[InboxRow]


class Peeked(NamedTuple):
    etag: str | None
    inbox: list[InboxRow]


class Packed(NamedTuple):
    """A segment as properties of the row, and as a stored value."""

    props: dict[str, Value]
    entry: Value


@dataclass(slots=True, kw_only=True)
class Commit:
    """One commit to be. ``consumed`` are keys of inbox rows that go in the same transaction.

    output, failure, custom: stored values, None to leave them as they are.
    waits: what the code waits for, as ``hub.waits`` writes it; None to leave it as it is.
    pause: the reason of a suspension; None to leave it as it is.
    section, updates: as in ``Instance``; None to leave it as it is.
    answers: changes of the rows of updates, in the same transaction.
    retries: every retry state there is after the commit. tries: the changed buckets of ended attempts.
    packed: the segment, once it is ready to be written.
    coming: storage operations that this process will do for the instance after the commit, and count in its account.
    elsewhere: those that others have done or will do for it: nobody else writes them down.
    """

    commit_id: str
    timestamp: datetime
    events: tuple[Event, ...] = ()
    status: RuntimeStatus
    output: Value | None = None
    failure: Value | None = None
    custom: Value | None = None
    waits: str | None = None
    pause: str | None = None
    section: str | None = None
    updates: str | None = None
    answers: Sequence[Insert | Merge] = ()
    retries: Mapping[int, RetryState] | None = None
    tries: Mapping[int, Value] = field(default_factory=lambda: {})
    consumed: Sequence[str] = ()
    dispatched: int
    build: str = ""
    packed: Packed | None = None
    coming: Operations = NO_OPERATIONS
    elsewhere: Operations = NO_OPERATIONS


class Instances:
    """Reads and writes instance rows and their chunks, and reads their inboxes."""

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
        """The row's ETag and the inbox: enough for a bare wake-up of a warm instance (rule R2)."""
        found = await self._table.read_range(instance_id, LIVE_RANGE, select=["exec", *INBOX_PROPS])
        etag = next((row.etag for row in found.rows if row.key == INSTANCE_KEY), None)
        return Peeked(etag, self._inbox(found.rows))

    async def read(self, instance_id: str) -> Instance | None:
        """The row with its log, without the inbox."""
        row = await self._table.get(instance_id, INSTANCE_KEY)
        return None if row is None else read_instance(row)

    async def get(self, instance_id: str) -> Instance | None:
        """The row without its log."""
        row = await self._table.get(instance_id, INSTANCE_KEY, STATUS_PROPS)
        return None if row is None else read_instance(row)

    async def history(self, instance: Instance) -> list[Segment]:
        """All commits of this generation, as they count: void ones have no events (rule R21).

        HistoryMovedError if the row has changed since it was read.
        """
        segments = await self.raw_history(instance)
        return without_void(segments) if instance.rewinds else segments

    async def raw_history(self, instance: Instance) -> list[Segment]:
        """All commits of this generation as they were written, void ones included. HistoryMovedError."""
        chunks: list[tuple[int, Value]] = []
        if instance.base > instance.first:
            prefix = chunk_prefix(instance.execution_id, instance.generation)
            found = await self._table.read_range(instance.instance_id, prefix, after_prefix(prefix))
            for row in found.rows:
                first = int(row.key[len(prefix) :])
                texts: list[Any] = json.loads(self._payloads.encoding.unpack(join_bytes("d", row.props)))
                chunks.extend(enumerate(texts, first))
        log = whole_log(instance, chunks)
        segments: list[Segment] = []
        for at in range(0, len(log), PARSED_AT_ONCE):
            texts = [
                entry
                if type(entry) is str and entry[:1] == "["
                else await self._payloads.load_text(instance.instance_id, entry)
                for _, entry in log[at : at + PARSED_AT_ONCE]
            ]
            segments.extend(_read_segments(instance.first + at, texts))
        for segment in segments if instance.rewinds else segments[:1]:  # a rewind of the first commit begins anew
            for at, event in enumerate(segment.events):
                if isinstance(event, ExecutionStarted):  # its input is kept once
                    whole = replace(event, input=await self._payloads.load(instance.instance_id, instance.input))
                    events = (*segment.events[:at], whole, *segment.events[at + 1 :])
                    segments[segment.seq - instance.first] = replace(segment, events=events)
                    break
        return segments

    def pause_reason(self, instance: Instance) -> str:
        """Why a suspended instance was suspended. CodecError."""
        return self._payloads.encoding.show(instance.pause)

    def waits(self, instance: Instance) -> str:
        """What the code of the instance waits for, as ``hub.waits`` reads it. CodecError."""
        return self._payloads.encoding.show(instance.waits)

    def headers(self, instance: Instance) -> str:
        """The headers of the instance as JSON text; '' for none. CodecError."""
        return self._payloads.encoding.show(instance.headers) if instance.headers else ""

    def stored_headers(self, headers: Mapping[str, JSON]) -> str:
        """Headers as the row holds them."""
        return self._payloads.encoding.hide(text_of(headers))

    async def carry(self, instance: Instance) -> Carry:
        if instance.carry is None:
            return Carry((), ())
        events, decisions, *more = await self._payloads.load(instance.instance_id, instance.carry)
        return Carry(
            tuple(from_array(e) for e in events),  # type: ignore[arg-type]
            tuple(Carried.from_json(each) for each in decisions),
            tuple(more[0]) if more else (),
        )

    async def create(self, instance: Instance, first: Insert | None = None) -> Instance:
        """``first``: an inbox row that comes into being with the instance. RowExistsError if the id is taken."""
        operations, written = _operations_after(NO_OPERATIONS)
        instance = instance.but(operations=operations)
        if first is not None:
            etags = await self._table.transact(instance.instance_id, [Insert(INSTANCE_KEY, instance.props()), first])
            etag = str(etags[0])
        else:
            etag = await self._table.insert(instance.instance_id, INSTANCE_KEY, instance.props())
        _settle(written)
        return instance.but(etag=etag)

    async def restart(self, ended: Instance, fresh: Instance, first: Insert | None = None) -> Instance:
        """Replace an ended execution by a new one. PreconditionFailedError if another caller was faster."""
        operations, written = _operations_after(NO_OPERATIONS)
        fresh = fresh.but(operations=operations)
        row = Replace(INSTANCE_KEY, fresh.props(), ended.etag)
        if first is not None:
            etag = str((await self._table.transact(ended.instance_id, [row, first]))[0])
        else:
            etag = await self._table.replace(ended.instance_id, INSTANCE_KEY, row.props, row.etag)
        _settle(written)
        return fresh.but(etag=etag)

    async def create_copy(
        self, instance: Instance, segments: Sequence[Segment], commit: Commit, told: Sequence[Insert]
    ) -> Instance:
        """Write a new instance with a history: chunk rows of ``segments``, and ``commit`` in its row.

        told: inbox rows that come into being with it. RowExistsError if the id is taken.
        """
        packed = await self.pack(instance, commit.commit_id, commit.timestamp, commit.events)
        assert packed is not None, "a fork has an event"
        chunks = await self._chunks(instance, segments)
        weight = sum(size_of(chunk.props) for chunk in chunks)
        if len(chunks) + len(told) + 1 > MAX_TRANSACTION_ROWS or weight > MAX_TRANSACTION_BYTES // 2:
            for chunk in chunks:
                with suppress(RowExistsError):  # from our own earlier try
                    await self._table.insert(instance.instance_id, chunk.key, chunk.props)
            chunks = []
        operations, written = _operations_after(NO_OPERATIONS)
        log, pause = {instance.seq: packed.entry}, ""
        if commit.pause is not None:
            pause = self._payloads.encoding.hide(commit.pause)
        after = instance.but(seq=instance.seq + 1, log=log, pause=pause, operations=operations)
        row = Insert(INSTANCE_KEY, after.props() | packed.props)
        etags = await self._table.transact(instance.instance_id, [row, *chunks, *told])
        _settle(written)
        return after.but(etag=str(etags[0]))

    async def _chunks(self, instance: Instance, segments: Sequence[Segment]) -> list[Insert]:
        """The chunk rows of commits that are written anew."""
        chunks: list[Insert] = []
        texts: list[str] = []
        for at, segment in enumerate(segments):
            arrays = [to_array(event) for event in segment.events]
            text = dumps([segment.commit_id, segment.timestamp.timestamp(), arrays])
            if len(text) > SEGMENT_BYTES and len(packed := self._payloads.encoding.pack(text)) > SEGMENT_BYTES:
                text = await self._payloads.put(instance.instance_id, instance.execution_id, packed)
            texts.append(dumps(text))
            if at + 1 == len(segments) or sum(map(len, texts)) > COPIED_CHARS:
                packed = self._payloads.encoding.pack(f"[{','.join(texts)}]")
                first = segment.seq + 1 - len(texts)
                key = chunk_key(instance.execution_id, instance.generation, first)
                chunks.append(Insert(key, split_bytes("d", packed)))
                texts = []
        return chunks

    async def pack(
        self, instance: Instance, commit_id: str, timestamp: datetime, events: Sequence[Event]
    ) -> Packed | None:
        """Make a commit's segment ready; payload rows that it needs are written. None if it has none."""
        if not events:
            return None
        text = dumps([commit_id, timestamp.timestamp(), list(map(to_array, events))])
        name = f"s{instance.seq}_"
        encoding = self._payloads.encoding
        if len(text) <= PLAIN_CHARS and not encoding.hides:
            return Packed({f"{name}0": text}, text)
        packed = encoding.pack(text)
        if len(packed) <= SEGMENT_BYTES:
            return Packed(split_bytes(name, packed), packed)
        reference = await self._payloads.put(instance.instance_id, instance.execution_id, packed)
        return Packed({f"{name}0": reference}, reference)

    def operations_after(self, instance: Instance, commit: Commit) -> Operations | None:
        """What the row says of its operations once the commit is written, if nothing is done before that."""
        return _operations_after(instance.operations, commit)[0]

    async def commit(self, instance: Instance, commit: Commit) -> Instance:
        """Write one commit; packed, it is one operation. Any StorageError leaves it unknown whether it was written."""
        changes: dict[str, Value] = {"last": commit.commit_id, "updated": iso(commit.timestamp)}
        after: dict[str, Any] = {"updated": commit.timestamp, "last_commit": commit.commit_id, "stuck": ""}
        if instance.stuck:
            changes["stuck"] = ""
        if commit.dispatched != instance.dispatched:
            changes["dispatched"] = after["dispatched"] = commit.dispatched
        if commit.status is not instance.status:
            changes["status"], after["status"] = f"{commit.status}", commit.status
        if commit.build != instance.build:
            changes["build"] = after["build"] = commit.build
        for name, value in (("output", commit.output), ("failure", commit.failure), ("custom", commit.custom)):
            if value is not None:
                changes[name] = after[name] = value
        if commit.pause is not None:
            changes["pause"] = after["pause"] = self._payloads.encoding.hide(commit.pause)
        if commit.waits is not None:
            encoding = self._payloads.encoding
            changes["waits"] = after["waits"] = encoding.hide(commit.waits) if encoding.hides else commit.waits
        if commit.section is not None:
            changes["section"] = after["section"] = commit.section
        if commit.updates is not None:
            changes["updates"] = after["updates"] = commit.updates
            after["takes_updates"] = True
        if not instance.uses_entities and _uses_entities(commit):
            after["uses_entities"] = True
        if "takes_updates" in after or "uses_entities" in after:
            changes["fmt"] = instance.but(**after).format
        if commit.retries is not None:
            after["retries"] = commit.retries
            retrying = sum(state.is_lasting for state in commit.retries.values())
            if retrying != instance.retrying:
                changes["retrying"] = after["retrying"] = retrying
            changed = {
                task % RETRY_BUCKETS
                for task in instance.retries.keys() | commit.retries.keys()
                if instance.retries.get(task) != commit.retries.get(task)
            }
            changes.update({f"r{bucket}": retry_bucket(commit.retries, bucket) for bucket in changed})
        if commit.tries:
            after["tries"] = {**instance.tries, **commit.tries}
            changes.update({f"q{bucket}": stored for bucket, stored in commit.tries.items()})
        packed = commit.packed or await self.pack(instance, commit.commit_id, commit.timestamp, commit.events)
        operations, written = _operations_after(instance.operations, commit)
        if operations is not None:
            after["operations"], changes["ops"] = operations, text_of_operations(operations)
        if packed is not None:
            after["seq"] = seq = instance.seq + 1
            after["log_bytes"] = instance.log_bytes + size_of(packed.props)
            if instance.log and (len(instance.log) >= LOG_SEGMENTS or after["log_bytes"] > LOG_BYTES):
                return await self._roll(instance, instance.but(**after), *packed, commit, written)
            changes.update(packed.props, seq=seq)
        if commit.consumed or commit.answers:
            merge = Merge(INSTANCE_KEY, changes, instance.etag)
            after["etag"] = await self._write(instance.instance_id, [merge, *commit.answers], commit.consumed, written)
        else:
            after["etag"] = await self._table.merge(instance.instance_id, INSTANCE_KEY, changes, instance.etag)
            _settle(written)
        if packed is not None:  # the rows before and after share the log; the row before is not used again
            instance.log[instance.seq] = packed.entry
        return instance.but(**after)

    async def next_generation(
        self,
        instance: Instance,
        commit: Commit,
        ending: ContinueAsNew,
        carry: Carry,
        history: Sequence[Segment],
        version: str,
        slot: str = "",
    ) -> Instance:
        """Continue as new: the row begins again with a new generation, its old log gone.

        ``history``: this generation's commits before this one. ``version``: of the orchestrator from now on.
        ``slot``: that which the next generation holds.
        """
        seq = instance.seq + 1
        carried = None
        if any(carry):
            left = [each.to_json() for each in carry.decisions]
            arrays = [[to_array(e) for e in carry.events], left, list(carry.seen)]
            carried = await self._payloads.store(instance.instance_id, instance.execution_id, arrays)
        after = instance.but(
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
            ended=(*instance.ended, *(segment.commit_id for segment in history), commit.commit_id)[-ENDED_KEPT:],
            past=with_one_more(
                instance.past,
                PastGeneration(
                    number=instance.generation,
                    started=history[0].timestamp if history else commit.timestamp,
                    ended=commit.timestamp,
                    events=sum(len(segment.events) for segment in history) + len(commit.events),
                ),
            ),
            build=commit.build,
            stuck="",
            pause="" if commit.pause is None else self._payloads.encoding.hide(commit.pause),
            waits="",
            section="",
            slot=slot,
            uses_entities=instance.uses_entities or _uses_entities(commit),
            takes_updates=instance.takes_updates or bool(commit.updates),
            updates=instance.updates if commit.updates is None else commit.updates,
            retrying=0,
            retries={},
            tries={},
            log={},
            log_bytes=0,
        )
        operations, written = _operations_after(instance.operations, commit)
        after = after.but(operations=operations)
        row = Replace(INSTANCE_KEY, after.props(), instance.etag)
        changed = [row, *commit.answers]
        return after.but(etag=await self._write(instance.instance_id, changed, commit.consumed, written))

    async def rewind(self, instance: Instance, after: Instance, commit: Commit) -> Instance:
        """Write the commit of a rewind, with the log before it in a chunk row; ``after`` has what changes in the row.

        instance: as loaded, with its log. PreconditionFailedError, RowNotFoundError: it was changed meanwhile.
        """
        packed = commit.packed or await self.pack(instance, commit.commit_id, commit.timestamp, commit.events)
        assert packed is not None, "a rewind has an event"
        segment, entry = packed
        after = after.but(
            seq=instance.seq + 1,
            updated=commit.timestamp,
            last_commit=commit.commit_id,
            dispatched=commit.dispatched,
            build=commit.build,
        )
        operations, written = _operations_after(instance.operations, commit)
        after = after.but(operations=operations)
        return await self._roll(instance, after, segment, entry, commit, written)

    async def pin(self, instance: Instance, version: str) -> Instance:
        """Set the version of the orchestrator before the first turn. HistoryMovedError if another host was faster."""
        try:
            etag = await self._table.merge(instance.instance_id, INSTANCE_KEY, {"version": version}, instance.etag)
        except (PreconditionFailedError, RowNotFoundError):
            raise HistoryMovedError(f"another host has changed instance '{instance.instance_id}'") from None
        return instance.but(version=version, etag=etag)

    async def put_off(self, waiting: Instance, after: Instance) -> Instance:
        """Change the input and the times of an instance that has not begun. PreconditionFailedError, RowNotFoundError:
        a host has begun it, or it was changed otherwise."""
        operations, written = _operations_after(waiting.operations)
        after = after.but(operations=operations)
        changes: dict[str, Value] = {"input": after.input}
        if after.limit != waiting.limit:
            changes |= {"limit": after.limit, "fmt": after.format}
        for name, moment in (("start", after.start_at), ("deadline", after.deadline)):
            if moment is not None:
                changes[name] = iso(moment)
        if operations is not None:
            changes["ops"] = text_of_operations(operations)
        etag = await self._table.merge(waiting.instance_id, INSTANCE_KEY, changes, waiting.etag)
        _settle(written)
        return after.but(etag=etag)

    async def adopt(self, child: Instance, parent_rewinds: int) -> Instance:
        """Note for which run of its parent a child runs. PreconditionFailedError, RowNotFoundError."""
        after = child.but(parent_rewinds=parent_rewinds)
        changes: dict[str, Value] = {"fmt": after.format, "parent_rewinds": parent_rewinds}
        return after.but(etag=await self._table.merge(child.instance_id, INSTANCE_KEY, changes, child.etag))

    async def note_dispatched(self, instance: Instance, up_to: int) -> Instance:
        """Store up to which commit all are dispatched, without a commit. PreconditionFailedError, RowNotFoundError."""
        etag = await self._table.merge(instance.instance_id, INSTANCE_KEY, {"dispatched": up_to}, instance.etag)
        return instance.but(dispatched=up_to, etag=etag)

    async def mark_stuck(self, instance_id: str, reason: str) -> None:
        """Show the instance as stuck; its next commit takes the mark away. RowNotFoundError."""
        await self._table.merge(instance_id, INSTANCE_KEY, {"stuck": reason[:8000]})

    async def drop_generation(self, instance: Instance) -> None:
        """Collect the chunk rows of a generation that has ended."""
        await self._drop(instance.instance_id, chunk_prefix(instance.execution_id, instance.generation))

    async def drop_journals(self, instance: Instance) -> None:
        """Collect the journals of the calls of a generation that has ended."""
        await self._drop(instance.instance_id, journal_prefix(instance.execution_id, instance.generation))

    async def drop_execution(self, instance_id: str, keep_execution: str) -> None:
        """Collect chunks and payloads of every execution but one."""
        found = await self._table.read_range(instance_id, "", CHUNK_END, select=["d"])
        await self._delete_all(
            instance_id, [row.key for row in found.rows if not row.key[1:].startswith(keep_execution)]
        )

    async def purge(self, instance: Instance) -> None:
        """Delete the partition, the instance row last. PreconditionFailedError if it was changed meanwhile: restarted,
        or rewound; then nothing is deleted.

        One transaction deletes all, or the row is claimed before anything is deleted: a rewind finds the mark, and no
        history with gaps (rule R23).
        """
        found = await self._table.read_range(instance.instance_id, "", INSTANCE_KEY, select=["d"])
        keys = [row.key for row in found.rows]
        last = Delete(INSTANCE_KEY, instance.etag)
        if len(keys) < MAX_TRANSACTION_ROWS:
            try:
                await self._purge_at_once(instance, keys, last)
                return
            except RowNotFoundError:  # another purge deletes the same rows
                pass
        etag = await self._claim(instance)
        await self._delete_all(instance.instance_id, keys)
        await self._table.delete(instance.instance_id, INSTANCE_KEY, etag)

    async def _purge_at_once(self, instance: Instance, keys: Sequence[str], last: Delete) -> None:
        if keys:
            await self._table.transact(instance.instance_id, [last, *(Delete(key) for key in keys)])
        else:
            await self._table.delete(instance.instance_id, last.key, last.etag)

    async def _claim(self, instance: Instance) -> str:
        """Mark the row as purged. Returns its new ETag."""
        return await self._table.merge(instance.instance_id, INSTANCE_KEY, {"purging": True}, instance.etag)

    async def _drop(self, instance_id: str, prefix: str) -> None:
        found = await self._table.read_range(instance_id, prefix, after_prefix(prefix), select=["d"])
        await self._delete_all(instance_id, [row.key for row in found.rows])

    async def _delete_all(self, instance_id: str, keys: Sequence[str]) -> None:
        for at in range(0, len(keys), MAX_TRANSACTION_ROWS):
            batch = keys[at : at + MAX_TRANSACTION_ROWS]
            try:
                await self._table.transact(instance_id, [Delete(key) for key in batch])
            except RowNotFoundError:  # another host deletes the same rows: delete them one by one
                for key in batch:
                    with suppress(RowNotFoundError):
                        await self._table.delete(instance_id, key)

    async def _roll(
        self,
        instance: Instance,
        after: Instance,
        segment: dict[str, Value],
        entry: Value,
        commit: Commit,
        written: Operations,
    ) -> Instance:
        """The commit that moves the log before it into a chunk row."""
        encoding = self._payloads.encoding
        entries = [instance.log[seq] for seq in range(instance.base, instance.seq)]
        joined = ",".join(dumps(encoding.unpack(e) if isinstance(e, bytes) else e) for e in entries)
        packed = encoding.pack(f"[{joined}]")
        after = after.but(base=instance.seq, log={instance.seq: entry}, log_bytes=size_of(segment))
        chunk = Insert(chunk_key(instance.execution_id, instance.generation, instance.base), split_bytes("d", packed))
        row = Replace(INSTANCE_KEY, after.props() | segment, instance.etag)
        changed = [chunk, row, *commit.answers]
        return after.but(etag=await self._write(after.instance_id, changed, commit.consumed, written))

    async def _write(
        self, instance_id: str, changes: Sequence[Operation], consumed: Sequence[str], written: Operations
    ) -> str:
        """The instance row's new ETag. ``written``: what the row now says of the account of this context."""
        operations = [*changes, *(Delete(key) for key in consumed)] if consumed else changes
        last = operations[0]
        if len(operations) == 1 and isinstance(last, Replace):
            etag = await self._table.replace(instance_id, last.key, last.props, last.etag)
        else:
            etags = await self._table.transact(instance_id, operations)
            etag = str(etags[next(k for k, op in enumerate(operations) if op.key == INSTANCE_KEY)])
        _settle(written)
        return etag

    def _split(self, rows: Sequence[Row]) -> Loaded:
        if len(rows) == 1 and rows[0].key == INSTANCE_KEY:  # nearly always: there is no inbox
            return Loaded(read_instance(rows[0]), [])
        instance = next((read_instance(row) for row in rows if row.key == INSTANCE_KEY), None)
        return Loaded(instance, self._inbox(rows))

    def _inbox(self, rows: Sequence[Row]) -> list[InboxRow]:
        encoding = self._payloads.encoding
        return [InboxRow.from_row(row, encoding) for row in rows if row.key != INSTANCE_KEY]


def _operations_after(before: Operations | None, commit: Commit | None = None) -> tuple[Operations | None, Operations]:
    """The operations that a row says with its next write, that write included; and those of them that are, or will be,
    in the account of this context."""
    if before is None:
        return None, NO_OPERATIONS
    account = current_account()
    reads, writes, messages = (0, 1, 0) if account is None else (account.reads, account.writes + 1, account.messages)
    total = before
    if commit is not None and commit.coming is not NO_OPERATIONS:
        coming = commit.coming
        reads, writes, messages = reads + coming.reads, writes + coming.writes, messages + coming.messages
    if commit is not None and commit.elsewhere is not NO_OPERATIONS:
        total = before.plus(commit.elsewhere)
    written = Operations(reads, writes, messages)
    return Operations(total.reads + reads, total.writes + writes, total.messages + messages), written


def _settle(written: Operations) -> None:
    account = current_account()
    if account is not None:
        account.settle(written)


def _uses_entities(commit: Commit) -> bool:
    return not _FOR_ENTITIES.isdisjoint(map(type, commit.events))


def whole_log(instance: Instance, chunks: Sequence[tuple[int, Value]]) -> list[tuple[int, Value]]:
    """Every commit of the generation once, in order, from its chunk rows and from the instance row (rule R15).

    The log may have been rolled between the two reads: a chunk counts for what lies below the row's ``base`` only.
    HistoryMovedError: a commit is in neither, the generation was collected meanwhile.
    """
    log = {seq: entry for seq, entry in chunks if seq < instance.base} | instance.log
    for seq in range(instance.first, instance.seq):
        if seq not in log:
            raise HistoryMovedError(f"commit {seq} of instance '{instance.instance_id}' was moved by another host")
    return [(seq, log[seq]) for seq in range(instance.first, instance.seq)]


def _read_segments(first: int, texts: Sequence[str]) -> list[Segment]:
    """Segments from their texts, in one JSON pass: one for each text would take several times as long."""
    try:
        parsed = json.loads(f"[{','.join(texts)}]")
        times = [from_epoch(timestamp) for _, timestamp, _ in parsed]
    except (ArithmeticError, TypeError, ValueError) as error:
        raise DamagedRowError(f"the history is damaged: {type(error).__name__}: {error}") from error
    events = from_arrays(chain.from_iterable([arrays for _, _, arrays in parsed]))
    segments: list[Segment] = []
    end = 0
    for seq, ((commit_id, _, arrays), at) in enumerate(zip(parsed, times, strict=True), first):
        begin, end = end, end + len(arrays)
        segments.append(make_segment(seq, commit_id, at, events[begin:end], ()))
    return segments
