"""Runs one generation of an orchestration: feeds events to its generator, and collects the decisions of the code.

Theory of operation
-------------------
An orchestrator is a generator function. A generator cannot be stored, but it can be run again: given the same events
in the same order at the same times, it makes the same decisions. So only two kinds of history events are stored:
events that were given to the code (*incoming*) and decisions of the code (*outgoing*). A *segment* holds the events of
one commit.

* ``step`` takes new incoming events and applies them one at a time. Each ends a task or goes to the buffer of external
  events, and the generator runs until it waits for a task that has not ended, or ends itself. Its decisions are
  collected in ``ExecutionState`` and returned in a ``Turn``, which the actor commits and then passes to ``record``.
* ``replay`` does the same with the incoming events of stored segments, at the stored times, and then compares the
  decisions of the code with the decisions in the history. A difference is a ``NonDeterminismError``: otherwise a
  result could go to the wrong call.

Both use ``_accept``, so a *warm* generator, which was stepped from its start, and a *cold* one, which is replayed and
then stepped, are in the same state after the same events. The state depends on the incoming events and their order
only, not on how they were divided into steps; the clock is the time of the segment.

``_accept`` *admits* an event first: a result must belong to a pending call of its kind, an event from the inbox must be
new, and the orchestration must not have ended. An event that is not admitted is not recorded, so that the history holds
nothing twice. A request that changes nothing (a second suspend) is recorded all the same, because its inbox row is
recognised by that. While the instance is suspended, admitted events are recorded and held, and applied in order at the
resume.

Two sets of open tasks are therefore kept apart: ``pending`` has the calls whose result is not in the history (for
which the runtime must act), ``ExecutionState.open`` the calls whose result was not given to the code. A step
(``ctx.run``) is in the history only by its end: it is numbered like a call, is in ``steps`` instead of ``pending``
until then, and its StepCompleted must match a step of this number and name, or code and history disagree.

A patch mark (``ctx.patched``) is recorded when the code first runs; a replay reads the marks and makes none. A mark is
therefore not compared by its position among the decisions; the code must have asked for it by the end of its segment.

A cancellation, a passed deadline and a termination are sent to the open sub-orchestrations, too. ``RequestSent``
records that, so that it is dispatched like any other decision.

A rewind (``ExecutionRewound``) is only ever replayed: it is written without the code. Void commits reach this module
as segments without events.

Calls are numbered from 1 within a generation, at the call. ``pending`` holds the events of the history and not those
that a replay made, so that a redispatch sends exactly what was sent before.
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
from ..models import JSON, FailureDetails, Wait, type_name
from ..registry import OrchestratorDefinition
from ..user_code import raise_unless_failure
from . import nondeterminism
from .events import (
    CancelRequested,
    ContinueAsNew,
    Event,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
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
"""Events that come through the inbox: all but the start and the results of calls."""

_DECISIONS = frozenset(get_args(Outgoing)) - {PatchMarked}
_AT_ONCE = frozenset(  # while suspended, too
    {ExecutionSuspended, ExecutionResumed, ExecutionTerminated, ExecutionTimedOut, ExecutionRewound}
)
_TIMEOUT = type_name(TaskTimeoutError)  # the failure of an activity, or of a whole run, that took too long
_CALLS = frozenset({TaskScheduled, TimerCreated, SubOrchestrationCreated})


@dataclass(frozen=True, slots=True)
class Turn:
    """The result of one step.

    recorded: incoming events that were applied, or are held while suspended, in order; to be stored in the history.
    outgoing: decisions of the code, in order.
    unapplied: external events and management requests that came after the end, and are in no history. After
        continue-as-new they go to the next generation.
    """

    recorded: tuple[Incoming, ...]
    outgoing: tuple[Outgoing, ...]
    unapplied: tuple[FromInbox, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the segment that records this turn."""
        return self.recorded + self.outgoing


_make_turn = maker(Turn)


