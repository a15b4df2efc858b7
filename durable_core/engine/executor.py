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
nothing twice. An update must also be accepted by its handler; a replay does not ask again. A request that changes
nothing (a second suspend) is recorded all the same, because its inbox row is recognised by that. While the instance is
suspended, admitted events are recorded and held, and applied in order at the resume.

Two sets of open tasks are therefore kept apart: ``pending`` has the calls whose result is not in the history (for
which the runtime must act), ``ExecutionState.open`` the calls whose result was not given to the code. A step
(``ctx.run``) is in the history only by its end: it is numbered like a call, is in ``steps`` instead of ``pending``
until then, and its StepCompleted must match a step of this number and name, or code and history disagree.

A patch mark (``ctx.patched``) is recorded when the code first runs; a replay reads the marks and makes none. A mark is
therefore not compared by its position among the decisions; the code must have asked for it by the end of its segment.

A cancellation, a passed deadline and a termination are sent to the open sub-orchestrations, too. ``RequestSent``
records that, so that it is dispatched like any other decision.

A rewind (``ExecutionRewound``) is only ever replayed: it is written without the code. Void commits reach this module
as segments without events. Maps then call failed items anew, at the beginning of the first commit after it.

Calls are numbered from 1 within a generation, at the call. ``pending`` holds the events of the history and not those
that a replay made, so that a redispatch sends exactly what was sent before.
"""

from __future__ import annotations

import contextvars
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from operator import is_
from typing import Any, Literal, ParamSpec, TypeAlias, TypeVar, assert_never, cast, get_args

from ..converter import Converter
from ..definitions import OrchestratorDefinition
from ..errors import (
    ActivityFailedError,
    DurableError,
    EntityOperationFailedError,
    StepFailedError,
    SubOrchestrationFailedError,
    TaskFailedError,
    TaskTimeoutError,
)
from ..guard import Watch, unwatched, watch_of
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails, Wait, type_name
from ..user_code import raise_unless_failure
from . import nondeterminism
from .callbacks import CallbackTicket
from .critical_section import granted, release_at_the_end
from .events import (
    Called,
    CancelRequested,
    ContinueAsNew,
    EntityCalled,
    Event,
    EventRaised,
    ExecutionResumed,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    ExecutionTerminated,
    ExecutionTimedOut,
    Incoming,
    LockGranted,
    LockRequested,
    OperationAnswered,
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
    UpdateAccepted,
)
from .external_events import ExternalEvents
from .generator import UserGenerator
from .journal_waits import begin_waits, end_waits
from .no_entries import NO_ENTRIES
from .parent_close import close_children
from .slots import give_all_back, kept_slot, take_over_unstarted
from .state import Completion, ExecutionState, InstanceInfo, PendingTask
from .steps import Step
from .tasks import Task, describe_call, fail, settle
from .updates import UpdateAnswer, UpdateInProgress
from .user_frames import names_in
from .values import read
from .waits import waits_of

__all__ = ["Completion", "FromInbox", "InstanceInfo", "OrchestrationExecutor", "PendingTask", "Turn", "UpdateAnswer"]

P = ParamSpec("P")
R = TypeVar("R")

FromInbox: TypeAlias = (
    EventRaised | UpdateAccepted | ExecutionSuspended | ExecutionResumed | ExecutionTerminated | CancelRequested
)
"""Events that come through the inbox: all but the start and the results of calls."""

_DECISIONS = frozenset(get_args(Outgoing)) - {PatchMarked}
_AT_ONCE = frozenset(  # while suspended, too
    {ExecutionSuspended, ExecutionResumed, ExecutionTerminated, ExecutionTimedOut, ExecutionRewound}
)
_WITHOUT_CODE = frozenset({ExecutionRewound, ExecutionTerminated, ExecutionTimedOut})
_TIMEOUT = type_name(TaskTimeoutError)  # the failure of an activity, or of a whole run, that took too long
_CALLS = frozenset(get_args(Called))


@dataclass(slots=True)
class Turn:
    """The result of one step.

    recorded: incoming events that were applied, or are held while suspended, in order; to be stored in the history.
    outgoing: decisions of the code, in order.
    unapplied: external events and management requests that came after the end, and are in no history. After
        continue-as-new they go to the next generation.
    answers: to updates, those that were refused included; to be written in the same transaction.
    """

    recorded: tuple[Incoming, ...]
    outgoing: tuple[Outgoing, ...]
    unapplied: tuple[FromInbox, ...] = ()
    answers: tuple[UpdateAnswer, ...] = ()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the segment that records this turn."""
        return self.recorded + self.outgoing


