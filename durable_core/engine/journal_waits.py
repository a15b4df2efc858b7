"""What a journaled activity waits for, while no invocation of it runs.

An invocation that has come to a wait ends with a ``TaskCompleted`` that names its waits. It is one *part* of the call:
the task of the code stays open. The waits become timers, sub-orchestrations and waiters of events of this generation,
as if its code had made them. When the first of them ends, the next part is called: an activity call of its own, which
knows the journal by the number of the first part, and what has ended. So history, redispatch, long timers, rewind and
replay treat all of it as what they know; only decisions that follow from events are made here.
"""

# pyright: reportPrivateUsage=false
# A friend of Task, as other combinations are.

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ..errors import TaskCancelledError, TaskFailedError, TaskTimeoutError
from ..models import JSON, FailureDetails
from ..moments import from_epoch
from .events import SubOrchestrationCreated, TaskScheduled, TimerCreated, make_task_scheduled
from .tasks import Combination, Task, TimedTask, TimerTask, leave, own_error

if TYPE_CHECKING:
    from .external_events import ExternalEvents
    from .state import ExecutionState, PendingTask


class JournaledCall:
    """A call of a journaled activity that has waited: from the end of its first part on.

    root: the number of its first part, by which its journal is known. begun: when that was called, in seconds since
    1970. task: for which the code waits. waits: all waits so far, by their ids. now: those for which it waits now.
    """

    __slots__ = ("begun", "now", "options", "retry", "root", "scheduled", "task", "waits")

    def __init__(self, part: TaskScheduled, pending: PendingTask, task: Task[Any]) -> None:
        options: dict[str, JSON] = dict(part.options or {})
        self.root, self.begun = options.pop("journal", None) or (part.task_id, pending.since.timestamp())
        options.pop("woke", None)
        self.options, self.scheduled, self.retry = options, part, pending.retry
        self.task = task
        self.waits: dict[str, Task[Any]] = {}
        self.now: JournalWaits | None = None


class JournalWaits(Combination[None]):
    """Ends when the first of the waits of a part has ended; then it calls the next part."""

    __slots__ = ("_call", "_given")

    def __init__(self, owner: ExecutionState, call: JournaledCall, given: list[dict[str, Any]]) -> None:
        self._call, self._given = call, given
        super().__init__(owner, [call.waits[wait["id"]] for wait in given], "a journaled activity")
        if any(child._done for child in self._children):
            self._end()

    def child_ended(self, child: Task[Any]) -> None:
        self._waiting -= 1
        if not self._done:
            self._end()

    def _end(self) -> None:
        self._decide(None)
        self._call.now = None
        owner: Any = self._owner
        call_next_part(owner, self._call, self._given)


def begin_waits(decisions: ExecutionState, mailbox: ExternalEvents, task_id: int, given: JSON) -> None:
    """A part has ended with these waits, as a work host has reported them."""
    task = decisions.open.pop(task_id, None)
    pending = decisions.parts.pop(task_id, None)
    if task is None or pending is None:
        return
    call = decisions.journaled.get(task)
    if call is None:
        part = pending.event
        assert isinstance(part, TaskScheduled)
        call = JournaledCall(part, pending, task)
        decisions.journaled = decisions.journaled or {}
        decisions.journaled[task] = call
    waits: list[dict[str, Any]] = list(given)
    _give_up(call, {wait["id"] for wait in waits})
    for wait in waits:
        if wait["id"] not in call.waits:
            call.waits[wait["id"]] = _wait_for(decisions, mailbox, wait, call.scheduled.headers)
    waiting = JournalWaits(decisions, call, waits)
    if not waiting._done:
        call.now = waiting


def call_next_part(decisions: ExecutionState, call: JournaledCall, given: list[dict[str, Any]]) -> None:
    """Call the activity again, with what has ended of these waits."""
    ended = ((wait, call.waits[wait["id"]]) for wait in given)
    woke = [end_of(wait, task._value, _failure_of(task)) for wait, task in ended if task._done]
    options: dict[str, JSON] = {**call.options, "journal": [call.root, call.begun], "woke": woke}
    first = call.scheduled
    event = make_task_scheduled(decisions.next_id(), first.name, first.input, first.line, options, first.headers)
    decisions.call(call.task, event, call.retry)


def end_waits(decisions: ExecutionState, task: Task[Any]) -> None:
    """The call has ended: nothing is waited for any more."""
    if (call := decisions.journaled.pop(task, None)) is not None:
        _give_up(call, frozenset())


def _give_up(call: JournaledCall, wanted: Collection[str]) -> None:
    """Cancel the waits that the code of the activity does not wait for any more."""
    for wait_id, task in list(call.waits.items()):
        if wait_id not in wanted and not task._done:
            del call.waits[wait_id]
            leave(task, own_error(TaskCancelledError, "the activity does not wait for it any more"))


def _wait_for(decisions: ExecutionState, mailbox: ExternalEvents, wait: dict[str, Any], headers: JSON) -> Task[Any]:
    """headers: those of the activity, which go to what it calls."""
    line = wait["line"]
    match wait["kind"]:
        case "timer":
            return _timer(decisions, wait["due"], line)
        case "event":
            name = wait["name"]
            event = mailbox.wait(decisions, name, None, line, is_running=decisions.is_running, since=decisions.now)
            if "due" not in wait or event._done:  # it came before the wait
                return event
            message = f"event '{name}' did not come within {timedelta(seconds=wait['within'])}"
            timer = _timer(decisions, wait["due"], line)
            return TimedTask(decisions, event, timer, own_error(TaskTimeoutError, message, name=name))
        case _:
            made = SubOrchestrationCreated(
                decisions.next_id(),
                wait["name"],
                wait["version"],
                wait["instance"],
                wait["input"],
                line,
                headers=headers,
            )
            child: Task[Any] = Task(decisions, made)
            decisions.call(child, made, None)
            return child


def _timer(decisions: ExecutionState, due: float, line: str) -> TimerTask:
    event = TimerCreated(decisions.next_id(), from_epoch(due), line)
    timer = TimerTask(decisions, event, decisions.cancel_timer)
    decisions.call(timer, event, None)
    return timer


def _failure_of(task: Task[Any]) -> FailureDetails | None:
    if (error := task._error) is None:
        return None
    return (
        error.failure if isinstance(error, TaskFailedError) else FailureDetails.from_exception(error, retriable=False)
    )


def end_of(wait: dict[str, Any], value: JSON, failure: FailureDetails | None = None) -> JSON:
    """How a wait has ended, as the next part is told."""
    told: dict[str, JSON] = {"id": wait["id"], "place": wait["place"], "line": wait["line"]}
    return {**told, "value": value} if failure is None else {**told, "failure": failure.to_json()}


def wait_id(name: str, key: str | None, occurrence: int) -> str:
    """How a part and its waits name a wait: by its identity in the journal."""
    return json.dumps([name, key, occurrence], separators=(",", ":"))
