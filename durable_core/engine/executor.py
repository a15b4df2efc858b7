"""The live orchestration: a generator, and what history has told it.

Theory of operation
-------------------
An orchestrator is a generator function. It cannot be saved and loaded, but it can be run again: given the same events
in the same order at the same times, it makes the same decisions. So only two things are stored, both as history
events: what it was told (*incoming*) and what it decided (*outgoing*). A *segment* holds those of one commit.

* ``step`` takes new incoming events and applies them one at a time. Each ends a task or fills the mailbox, and the
  generator runs on until it waits for a task that has not ended, or ends itself. The decisions it makes on the way are
  gathered in ``ExecutionState`` and returned in a ``Turn``, which the dispatcher commits and then gives to ``record``.
* ``replay`` does the very same with the incoming events of stored segments, at the stored times, and then compares
  the decisions with those in history. A difference is a ``NonDeterminismError``: had it been let pass, a result would
  have gone to the wrong call.

Both go through ``_accept``, so a *warm* generator, which was stepped all along, and a *cold* one, which is replayed
and then stepped, are in the same state after the same events. All state follows from incoming events in their order;
nothing depends on how they were cut into steps, but for the clock, which is that of the segment.

What ``_accept`` takes it *admits* first: a result belongs to a pending call of its kind, an event from the inbox has
not been seen, the orchestration has not ended. What is not admitted is not recorded, so that history holds nothing
twice; a request that changes nothing (a second suspend) is recorded all the same, as its row is known by that. While
suspended, what is admitted is recorded and held, and applied on resume, in order.

Two sets of open tasks are therefore kept apart: ``pending`` are calls whose result history does not hold (what the
runtime must see to), ``ExecutionState.open`` those whose result the code was not given. An inline step (``ctx.run``)
is in history by its end alone: it is numbered like a call, stands in ``steps`` instead of ``pending`` until then, and
its StepCompleted must find a step of its number and name, or code and history disagree.

A patch mark (``ctx.patched``) is in history, and a replay makes none: what is replayed asks which marks there are. It
is therefore not compared by its place among the decisions; it must have been asked for by the end of its segment.

A cancellation, an overrun and a termination go on to the open sub-orchestrations: ``RequestSent`` records it, so that
it is dispatched as surely as any other decision.

Calls are numbered from 1 within a generation, at the call. ``pending`` holds history's events, not those that a
replay made: what is sent again must be what was sent.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import is_
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, assert_never, cast, get_args

from ..converter import Converter
from ..errors import (
    ActivityFailedError,
    DurableError,
    StepFailedError,
    SubOrchestrationFailedError,
    TaskFailedError,
    TaskTimeoutError,
)
from ..guard import unwatched, watch_of
from ..models import JSON, FailureDetails, type_name
from ..registry import OrchestratorDefinition
from ..user_code import raise_unless_failure
from . import nondeterminism
from .events import (
    CancelRequested,
    ContinueAsNew,
    Event,
    EventRaised,
    ExecutionResumed,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    Incoming,
    Outgoing,
    PatchMarked,
    RequestSent,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    TimerFired,
)
from .external_events import ExternalEvents
from .frozen import maker
from .generator import UserGenerator
from .state import Completion, ExecutionState, InstanceInfo, PendingTask
from .steps import Step
from .tasks import Task, describe_call, fail, settle
from .user_frames import names_in
from .values import read

__all__ = ["Completion", "FromInbox", "InstanceInfo", "OrchestrationExecutor", "PendingTask", "Turn"]

P = ParamSpec("P")
R = TypeVar("R")

FromInbox: TypeAlias = EventRaised | ExecutionSuspended | ExecutionResumed | ExecutionTerminated | CancelRequested
"""What comes through the inbox: everything but the start and the results of calls."""

_DECISIONS = frozenset(get_args(Outgoing)) - {PatchMarked}
_AT_ONCE = frozenset(  # while suspended, too
    {ExecutionSuspended, ExecutionResumed, ExecutionTerminated, ExecutionTimedOut}
)
_TIMEOUT = type_name(TaskTimeoutError)  # the failure of an activity, or of a whole run, that took too long
_CALLS = frozenset({TaskScheduled, TimerCreated, SubOrchestrationCreated})


@dataclass(frozen=True, slots=True)
class Turn:
    """What one step came to.

    recorded: incoming events that were applied, or are held while suspended, in order; history must hold them.
    outgoing: decisions of the code, in order.
    unapplied: external events and management requests that came after the end, and are in no history. With
        continue-as-new they are the next generation's.
    """

    recorded: tuple[Incoming, ...]
    outgoing: tuple[Outgoing, ...]
    unapplied: tuple[FromInbox, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """What the commit's segment holds."""
        return self.recorded + self.outgoing


