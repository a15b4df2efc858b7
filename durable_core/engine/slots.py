"""Slots of limits, from the request to the release: of ``ctx.slot``, and of calls of activities with a limit.

A slot is asked for by a call of the limit's gate, which answers when it grants the slot, and is given back by a signal.
Every end of a generation gives back what it holds or has asked for (rule N32), so no slot outlives its holder.
"""

# pyright: reportPrivateUsage=false
# The tasks below are friends of the class Task, as other combinations are.

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InvalidInputError, OrchestratorCodeError, TaskCancelledError
from ..limits import ACQUIRE, GATE_PREFIX, RELEASE, Limit, asked_of
from ..models import JSON
from .events import EntityCalled, EntitySignaled, OperationAnswered, Segment
from .tasks import Combination, Task, own_error, settle
from .user_frames import caller

if TYPE_CHECKING:
    from .state import ExecutionState

T = TypeVar("T")

INHERITED = 0
"""The key of a slot from the generation before: tasks are counted from 1."""
FIRST_TASK = 1
"""The request for the slot of the whole orchestration is the first call of a generation."""
OF_RUN = ".run"
"""The end of the names of slots of whole orchestrations."""


class Slot:
    """A slot of a limit: ``with (yield from ctx.slot(limit)):``. It is given back at the end of the block, by
    ``release``, or when the orchestration ends or continues as new, in whatever way."""

    __durable_no_value__ = "a slot cannot be stored; ask for one again where it is needed"

    def __init__(self, leave: Callable[[str], None]) -> None:
        self._leave = leave

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def release(self) -> None:
        """Give the slot back before the end of the block. A second call does nothing."""
        self._leave(caller())


class SlotTask(Combination[Slot]):
    """Waits until a slot is granted."""

    __slots__ = ("_withdraw",)

    def __init__(self, owner: object, asked: Task[Any], withdraw: Callable[[str], None]) -> None:
        self._withdraw = withdraw
        super().__init__(owner, (asked,), "ctx.slot")

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if not self._done:
            settle(self, None if child._error is not None else Slot(self._withdraw), child._error)

    def cancel(self) -> None:
        """Withdraw the request, if the slot is not granted yet: code that waits for it gets a TaskCancelledError."""
        self._seen = True
        if not self._done:
            self._give_up(_cancelled(), caller())

    def left(self, error: TaskCancelledError) -> None:
        if not self._done:
            self._give_up(error, "")

    def _give_up(self, error: TaskCancelledError, line: str) -> None:
        self._withdraw(line)
        self._decide(None, error)


class LimitedTask(Combination[T]):
    """A call that begins when its slot is granted, and gives the slot back when it has ended."""

    __slots__ = ("_begin", "_called", "_withdraw")

    def __init__(
        self, owner: object, asked: Task[Any], begin: Callable[[], Task[T]], withdraw: Callable[[str], None]
    ) -> None:
        self._begin, self._withdraw = begin, withdraw
        self._called: Task[T] | None = None
        super().__init__(owner, (asked,), "a call with a limit")

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if self._done:
            return
        if child is self._called or child._error is not None:
            self._withdraw("")
            settle(self, child._value, child._error)
            return
        self._called = self._begin()
        self._adopt(self._called)

    def left(self, error: TaskCancelledError) -> None:
        if self._called is None and not self._done:
            self._withdraw("")
            self._decide(None, error)


def ask(decisions: ExecutionState, task_id: int, gate: str, request: JSON, line: str) -> Task[Any]:
    """Record the request for a slot; the task ends when it is granted."""
    event = EntityCalled(task_id, gate, ACQUIRE, request, line, 0, *decisions.contact(gate))
    asked: Task[Any] = Task(decisions, event, None)
    decisions.call(asked, event, None)
    if decisions.is_running:
        decisions.slots = decisions.slots or {}
        decisions.slots[task_id] = gate, request["slot"]
    return asked


def give_back(decisions: ExecutionState, task_id: int, line: str) -> None:
    """Record that a slot, or the request for it, is over. Nothing if it is already."""
    if not decisions.is_running or (held := decisions.slots.pop(task_id, None)) is None:
        return
    gate, slot = held
    decisions.open.pop(task_id, None)
    if decisions.pending.pop(task_id, None) is not None:
        decisions.entity_calls[gate] -= 1
    decisions.record(EntitySignaled(task_id, gate, RELEASE, slot, line, None, *decisions.contact(gate)))