class OrchestrationExecutor:
    """Runs the generator of one generation, replays its history and applies new events.

    Not thread-safe: only one actor uses it. After an error of ``replay`` or ``step``, only ``close`` may be called.
    """

    def __init__(
        self, definition: OrchestratorDefinition, info: InstanceInfo, converter: Converter, *, guard: bool = False
    ) -> None:
        """guard: whether forbidden uses raise DeterminismError, which ``step`` and ``replay`` then raise."""
        self.definition, self.info = definition, info
        self.started = False
        self.suspended = False
        self.pause_reason = ""  # of the last suspension
        self.compares_values = False  # in a replay: whether inputs and due times must equal those of the history, too
        self._converter = converter
        watch = watch_of(definition.fn) if guard else unwatched
        self._decisions = ExecutionState(watch)
        self._mailbox = ExternalEvents(converter, watch)
        self._context = (
            contextvars.Context()
        )  # empty, not copied, so that a cold and a warm generator have the same variables
        self._runner = UserGenerator(definition, info, converter, self._decisions, self._mailbox)
        self._held: list[Incoming] = []
        self._inbox_seen: dict[str, None] = {}  # in order

    # ------------------------------------------------------------ state, for the runtime

    @property
    def history(self) -> list[Segment]:
        """The committed segments of this generation."""
        return self._decisions.history

    @property
    def completion(self) -> Completion | None:
        """How this generation ended; None while it runs."""
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
        """Steps that were called and have not ended, in order of task id. A view: it changes with each step."""
        return self._decisions.steps

    @property
    def waits(self) -> list[Wait]:
        """What the code waits for, at most eight; nothing before it began and after it has ended."""
        return self._runner.waits

    @property
    def waits_at(self) -> str:
        """``file:line`` where the code waits; '' if it does not run."""
        return self._runner.waits_at

    @property
    def generator(self) -> Generator[Any, Any, Any] | None:
        """The generator of the code, while it runs, for estimates of its memory and for debuggers."""
        return self._runner.generator

    @property
    def awaited_events(self) -> list[tuple[str, str]]:
        """External events that the code waits for: the name, and the ``file:line`` of the call."""
        return [(task.event_name, task.line) for task in self._mailbox.waiters()]

    @property
    def handled_events(self) -> list[str]:
        """Names of the external events for which the code has a handler, without letter case."""
        return self._mailbox.handled()

    def remember(self, event_ids: Iterable[str]) -> None:
        """Note the inbox rows that earlier generations consumed, to ignore them if they come again. Call it first."""
        self._inbox_seen.update(dict.fromkeys(event_ids))

    @property
    def rows_seen(self) -> tuple[str, ...]:
        """The keys of all inbox rows that were received, in order."""
        return tuple(self._inbox_seen)

    def knows(self, task_id: int) -> Literal["pending", "done", "unknown"]:
        """The state of a call. 'unknown': not made in this process; perhaps made by another host since."""
        if task_id in self._decisions.pending or task_id in self._decisions.steps:
            return "pending"
        return "done" if 1 <= task_id <= self._decisions.last_id else "unknown"

    def is_of_this_run(self, task_id: int, rewinds: int, *, is_failure: bool) -> bool:
        """Whether an outcome that was sent after so many rewinds may be told to this task.

        A task that was called after a later rewind is another one; and a task that is done again must not fail of what
        failed before.
        """
        decisions = self._decisions
        if not decisions.runs:
            return True
        least = decisions.called_in_run(task_id)
        if is_failure:
            least = max(least, decisions.undone.get(task_id, 0))
        return rewinds >= least

    def returns_of(self, task_id: int) -> Any:
        """The type that the code expects of the result of an open call."""
        return self._decisions.open[task_id].returns

    @property
    def undone(self) -> Mapping[int, int]:
        """The tasks that are done again after a rewind, each with the number of the last rewind that undid it."""
        return self._decisions.undone

    @property
    def rewound_at(self) -> int | None:
        """The index in the history of the last commit that is a rewind."""
        return self._decisions.rewound_at

    @property
    def is_rewound(self) -> bool:
        """Whether the last commit is a rewind."""
        return self._decisions.rewound_at is not None and self._decisions.rewound_at == len(self.history) - 1

    @property
    def told_again(self) -> tuple[Incoming, ...]:
        """What the next turn must be told first: the last commit is a rewind, and void commits had brought this."""
        history = self._decisions.history
        return history[-1].told if history else ()

    def unconsumed_events(self) -> list[EventRaised]:
        """External events in the history that the code has not received, in the order in which they came."""
        return [*self._mailbox.kept(), *(event for event in self._held if isinstance(event, EventRaised))]

    def unreceived_requests(self) -> list[CancelRequested]:
        """Cancellations in the history that were held while suspended, and not applied to this generation's code."""
        return [event for event in self._held if isinstance(event, CancelRequested)]

    def due_timers(self, now: datetime) -> list[TimerFired]:
        """Pending timers due at ``now``, earliest first."""
        decisions = self._decisions
        timers = [cast("TimerCreated", decisions.pending[task_id].event) for task_id in decisions.timers]
        due = sorted((timer.fire_at, timer.task_id) for timer in timers if timer.fire_at <= now)
        return [TimerFired(task_id) for _, task_id in due]

    # ------------------------------------------------------------ replay, step and query, for the runtime

    def replay(self, segments: Iterable[Segment], follow: Callable[[Event], None] | None = None) -> None:
        """Apply committed segments.

        ``follow`` is called with each event before it is applied, for debuggers. In several calls, patch marks are
        looked up in the segments of this call and of the calls before.
        NonDeterminismError if the decisions of the code differ from those in the segments; DeterminismError from the
        guard.
        """
        self._run(self._replay, tuple(segments), follow)

    def step(self, now: datetime, incoming: Sequence[Incoming]) -> Turn:
        """Apply new events at the time ``now`` (aware, UTC), which must become the segment's timestamp.

        DeterminismError from the guard: then nothing of this step may be committed.
        """
        return self._run(self._step, now, incoming)

    def record(self, segment: Segment) -> None:
        """Note that the last turn was committed as this segment."""
        self._decisions.history.append(segment)

    def preview(self, now: datetime, incoming: Iterable[Incoming]) -> None:
        """Apply events that are not in the history yet, without logging: for a query, after which this executor is
        closed."""

        def apply() -> None:
            self._decisions.now, self._decisions.is_replaying = now, True
            self._decisions.patches.in_history = False
            for event in incoming:
                if self.completion is None:
                    self._accept(event)

        self._run(apply)

    def query(self, name: str, args: JSON) -> JSON:
        """Call a query handler of the code. UnknownQueryError, InvalidInputError, QueryFailedError.

        A handler has access to the code's own variables, and may change them: call it only on an executor that is
        closed afterwards.
        """
        return self._context.run(self._runner.queries.answer, name, args)

    def close(self) -> None:
        """Close the generator. Its ``finally:`` blocks run; calls in them are not recorded."""
        self._context.run(self._runner.close)

    # ------------------------------------------------------------ replay and step

    def _run(self, move: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The only place where the code runs: with its own context variables, and with its decisions recorded."""
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
            event: Any  # its class is checked below; a cast for each would take as long as the rest of the loop
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
        """Compare the decisions of the code with those in a segment, and keep the calls of the history as pending."""
        decisions = self._decisions
        made = decisions.made
        if len(made) == len(expected) and all(map(is_, made, expected)):  # each call reused the expected event
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
        """The end of this generation, if this event comes after it; else None.

        A cancellation is applied even after a continue_as_new, if the code has reached that without a wait: such code
        could continue as new for ever and never receive the cancellation.
        """
        completion = self._decisions.completion
        has_waited = bool(self._decisions.history)
        if isinstance(completion, ContinueAsNew) and type(event) is CancelRequested and not has_waited:
            return None
        return completion

    def _accept(self, event: Incoming) -> bool:
        """Apply an event, or hold it while suspended. False if it is not admitted, and must not be recorded."""
        if not self._admit(event):
            return False
        if self.suspended and type(event) not in _AT_ONCE:
            self._held.append(event)
        else:
            self._apply(event)
        return True

    def _admit(self, event: Incoming) -> bool:
        """Whether this event is new and has a pending call. That call is no longer pending afterwards."""
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
            case ExecutionTimedOut() | ExecutionRewound():
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
        """Apply an admitted event, and run the code until its next wait."""
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
                self.suspended, self.pause_reason = True, event.reason
            case ExecutionResumed():  # if the instance is not suspended, no events are held
                self._resume()
            case ExecutionRewound():
                self._decisions.rewound_at = len(self._decisions.history)
                self._decisions.rewind(event)
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
        except BaseException as error:  # noqa: BLE001  any exception of a handler is a failure of the orchestrator
            raise_unless_failure(error)
            self._runner.fail(error)
        else:
            self._runner.run_on(task)

    def _end_task(self, task_id: int, result: JSON, failure: FailureDetails | None) -> None:
        task = self._decisions.open.pop(task_id, None)
        if task is None:
            return  # a timer that fired while suspended, and was cancelled before that was applied
        if failure is not None:
            fail(task, _failed(task, failure))
        else:
            try:
                value = read(self._converter, result, task.returns)
            except DurableError as error:
                reason = FailureDetails.from_exception(error, retriable=False)
                fail(task, _failed(task, reason, "returned a result that does not fit the expected type"))
            else:
                settle(task, value)
        self._runner.run_on(task)

    def _tell_children(self, kind: str, reason: str) -> None:
        """Record that a request is sent to the open sub-orchestrations."""
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
    call = cast("TaskScheduled | SubOrchestrationCreated | Step", task.call)  # a timer cannot fail
    overran = failure.type == _TIMEOUT and failure.cause is None  # a timeout of something within it has a cause
    kind: type[TaskFailedError]
    match call:
        case TaskScheduled():
            kind = TaskTimeoutError if overran else ActivityFailedError
        case SubOrchestrationCreated():
            kind = TaskTimeoutError if overran else SubOrchestrationFailedError
        case Step():
            kind = StepFailedError
    message = f"{describe_call(task)} {what}: {failure.type}: {failure.message}"
    return kind(message, failure, task_id=call.task_id, name=call.name)
