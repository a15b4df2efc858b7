"""One batch of an entity: applies the parcels that may be applied now, and collects what is to be committed and sent.

A batch is decided by the row, the mailbox and the clock; the user's code runs in it. Nothing is written here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import field, replace
from datetime import datetime

from ...entities import EntityId, HeldState, OrchestrationBegun, SignalSent
from ...errors import DamagedRowError, InvalidInputError
from ...hub.entities.operations import Answer, Operation, OperationKind, Parcel
from ...hub.entities.row import NEVER, Cursor, EntityRow, Lock, Sent, SentParcel, SentStart
from ...hub.entities.store import BatchCommit, Entities, ScheduledRow, StoredParcel
from ...hub.payloads import PayloadGoneError, dumps
from ...lazy_dataclass import dataclass
from ...limits import GATE, TICK
from ...log_context import durable_logger
from ...models import JSON, FailureDetails
from .code import EntityCode
from .gate import Gate, grants_of
from .rules import (
    YOUNG_SECONDS,
    control_stream,
    cursors_to_spill,
    is_applied,
    is_in_its_section,
    is_next_of_its_stream,
    is_request_for,
    may_be_spilled,
    may_pass,
    signal_stream,
    waits_for_previous,
)

MAX_CONSUMED = 90  # rows that one batch deletes; a transaction holds a hundred
MAX_SCHEDULED_ROWS = 8  # that one batch inserts
SCHEDULED_IN_ROW = 500

logger = durable_logger("durable_core.runtime")


@dataclass(slots=True)
class Mailbox:
    """The mailbox as loaded, without what batches of this turn have consumed.

    parcels: in the service's order. spilled: the cursors that have left the row, once they are loaded.
    """

    parcels: list[StoredParcel]
    scheduled: list[ScheduledRow]
    spilled: dict[str, Cursor] | None = None

    @classmethod
    def of(cls, parcels: Sequence[StoredParcel], scheduled: Sequence[ScheduledRow]) -> Mailbox:
        return cls(sorted(parcels, key=lambda parcel: parcel.order), list(scheduled))

    @property
    def due(self) -> datetime | None:
        """When the next scheduled operation is due."""
        return min((row.due for row in self.scheduled), default=None)


@dataclass(slots=True)
class _Work:
    """What the batch has done so far."""

    lock: Lock | None
    cursors: dict[str, Cursor]
    consumed: dict[str, StoredParcel | ScheduledRow] = field(default_factory=lambda: {})
    touched: set[str] = field(default_factory=lambda: set())
    answers: list[Answer] = field(default_factory=lambda: [])
    starts: list[SentStart] = field(default_factory=lambda: [])
    signals: dict[EntityId, list[Operation]] = field(default_factory=lambda: {})
    control: dict[str, list[Operation]] = field(default_factory=lambda: {})
    scheduled: list[Operation] = field(default_factory=lambda: [])
    is_begun: bool = False


class Batch:
    """A batch over one row. ``until``: the time of the loop after which no further operation begins."""

    def __init__(
        self,
        row: EntityRow,
        state: HeldState,
        mailbox: Mailbox,
        entities: Entities,
        code: Callable[[], EntityCode],
        now: datetime,
        until: float,
    ) -> None:
        self._row, self._state, self._mailbox = row, state, mailbox
        self._entities, self._now, self._until = entities, now, until
        self._make_code, self._code = code, None
        self._work = _Work(row.lock, dict(row.cursors))
        self._gate = Gate.of(state) if row.entity.name == GATE else None
        self._by_stream: dict[str, list[StoredParcel]] = {}
        for parcel in mailbox.parcels:
            self._by_stream.setdefault(parcel.stream, []).append(parcel)

    async def run(self) -> bool:
        """Apply what may be applied. Whether anything is to be committed. UnknownEntityError, PayloadGoneError."""
        await self._run_due()
        while await self._pass():
            pass
        work = self._work
        if not work.touched and not work.consumed:
            return False
        if self._gate is not None:
            self._grant_slots(self._gate)
        return True

    def commit(self, commit_id: str, build: str, state: HeldState, before: str | None) -> BatchCommit:
        """What is to be written. ``before``: the JSON text of the state as stored; None if there is none."""
        work, row = self._work, self._row
        seq = row.seq + 1
        spilled = {stream: work.cursors.pop(stream) for stream in self._to_spill()}
        young = max((cursor.at for cursor in spilled.values()), default=0.0) + YOUNG_SECONDS
        text = dumps(state.value) if state.exists else None
        after = replace(
            row,
            seq=seq,
            updated=self._now,
            exists=state.exists,
            lock=work.lock,
            cursors=work.cursors,
            out=self._out(seq),
            has_spilled=row.has_spilled or bool(spilled),
            spilled_until=max(row.spilled_until, young) if spilled else row.spilled_until,
            stuck="",
            build=build,
        )
        return BatchCommit(
            row=after,
            commit_id=commit_id,
            state=text if text != before else None,
            consumed=list(work.consumed),
            scheduled=self._scheduled(),
            spilled=spilled,
        )

    def consumed(self) -> dict[str, StoredParcel | ScheduledRow]:
        """The rows that are deleted with the commit, by key."""
        return self._work.consumed

    # ------------------------------------------------------------ what may be applied

    async def _pass(self) -> bool:
        """Go through the mailbox once, in order. Whether another pass may find more."""
        found, lock = False, self._work.lock
        for parcel in self._mailbox.parcels:
            if parcel.key in self._work.consumed:
                continue
            if self._is_full:
                return False
            if await self._take(parcel):
                found = True
                if self._work.lock is not lock:
                    break  # those that waited before this parcel go first
        return found

    @property
    def _is_full(self) -> bool:
        work = self._work
        is_late = work.is_begun and asyncio.get_running_loop().time() > self._until
        return is_late or len(work.consumed) >= MAX_CONSUMED

    async def _take(self, parcel: StoredParcel) -> bool:
        """Apply the parcel, or recognise it as a duplicate; False if it has to wait."""
        entity, work = self._row.entity, self._work
        cursor = await self._cursor_of(parcel)
        if is_applied(cursor, parcel):
            await self._answer_again(parcel, cursor)
            self._consume(parcel)
            return True
        left = [other for other in self._by_stream[parcel.stream] if other.key not in work.consumed]
        if waits_for_previous(cursor, parcel) or not is_next_of_its_stream(parcel, left):
            return False
        operations = await self._entities.operations_of(entity, parcel)
        if not may_pass(work.lock, parcel.stream, operations):
            return False
        done = cursor.part if cursor.part_of == parcel.number else 0
        answers = list(cursor.answers) if parcel.busy or done else []
        for at, operation in enumerate(operations[done:], done):
            if at > done and self._is_full:  # the rest is applied by the next batch
                work.cursors[parcel.stream] = Cursor(
                    cursor.number, self._now.timestamp(), tuple(answers), parcel.number, at
                )
                work.touched.add(parcel.stream)
                return False
            if (answer := await self._apply(operation)) is not None:
                answers.append(answer)
        work.cursors[parcel.stream] = Cursor(parcel.number, self._now.timestamp(), tuple(answers))
        self._consume(parcel)
        return True

    async def _cursor_of(self, parcel: StoredParcel) -> Cursor:
        cursor = self._work.cursors.get(parcel.stream)
        if cursor is not None:
            return cursor
        if not may_be_spilled(self._row, parcel, self._now.timestamp()):
            return NEVER
        if self._mailbox.spilled is None:
            self._mailbox.spilled = await self._entities.spilled(self._row.entity)
        return self._mailbox.spilled.get(parcel.stream, NEVER)

    def _consume(self, parcel: StoredParcel) -> None:
        self._work.consumed[parcel.key] = parcel
        self._work.touched.add(parcel.stream)

    async def _answer_again(self, parcel: StoredParcel, cursor: Cursor) -> None:
        """The sender may have lost the answers that it waits for (rules N16, N17, N33)."""
        self._work.answers.extend(cursor.answers)
        if self._gate is not None:
            self._work.answers.extend(grants_of(self._gate, parcel.stream))
        lock = self._work.lock
        if lock is None:
            return
        with suppress(PayloadGoneError):  # a request for locks is small: it has no payload rows
            for operation in await self._entities.operations_of(self._row.entity, parcel):
                if is_request_for(lock, operation):
                    self._pass_on_request(operation)

    async def _run_due(self) -> None:
        """Run the scheduled operations that are due. While the entity is locked they wait, as all of others do."""
        work = self._work
        for row in sorted(self._mailbox.scheduled, key=lambda row: row.key):
            if row.due > self._now or work.lock is not None or self._is_full:
                return
            operations = await self._entities.due_operations(self._row.entity, row)
            work.consumed[row.key] = row
            for operation in operations:
                if operation.due is None or operation.due <= self._now:
                    await self._apply(replace(operation, due=None))
                else:
                    work.scheduled.append(operation)

    # ------------------------------------------------------------ one operation

    async def _apply(self, operation: Operation) -> Answer | None:
        """Apply one operation. Returns the answer to a call, which is to be kept."""
        work = self._work
        match operation.kind:
            case OperationKind.SIGNAL if operation.due is not None and operation.due > self._now:
                work.scheduled.append(operation)
            case OperationKind.SIGNAL | OperationKind.CALL:
                return await self._run_code(operation)
            case OperationKind.DELETE if self._gate is not None:
                self._gate.holders = []  # who waits must be answered all the same
            case OperationKind.DELETE:
                self._state.exists, self._state.value, self._state.live = False, None, None
            case OperationKind.LOCK:
                self._grant(operation)
            case OperationKind.RELEASE:
                self._release(operation)
        return None

    async def _run_code(self, operation: Operation) -> Answer | None:
        if self._gate is not None:
            self._gate.apply(operation, self._now)
            return None
        failure: FailureDetails | None
        if is_in_its_section(self._work.lock, operation):
            if self._code is None:
                self._code = self._make_code()
            self._work.is_begun = True
            effects, failure = await self._code.run(operation, self._state)
            result = effects.result
            self._send(effects.sent, operation.headers)
        else:
            error = InvalidInputError("the critical section in which the operation was called is over")
            result, failure = None, FailureDetails.from_exception(error, retriable=False)
        if operation.asker is None:
            if failure is not None:
                logger.warning(
                    "operation '%s' of entity %s failed, and nobody waits for it: %s: %s\n%s",
                    operation.name,
                    self._row.entity,
                    failure.type,
                    failure.message,
                    failure.stack_trace,
                )
            return None
        answer = Answer(operation.asker, None if failure is not None else result, failure)
        self._work.answers.append(answer)
        return answer

    def _grant_slots(self, gate: Gate) -> None:
        """Answer the requests that are granted now, and look again when the rate permits the next."""
        self._work.answers.extend(Answer(place.asker) for place in gate.grant(self._now))
        if (look := gate.next_look(self._now)) is not None:
            self._work.scheduled.append(Operation(kind=OperationKind.SIGNAL, name=TICK, due=look))
        gate.keep(self._state)

    def _send(self, sent: Sequence[SignalSent | OrchestrationBegun], headers: JSON) -> None:
        """Collect what an operation has sent, which has the headers of the operation."""
        work = self._work
        for each in sent:
            if isinstance(each, SignalSent):
                kind = OperationKind.SIGNAL
                signal = Operation(kind=kind, name=each.operation, input=each.input, due=each.at, headers=headers)
                work.signals.setdefault(each.entity, []).append(signal)
            else:
                start = SentStart(each.name, each.instance_id, each.input, each.version, self._now, headers)
                work.starts.append(start)

    def _grant(self, request: Operation) -> None:
        lock = self._work.lock
        if lock is not None and lock.section != request.section:
            raise DamagedRowError(f"entity {self._row.entity} is locked, and a parcel in its mailbox locks it again")
        assert request.asker is not None
        if lock is None:
            self._work.lock = Lock(
                section=request.section,
                holder=request.asker,
                since=self._now,
                chain=request.chain,
                position=request.position,
            )
        self._pass_on_request(request)

    def _pass_on_request(self, request: Operation) -> None:
        """The next entity of the chain is locked next; after the last, the orchestration is answered (rule N17)."""
        assert request.asker is not None
        if not self._pass_on(request):
            self._work.answers.append(Answer(request.asker))

    def _release(self, release: Operation) -> None:
        lock = self._work.lock
        if lock is not None and lock.section == release.section:
            self._work.lock = None
            self._pass_on(release)

    def _pass_on(self, operation: Operation) -> bool:
        """Send a request or a release to the next entity of its chain (rule N29); False at the end of the chain."""
        following = operation.position + 1
        if following >= len(operation.chain):
            return False
        self._work.control.setdefault(operation.chain[following], []).append(replace(operation, position=following))
        return True

    # ------------------------------------------------------------ what is written

    def _out(self, seq: int) -> tuple[Sent, ...]:
        work, row = self._work, self._row
        out: list[Sent] = []
        for target, operations in work.control.items():
            parcel = Parcel(stream=control_stream(row), number=seq, operations=tuple(operations))
            out.append(SentParcel(target, parcel))
        for entity, operations in work.signals.items():
            parcel = Parcel(stream=signal_stream(row), number=seq, operations=tuple(operations))
            out.append(SentParcel(str(entity), parcel))
        return (*out, *work.starts, *work.answers)

    def _scheduled(self) -> list[list[Operation]]:
        """The scheduled operations, in as many rows as are to be inserted."""
        left = sorted(self._work.scheduled, key=_due_of)
        size = max(SCHEDULED_IN_ROW, -(-len(left) // MAX_SCHEDULED_ROWS))
        return [left[at : at + size] for at in range(0, len(left), size)]

    def _to_spill(self) -> list[str]:
        in_mailbox = {parcel.stream for parcel in self._mailbox.parcels if parcel.key not in self._work.consumed}
        return cursors_to_spill(self._work.cursors, in_mailbox, self._work.touched)


def _due_of(operation: Operation) -> datetime:
    assert operation.due is not None
    return operation.due