class OrchestrationExecutor:
    """Runs the generator of one generation, replays its history and applies new events.

    These are views, which change with each step:

    history: the committed segments of this generation.
    pending: open activities, timers and sub-orchestrations, in order of task id.
    steps: steps that were called and have not ended, in order of task id.
    undone: the tasks that are done again after a rewind, each with the number of the last rewind that undid it.

    These are set after each step and replay:

    completion: how this generation ended; None while it runs. custom_status: as the code has set it.
    again_at: the index in the history of the commit that dispatches ``again``: the last rewind, or the one that resumes
        a fork that began suspended. None without a rewind, and while ``is_held``.

    Not thread-safe: only one actor uses it. After an error of ``replay`` or ``step``, only ``close`` may be called.
    """

    __slots__ = (
        "_context",
        "_converter",
        "_decisions",
        "_held",
        "_inbox_seen",
        "_mailbox",
        "_runner",
        "again_at",
        "compares_values",
        "completion",
        "custom_status",
        "definition",
        "history",
        "info",
        "pause_reason",
        "pending",
        "started",
        "steps",
        "suspended",
        "undone",
    )

    def __init__(
        self,
        definition: OrchestratorDefinition,
        info: InstanceInfo,
        converter: Converter,
        *,
        guard: bool = False,
        watch: Watch | None = None,
    ) -> None:
        """guard: whether forbidden uses raise DeterminismError, which ``step`` and ``replay`` then raise. watch: the
        function by which user code is called, in the place of the guard."""
        self.definition, self.info = definition, info
        self.started = False
        self.suspended = False
        self.pause_reason = ""  # of the last suspension
        self.compares_values = False  # in a replay: whether inputs and due times must equal those of the history, too
        self._converter = converter
        if watch is None:
            watch = watch_of(definition.fn, *definition.interceptors.of_code) if guard else unwatched
        self._decisions = decisions = ExecutionState(watch)
        self.history: Sequence[Segment] = decisions.history
        self.pending: Mapping[int, PendingTask] = decisions.pending
        self.steps: Mapping[int, Step] = decisions.steps
        self.undone: Mapping[int, int] = decisions.undone
        self.completion: Completion | None = None
        self.custom_status: JSON = None
        self.again_at: int | None = None
        self._mailbox = ExternalEvents(converter, watch)
        self._context = (
            contextvars.Context()
        )  # empty, not copied, so that a cold and a warm generator have the same variables
        self._runner = UserGenerator(definition, info, converter, self._decisions, self._mailbox)
        self._held: list[Incoming] = []
        self._inbox_seen: dict[str, None] = {}  # in order

    # ------------------------------------------------------------ state, for the runtime

    @property
    def waits(self) -> list[Wait]:
        """What the code waits for, at most eight; nothing before it began and after it has ended."""
        return waits_of(self._runner.waiting, self._decisions)

    @property
    def waits_at(self) -> str:
        """``file:line`` where the code waits; '' if it does not run."""
        return self._runner.waits_at

    @property
    def generators(self) -> list[object]:
        """The generator or coroutine of the code, while it runs, and those of its branches, to estimate memory."""
        return self._runner.generators

    @property
    def awaited_events(self) -> list[tuple[str, str]]:
        """External events that the code waits for: the name, and the ``file:line`` of the call."""
        return [(task.event_name, task.line) for task in self._mailbox.waiters()]

    @property
    def handled_events(self) -> list[str]:
        """Names of the external events for which the code has a handler, without letter case."""
        return self._mailbox.handled()

    @property
    def update_names(self) -> str:
        """The names of the handlers of updates, as a JSON array; '' for none."""
        return self._runner.updates.names

    @property
    def updates_in_progress(self) -> list[UpdateInProgress]:
        """The updates whose handlers have not ended, in the order in which they were accepted."""
        return self._runner.updates.in_progress()

    @property
    def section(self) -> str:
        """The critical section that the code is in, or has asked for, as JSON: task id and entities of the request, and
        the number of its commit in this generation; '' for none."""
        section = self._decisions.section
        if section is None:
            return ""
        return json.dumps([section.task_id, list(section.entities), section.asked], separators=(",", ":"))

    @property
    def kept_slot(self) -> str:
        """The slot of the whole orchestration that goes on to the next generation, as JSON; '' if there is none."""
        return kept_slot(self._decisions)

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
    def again(self) -> Sequence[int]:
        """The calls that the last rewind dispatches again."""
        return self._decisions.again

    @property
    def is_held(self) -> bool:
        """Whether this is a fork that began suspended and has not been resumed: its open calls are not dispatched."""
        return self._decisions.is_held

    @property
    def is_rewound(self) -> bool:
        """Whether the last commit is a rewind."""
        return self._decisions.rewound_at is not None and self._decisions.rewound_at == len(self.history) - 1

    @property
    def owes_items(self) -> bool:
        """Whether a step without events makes calls: of items that failed before a rewind."""
        return self._decisions.owes_items and not self.suspended and self._decisions.completion is None

    @property
    def has_maps(self) -> bool:
        """Whether the code has a map that has not ended."""
        return bool(self._decisions.maps)

    @property
    def items_again(self) -> Sequence[tuple[str, int]]:
        """The items of maps that are called again since the last rewind: name of what is called, and index."""
        return self._decisions.items_again

    @property
    def told_again(self) -> tuple[Incoming, ...]:
        """What the next turn must be told first: the last commit is a rewind, and void commits had brought this."""
        history = self._decisions.history
        return history[-1].told if history else ()

    def open_callbacks(self) -> list[CallbackTicket]:
        """The callbacks that nobody has completed, in the order in which the code made them."""
        waiting = {task.event_name for task in self._mailbox.waiters()}
        return [ticket for ticket in self._decisions.callbacks if ticket.event_name in waiting]

    def unconsumed_events(self) -> list[EventRaised]:
        """External events in the history that the code has not received, in the order in which they came."""
        return [*self._mailbox.kept(), *(event for event in self._held if isinstance(event, EventRaised))]

    def unreceived_requests(self) -> list[CancelRequested]:
        """Cancellations in the history that were held while suspended, and not applied to this generation's code."""
        return [event for event in self._held if isinstance(event, CancelRequested)]

    def due_timers(self, now: datetime) -> list[TimerFired]:
        """Pending timers due at ``now``, earliest first."""
        decisions = self._decisions
        if not decisions.timers:
            return []
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
                if self._decisions.completion is None:
                    self._accept(event)

        self._run(apply)

    def query(self, name: str, args: JSON) -> JSON:
        """Call a query handler of the code. UnknownQueryError, InvalidInputError, QueryFailedError.

        A handler has access to the code's own variables, and may change them: call it only on an executor that is
        closed afterwards.
        """
        return self._context.run(self._runner.queries.answer, name, args)

    def close(self) -> None:
        """Close the generator. Its ``finally:`` blocks run; calls in them are not recorded.

        Then let go of the tasks that wait. They lead back to what holds them: their memory would stay until Python
        looks for such circles, which it does seldom in a host. History, decisions and completion can still be read.
        """
        self._context.run(self._runner.close)
        self._decisions.open.clear()
        self._decisions.maps = NO_ENTRIES
        self._mailbox.let_go()

    # ------------------------------------------------------------ replay and step

    def _run(self, move: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """The only place where the code runs: with its own context variables, and with its decisions recorded."""
        decisions = self._decisions
        decisions.is_running = True
        try:
            return self._context.run(move, *args, **kwargs)
        finally:
            decisions.is_running = False
            self.completion, self.custom_status = decisions.completion, decisions.custom_status
            self.again_at = decisions.again_at

    def _replay(self, segments: Sequence[Segment], follow: Callable[[Event], None] | None) -> None:
        decisions, patches = self._decisions, self._decisions.patches
        decisions.is_replaying = patches.in_history = True
        patches.look_ahead(segments)
        for number, segment in enumerate(segments):
            decisions.now = segment.timestamp
            expected: list[Any] = [event for event in segment.events if type(event) in _DECISIONS]
            decisions.expected_decisions = () if self.compares_values else expected
            decisions.foretold = expected
            if decisions.owes_items and segment.events:
                self._call_items_again(segment.events[0])
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
        decisions.expected_decisions = decisions.foretold = ()

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
        if decisions.owes_items:
            self._call_items_again(incoming[0] if incoming else None)
        for at, event in enumerate(incoming):
            if decisions.completion is not None and self._end_before(event) is not None:
                unapplied = self._after_the_end(incoming[at:])
                break
            if self._accept(event):
                recorded.append(event)
        outgoing = tuple(decisions.made)
        decisions.made.clear()
        return Turn(tuple(recorded), outgoing, unapplied, self._runner.updates.take_answers())

    def _call_items_again(self, first: Event | None) -> None:
        """first: the first event of the commit; one that ends the run, perhaps without its code, makes no calls."""
        if self.owes_items and type(first) not in _WITHOUT_CODE:
            self._decisions.call_items_again()
            self._runner.go_on()

    def _after_the_end(self, incoming: Sequence[Incoming]) -> tuple[FromInbox, ...]:
        """Of these events, those that the next generation may receive. Updates of an ended instance are refused."""
        late = [event for event in incoming if isinstance(event, FromInbox) and self._is_new_row(event.event_id)]
        if not isinstance(self._decisions.completion, ContinueAsNew):
            for event in late:
                if isinstance(event, UpdateAccepted):
                    self._runner.updates.refuse_after_end(event)
            late = [event for event in late if not isinstance(event, UpdateAccepted)]
        return tuple(late)

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
            case TaskCompleted(waits=None) | TaskFailed():
                return self._decisions.answered(event.task_id, TaskScheduled)
            case TaskCompleted():
                return self._decisions.part_ended(event.task_id)
            case TimerFired():
                return self._decisions.answered(event.task_id, TimerCreated)
            case SubOrchestrationCompleted() | SubOrchestrationFailed():
                return self._decisions.answered(event.task_id, SubOrchestrationCreated)
            case OperationAnswered():
                return self._decisions.answered(event.task_id, EntityCalled)
            case LockGranted():
                return self._decisions.answered(event.task_id, LockRequested)
            case ExecutionStarted():
                is_first, self.started = not self.started, True
                return is_first
            case EventRaised() | ExecutionSuspended() | ExecutionResumed() | ExecutionTerminated() | CancelRequested():
                return self._is_new_row(event.event_id)
            case UpdateAccepted():
                return self._is_new_row(event.event_id) and self._is_accepted(event)
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

    def _is_accepted(self, event: UpdateAccepted) -> bool:
        """Whether the update is recorded: it was accepted before, or its handler accepts it now."""
        history = self._decisions.history
        if self._decisions.is_replaying or (history and any(event is told for told in history[-1].told)):
            return True
        return self._runner.updates.accepts(event, suspended=self.suspended)

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
            case TaskCompleted(waits=None) | SubOrchestrationCompleted():
                self._end_task(event.task_id, event.result, None)
            case TaskCompleted():
                begin_waits(self._decisions, self._mailbox, event.task_id, event.waits)
            case TaskFailed() | SubOrchestrationFailed():
                self._end_task(event.task_id, None, event.failure)
            case TimerFired():
                self._end_task(event.task_id, None, None)
            case OperationAnswered():
                self._end_task(event.task_id, event.result, event.failure)
            case LockGranted():
                self._lock_granted(event.task_id)
            case StepCompleted():
                self._end_task(event.task_id, event.result, event.failure)
            case EventRaised():
                self._put(event)
            case UpdateAccepted():
                self._runner.updates.apply(event)
                self._runner.go_on()
            case ExecutionStarted():
                self._runner.start(event.input, event.slot)
            case ExecutionSuspended():
                self.suspended, self.pause_reason = True, event.reason
                self._decisions.hold()
            case ExecutionResumed():  # if the instance is not suspended, no events are held
                self._resume()
            case ExecutionRewound():
                self._decisions.rewind(event)
            case ExecutionTerminated():
                if not self.started:
                    take_over_unstarted(self._decisions, self.info.slot)
                if event.recursive:
                    self._tell_children("terminate", event.reason)
                release_at_the_end(self._decisions)
                if self._decisions.pending:
                    close_children(self._decisions)
                give_all_back(self._decisions)
                self._runner.updates.abandon()
                self._decisions.completion = event
                self._runner.close()
            case CancelRequested():
                if not self._runner.is_cancelled:
                    if event.recursive:
                        self._tell_children("cancel", event.reason)
                    self._runner.cancel(event.reason)
            case ExecutionTimedOut():
                if not self.started:
                    take_over_unstarted(self._decisions, self.info.slot)
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
        if self._decisions.journaled:
            end_waits(self._decisions, task)
        if failure is not None:
            fail(task, _failed(task, task_id, failure))
        else:
            try:
                value = read(self._converter, result, task.returns)
            except DurableError as error:
                reason = FailureDetails.from_exception(error, retriable=False)
                fail(task, _failed(task, task_id, reason, "returned a result that does not fit the expected type"))
            else:
                settle(task, value)
        self._runner.run_on(task)

    def _lock_granted(self, task_id: int) -> None:
        task = self._decisions.open.pop(task_id, None)
        if task is None:
            return  # granted while suspended, and withdrawn before that was applied
        settle(task, granted(self._decisions, task_id))
        self._runner.run_on(task)

    def _tell_children(self, kind: str, reason: str) -> None:
        """Record that a request is sent to the open sub-orchestrations."""
        for task_id, pending in self._decisions.pending.items():
            if type(pending.event) is SubOrchestrationCreated:
                self._decisions.record(RequestSent(task_id, kind, reason))

    def _resume(self) -> None:
        self.suspended = False
        self._decisions.release()
        if self._decisions.owes_items:
            self._call_items_again(None)
        held, self._held = self._held, []
        for at, event in enumerate(held):
            self._apply(event)
            if self._decisions.completion is not None:
                self._held = held[at + 1 :]
                return


def _failed(task: Task[Any], task_id: int, failure: FailureDetails, what: str = "failed") -> TaskFailedError:
    """``task_id``: of the call that has failed: a later one than the task's, if a journaled activity has waited."""
    # A timer and a lock cannot fail.
    call = cast("TaskScheduled | SubOrchestrationCreated | EntityCalled | Step", task.call)
    overran = failure.type == _TIMEOUT and failure.cause is None  # a timeout of something within it has a cause
    kind: type[TaskFailedError]
    match call:
        case TaskScheduled():
            kind = TaskTimeoutError if overran else ActivityFailedError
        case SubOrchestrationCreated():
            kind = TaskTimeoutError if overran else SubOrchestrationFailedError
        case EntityCalled():
            kind = EntityOperationFailedError
        case Step():
            kind = StepFailedError
    message = f"{describe_call(task)} {what}: {failure.type}: {failure.message}"
    name = f"{call.entity} {call.operation}" if isinstance(call, EntityCalled) else call.name
    return kind(message, failure, task_id=task_id, name=name)