def give_all_back(decisions: ExecutionState, *, but_of_run: bool = False) -> None:
    """Record that all slots of a generation that ends are over (rule N32). but_of_run: that of the whole orchestration
    goes on to the next generation (rule N34)."""
    for task_id in list(decisions.slots):
        if not (but_of_run and task_id == decisions.run_slot):
            give_back(decisions, task_id, "")


def kept_slot(decisions: ExecutionState) -> str:
    """The slot of the whole orchestration, as JSON ``[gate, name]``; '' if it holds none."""
    held = None if decisions.run_slot is None else decisions.slots.get(decisions.run_slot)
    return "" if held is None else json.dumps(held, separators=(",", ":"))


def take_over(decisions: ExecutionState, slot: JSON) -> None:
    """Note the slot that the generation before has held."""
    gate, name = slot
    decisions.slots = decisions.slots or {}
    decisions.slots[INHERITED] = gate, name
    decisions.run_slot = INHERITED


def take_over_unstarted(decisions: ExecutionState, slot: str) -> None:
    """The same for a generation that ends before its start, which would say it. In a replay the history decides."""
    if not decisions.is_replaying:
        if slot:
            take_over(decisions, json.loads(slot))
        return
    for event in decisions.foretold:
        if isinstance(event, EntitySignaled) and event.task_id == INHERITED and event.operation == RELEASE:
            take_over(decisions, [event.entity, event.input])


def run_request(
    decisions: ExecutionState, limit: Limit | None, given: str, slot: str, input_: Callable[[], object]
) -> tuple[str, JSON] | None:
    """The gate, and the request for the slot of the whole orchestration, if it is to wait for one.

    given: that of the start, as JSON, which goes before the limit of the code; '' if it has none. In a replay the
    history decides: an instance that has begun without a limit goes on without.
    """
    if decisions.is_replaying:
        event = decisions.foretold_request()
        return None if event is None or not event.input["slot"].endswith(OF_RUN) else (event.entity, event.input)
    if given:
        gate, request = json.loads(given)
        return gate, {**request, "slot": slot}
    return None if limit is None else request_of(decisions, limit, slot, input_())


def check_not_of_run(decisions: ExecutionState, limit: Limit, gate: str) -> None:
    """OrchestratorCodeError: the orchestration would wait for a slot that it may hold itself."""
    held = None if decisions.run_slot is None else decisions.slots.get(decisions.run_slot)
    if held is not None and held[0] == gate and (limit.concurrency is not None or limit.each is not None):
        raise OrchestratorCodeError(
            f"this orchestration holds a slot of limit '{limit.name}' for its whole run, and would wait for another "
            "one of the same key: such orchestrations wait for each other for ever; use another limit for its calls",
            caller(),
        )


def slot_of(execution_id: str, generation: int, task_id: int) -> str:
    """The name of a slot, or of the request for it: of all of the hub's it is the only one."""
    return f"{execution_id}.{generation}.{task_id}"


def slot_of_run(execution_id: str, generation: int) -> str:
    """The name of the slot of a whole orchestration that asks for it in this generation."""
    return f"{execution_id}.{generation}{OF_RUN}"


def request_of(decisions: ExecutionState, limit: Limit, slot: str, input_: object) -> tuple[str, JSON]:
    """The gate, and the request for a slot, of a call with this input. OrchestratorCodeError, also for a slot that the
    orchestration may hold itself."""
    try:
        gate, request = asked_of(limit, slot, input_)
    except InvalidInputError as error:
        raise OrchestratorCodeError(str(error), caller()) from error
    if decisions.run_slot is not None:
        check_not_of_run(decisions, limit, gate)
    return gate, request


def awaited_by_run(segments: Iterable[Segment]) -> str:
    """The limit, with its key, for whose slot the whole orchestration waits at the end of this history of a generation;
    '' if its code has begun, or waits for nothing of the kind."""
    limit = ""
    for segment in segments:
        for event in segment.events:
            if isinstance(event, EntityCalled) and event.task_id == FIRST_TASK:
                if not is_gate(event.entity) or not event.input["slot"].endswith(OF_RUN):
                    return ""
                limit = event.entity.removeprefix(GATE_PREFIX)
            elif isinstance(event, OperationAnswered) and event.task_id == FIRST_TASK:
                return ""
    return limit


def is_gate(entity: str) -> bool:
    return entity.startswith(GATE_PREFIX)


def _cancelled() -> TaskCancelledError:
    return own_error(TaskCancelledError, "the request for a slot was cancelled")