_make_turn = maker(Turn)


class OrchestrationExecutor:
    """The live generator of one generation of one execution, and what history told it.

    Not safe for threads: one actor moves it. After an error out of ``replay`` or ``step`` it is of no further use but
    to close.
    """

    def __init__(
        self, definition: OrchestratorDefinition, info: InstanceInfo, converter: Converter, *, guard: bool = False
    ) -> None:
        """guard: stop code that uses what it must not with a DeterminismError, out of ``step`` or ``replay``."""
        self.definition, self.info = definition, info
        self.started = False
        self.suspended = False
        self.compares_values = False  # in a replay: inputs and due times must be those of history, too
        self._converter = converter
        watch = watch_of(definition.fn) if guard else unwatched
        self._decisions = ExecutionState(watch)
        self._mailbox = ExternalEvents(converter, watch)
        self._context = contextvars.Context()  # empty, not copied: what a cold and a warm generator see is the same
        self._runner = UserGenerator(definition, info, converter, self._decisions, self._mailbox)
        self._held: list[Incoming] = []
        self._inbox_seen: dict[str, None] = {}  # in order

    # ------------------------------------------------------------ what the dispatcher asks

    @property
    def history(self) -> list[Segment]:
        """The segments of this generation, committed."""
        return self._decisions.history

    @property
    def completion(self) -> Completion | None:
        """How this generation ended; None while it has not."""
        return self._decisions.completion

    @property
    def custom_status(self) -> JSON:
        return self._decisions.custom_status

    @property
    def pending(self) -> Mapping[int, PendingTask]:
        """Open activities, timers and sub-orchestrations, in order of task id. A view: it changes with each step."""
        return self._decisions.pending

    @property
    def steps(self) -> Mapping[int, Step]:
        """Inline steps that were called and have not ended, in order of task id. A view, as ``pending``."""
        return self._decisions.steps

    @property
    def waits_at(self) -> str:
        """``file:line`` where the code waits; '' if it does not run."""
        return self._runner.waits_at

    @property
    def generator(self) -> Generator[Any, Any, Any] | None:
        """The generator of the code, while it runs: for who asks what it holds."""
        return self._runner.generator

    @property
    def awaited_events(self) -> list[tuple[str, str]]:
        """External events that the code waits for: the name, and the ``file:line`` of the call."""
        return [(task.event_name, task.line) for task in self._mailbox.waiters()]

    def remember(self, event_ids: Iterable[str]) -> None:
        """Rows that earlier generations consumed: they are not news if they come again. To be told first."""
        self._inbox_seen.update(dict.fromkeys(event_ids))

    @property
    def rows_seen(self) -> tuple[str, ...]:
        """Keys of all inbox rows that have come, in order."""
        return tuple(self._inbox_seen)

    def knows(self, task_id: int) -> Literal["pending", "done", "unknown"]:
        """Where a call stands. 'unknown': never made here, perhaps by another host since."""
        if task_id in self._decisions.pending or task_id in self._decisions.steps:
            return "pending"
        return "done" if 1 <= task_id <= self._decisions.last_id else "unknown"

    def unconsumed_events(self) -> list[EventRaised]:
        """External events in history that the code was not given, in the order in which they came."""
        return [*self._mailbox.kept(), *(event for event in self._held if isinstance(event, EventRaised))]

    def unheard_requests(self) -> list[CancelRequested]:
        """Cancellations in history that were held while suspended, and never reached this generation's code."""
        return [event for event in self._held if isinstance(event, CancelRequested)]

    def due_timers(self, now: datetime) -> list[TimerFired]:
        """Pending timers due at ``now``, earliest first."""
        decisions = self._decisions
        timers = [cast("TimerCreated", decisions.pending[task_id].event) for task_id in decisions.timers]
        due = sorted((timer.fire_at, timer.task_id) for timer in timers if timer.fire_at <= now)
        return [TimerFired(task_id) for _, task_id in due]

    # ------------------------------------------------------------ what the dispatcher does

    def replay(self, segments: Iterable[Segment], follow: Callable[[Event], None] | None = None) -> None:
        """Apply committed segments. NonDeterminismError if the code decides otherwise than they say.

        ``follow`` is told of each event before it is applied: who debugs a replay follows it so.
        Where it is called more than once, patch marks are looked for in the segments of each call and those before.
        DeterminismError from the guard.
        """
        self._run(self._replay, tuple(segments), follow)

    def step(self, now: datetime, incoming: Sequence[Incoming]) -> Turn:
        """Apply new events at the time ``now`` (aware, UTC), which must become the segment's timestamp.

        DeterminismError from the guard: nothing of this step counts.
        """
        return self._run(self._step, now, incoming)

    def record(self, segment: Segment) -> None:
        """The last turn was committed as this segment."""
        self._decisions.history.append(segment)

    def preview(self, now: datetime, incoming: Iterable[Incoming]) -> None:
        """Apply what is in no history yet, silently: for a query, after which this one is dropped."""

        def apply() -> None:
            self._decisions.now, self._decisions.is_replaying = now, True
            self._decisions.patches.in_history = False
            for event in incoming:
                if self.completion is None:
                    self._accept(event)

        self._run(apply)

    def query(self, name: str, args: JSON) -> JSON:
        """Ask a query handler of the code's. UnknownQueryError, InvalidInputError, QueryFailedError.

        A handler sees the code's own variables, and may change them: ask only what is dropped afterwards.
        """
        return self._context.run(self._runner.queries.answer, name, args)

    def close(self) -> None:
        """Drop the generator. Its ``finally:`` blocks run; what they call is not recorded."""
        self._context.run(self._runner.close)

    # ------------------------------------------------------------ replay and step

    def _run(self, move: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The one place where the code is let run: in its own context variables, and heard."""
        self._decisions.is_running = True
        try:
            return self._context.run(move, *args, **kwargs)
        finally:
            self._decisions.is_running = False

    def _replay(self, segments: Sequence[Segment], follow: Callable[[Event], None] | None) -> None:
        decisions, patches = self._decisions, self._decisions.patches
        decisions.is_replaying = patches.in_history = True
        patches.look_ahead(segments)
        for number, segment in enumerate(segments):
            decisions.now = segment.timestamp
            expected: list[Any] = [event for event in segment.events if type(event) in _DECISIONS]
            decisions.expected_decisions = () if self.compares_values else expected
            marks: list[PatchMarked] = []
            event: Any  # what it is, its kind says; a cast for each would take as long as the rest of the loop
            for event in segment.events:
                if follow is not None:
                    follow(event)
                kind: object = event.__class__
                if kind in _DECISIONS:
                    continue
                if kind is PatchMarked:
                    marks.append(event)
                elif decisions.completion is not None and (completion := self._end_before(event)) is not None:
                    raise nondeterminism.ended_early(self.info, self.history, segment, event, completion)
                elif kind is StepCompleted and not self._asked_for(event):
                    raise nondeterminism.unasked_step(
                        self.info, self.history, segment, event, decisions, self._runner.waits_at
                    )
                else:
                    self._accept(event)
            if marks and (mark := patches.unasked(marks)) is not None:
                raise nondeterminism.unasked_patch(self.info, self.history, segment, mark, self._runner.waits_at)
            self._confirm(segments, number, expected)
            decisions.history.append(segment)
        decisions.expected_decisions = ()

    def _confirm(self, segments: Sequence[Segment], number: int, expected: list[Outgoing]) -> None:
        """Compare what the code has decided with what a segment holds; history's calls are the ones that count."""
        decisions = self._decisions
        made = decisions.made
        if len(made) == len(expected) and all(map(is_, made, expected)):  # all were foretold
            made.clear()
            return
        at = nondeterminism.first_difference(expected, made, values=self.compares_values)
        if at is not None:
            raise nondeterminism.mismatch(
                self.info,
                self.history,
                segments[number:],
                expected,
                made,
                at,
                self._runner.waits_at,
                names_in(self.definition.fn),
            )
        made.clear()
        pending = decisions.pending
        call: Any
        for call in expected:
            if type(call) in _CALLS and (open_call := pending.get(call.task_id)) is not None:
                open_call.event = call

    def _step(self, now: datetime, incoming: Sequence[Incoming]) -> Turn:
        decisions = self._decisions
        decisions.is_replaying = decisions.patches.in_history = False
        decisions.now = now
        recorded: list[Incoming] = []
        unapplied: tuple[FromInbox, ...] = ()
        for at, event in enumerate(incoming):
            if decisions.completion is not None and self._end_before(event) is not None:
                rest = (late for late in incoming[at:] if isinstance(late, FromInbox))
                unapplied = tuple(late for late in rest if self._is_new_row(late.event_id))
                break
            if self._accept(event):
                recorded.append(event)
        outgoing = tuple(decisions.made)
        decisions.made.clear()
        return _make_turn(tuple(recorded), outgoing, unapplied)

    # ------------------------------------------------------------ incoming events

    def _end_before(self, event: Incoming) -> Completion | None:
        """The end of this generation for which the event comes too late. A cancellation does not, where code went from
        its beginning to its continue_as_new without a wait: it may do so for ever, and never hear of it."""
        completion = self._decisions.completion
        has_waited = bool(self._decisions.history)
        if isinstance(completion, ContinueAsNew) and type(event) is CancelRequested and not has_waited:
            return None
        return completion

    def _accept(self, event: Incoming) -> bool:
        """Apply an event, or hold it while suspended. False if it is none of ours: history must not hold it."""
        if not self._admit(event):
            return False
        if self.suspended and type(event) not in _AT_ONCE:
            self._held.append(event)
        else:
            self._apply(event)
        return True

    def _admit(self, event: Incoming) -> bool:
        """Whether this event is news. From here on the call that it answers is no longer pending."""
        match event:
            case TaskCompleted() | TaskFailed():
                return self._decisions.answered(event.task_id, TaskScheduled)
            case TimerFired():
                return self._decisions.answered(event.task_id, TimerCreated)
            case SubOrchestrationCompleted() | SubOrchestrationFailed():
                return self._decisions.answered(event.task_id, SubOrchestrationCreated)
            case ExecutionStarted():
                is_first, self.started = not self.started, True
                return is_first
            case EventRaised() | ExecutionSuspended() | ExecutionResumed() | ExecutionTerminated() | CancelRequested():
                return self._is_new_row(event.event_id)
            case ExecutionTimedOut():
                return True
            case StepCompleted():
                if not self._asked_for(event):
                    return False
                del self._decisions.steps[event.task_id]
                return True
            case _:
                assert_never(event)

    def _asked_for(self, event: StepCompleted) -> bool:
        step = self._decisions.steps.get(event.task_id)
        return step is not None and step.name == event.name

    def _is_new_row(self, event_id: str) -> bool:
        if not event_id:
            return True
        if event_id in self._inbox_seen:
            return False
        self._inbox_seen[event_id] = None
        return True

    def _apply(self, event: Incoming) -> None:
        """Let the code see an admitted event, and run as far as it goes."""
        match event:
            case TaskCompleted() | SubOrchestrationCompleted():
                self._end_task(event.task_id, event.result, None)
            case TaskFailed() | SubOrchestrationFailed():
                self._end_task(event.task_id, None, event.failure)
            case TimerFired():
                self._end_task(event.task_id, None, None)
            case StepCompleted():
                self._end_task(event.task_id, event.result, event.failure)
            case EventRaised():
                self._put(event)
            case ExecutionStarted():
                self._runner.start(event.input)
            case ExecutionSuspended():
                self.suspended = True
            case ExecutionResumed():  # of one that is not suspended: there is nothing held
                self._resume()
            case ExecutionTerminated():
                if event.recursive:
                    self._tell_children("terminate", event.reason)
                self._decisions.completion = event
                self._runner.close()
            case CancelRequested():
                if not self._runner.is_cancelled:
                    if event.recursive:
                        self._tell_children("cancel", event.reason)
                    self._runner.cancel(event.reason)
            case ExecutionTimedOut():
                self._tell_children("terminate", "its parent ran out of time")
                self._runner.time_out(event.deadline)
            case _:
                assert_never(event)
        if self._runner.conditions.open:
            self._runner.check_conditions()

    def _put(self, event: EventRaised) -> None:
        try:
            task = self._mailbox.put(event, is_replaying=self._decisions.is_replaying)
        except BaseException as error:  # noqa: BLE001  what a handler raises is the orchestrator's failure
            raise_unless_failure(error)
            self._runner.fail(error)
        else:
            self._runner.run_on(task)

    def _end_task(self, task_id: int, result: JSON, failure: FailureDetails | None) -> None:
        task = self._decisions.open.pop(task_id, None)
        if task is None:
            return  # a timer that was cancelled after its firing came, while suspended
        if failure is not None:
            fail(task, _failed(task, failure))
        else:
            try:
                value = read(self._converter, result, task.returns)
            except DurableError as error:
                reason = FailureDetails.from_exception(error, retriable=False)
                fail(task, _failed(task, reason, "gave a result that is not what was asked for"))
            else:
                settle(task, value)
        self._runner.run_on(task)

    def _tell_children(self, kind: str, reason: str) -> None:
        """Pass a request on to the sub-orchestrations that are open."""
        for task_id, pending in self._decisions.pending.items():
            if type(pending.event) is SubOrchestrationCreated:
                self._decisions.record(RequestSent(task_id, kind, reason))

    def _resume(self) -> None:
        self.suspended = False
        held, self._held = self._held, []
        for at, event in enumerate(held):
            self._apply(event)
            if self.completion is not None:
                self._held = held[at + 1 :]
                return


def _failed(task: Task[Any], failure: FailureDetails, what: str = "failed") -> TaskFailedError:
    call = cast("TaskScheduled | SubOrchestrationCreated | Step", task.call)  # a timer has no failure to report
    overran = failure.type == _TIMEOUT and failure.cause is None  # a timeout of something within it has a cause
    kind: type[TaskFailedError]
    match call:
        case TaskScheduled():
            kind = TaskTimeoutError if overran else ActivityFailedError
        case SubOrchestrationCreated():  # its whole run took too long
            kind = TaskTimeoutError if overran else SubOrchestrationFailedError
        case Step():
            kind = StepFailedError
    message = f"{describe_call(task)} {what}: {failure.type}: {failure.message}"
    return kind(message, failure, task_id=call.task_id, name=call.name)
