"""Which commits are dispatched again: rules R5, R6, R7 and R19, as functions of a row, its history and messages.

A host may die between its commit and the end of its dispatch. Its messages come back as redeliveries to another host,
which cannot know how far the first host got, and repeats the dispatch. The messages of a redispatch name the last
commit that it covered (``after``). In rare cases a stalled host commits later, and such a message is the only one that
leads to a dispatch of that commit. This module does no IO.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import field, replace
from typing import TypeAlias, TypeGuard, cast, get_args

from ...engine.events import (
    Answered,
    Called,
    EntityCalled,
    Event,
    EventSent,
    ExecutionResumed,
    ExecutionSuspended,
    ForEntity,
    Incoming,
    LockRequested,
    OrchestrationStarted,
    Outgoing,
    RequestSent,
    Segment,
    StepCompleted,
    SubOrchestrationCreated,
    TaskScheduled,
    TimerCanceled,
    TimerFired,
)
from ...engine.state import PendingTask
from ...hub.instance_row import Instance
from ...hub.instances import Carried
from ...hub.messages import ControlMessage, TaskOutcome
from ...hub.voiding import rewind_in
from ...lazy_dataclass import dataclass
from .decision import Decision
from .delivery import Delivery

NO_REDISPATCH = 2**53 - 1
"""``after`` in messages of a redispatch that only copies have caused. No commit is later, so they cause no
redispatch."""

_ForOthers: TypeAlias = EventSent | OrchestrationStarted | RequestSent | ForEntity
_RESULTS: TypeAlias = Answered | TimerFired | StepCompleted
_OTHER_NEWS = tuple(set(get_args(Incoming)) - set(get_args(Answered)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Redispatch:
    """The commits whose decisions are dispatched again unless they are known to be dispatched. False if there are none.

    later_than: all commits later than this one; None: no such range.
    commits: further single commits.
    only_for_copies: only messages of another redispatch have caused it, and no redelivery. Its own messages then cause
        no redispatch. Otherwise a window of work, in which some call is always open, would repeat itself until its
        instance ends (R19).
    """

    later_than: int | None = None
    commits: frozenset[int] = frozenset()
    only_for_copies: bool = False

    def __bool__(self) -> bool:
        return self.later_than is not None or bool(self.commits)

    def covers(self, seq: int) -> bool:
        return seq in self.commits or (self.later_than is not None and seq > self.later_than)

    def with_later_than(self, later_than: int | None) -> Redispatch:
        """The same, together with all commits later than this one, which this process has not dispatched for
        certain."""
        if later_than is None:
            return self
        least = later_than if self.later_than is None else min(self.later_than, later_than)
        return replace(self, later_than=least, only_for_copies=False)

    def without_commits(self) -> Redispatch:
        """The same as a single range of commits, for use where single commits cannot be read."""
        return NOTHING.with_later_than(min([*self._least(), *(seq - 1 for seq in self.commits)], default=None))

    def _least(self) -> list[int]:
        return [] if self.later_than is None else [self.later_than]


NOTHING = Redispatch()


@dataclass(frozen=True, slots=True)
class Known:
    """Commits of an execution that are known to be dispatched: all ``up_to`` this one, and later ``singles``."""

    up_to: int
    singles: Collection[int] = ()

    def __contains__(self, seq: int) -> bool:
        return seq <= self.up_to or seq in self.singles

    def all_after(self, seq: int) -> int:
        """The commit up to which all commits later than this one are dispatched."""
        last = max(seq, self.up_to)
        while last + 1 in self.singles:
            last += 1
        return last


def to_redispatch(
    instance: Instance,
    segments: Sequence[Segment],
    batch: Sequence[Delivery],
    known: Known,
    pending: Container[int] = (),
    *,
    has_steps: bool = False,
) -> Redispatch:
    """Find the commits that must be dispatched again because of these messages (rules R5, R6, R19).

    Redelivered messages: the commit that recorded the results of the message was made by a host that had this message,
    and is dispatched again. If the results are new, no commit is: the turn of that host cannot have committed. Some
    messages lead to commits that do not name them: a bare wake-up, a reminder, a failure that was followed by a retry,
    a message of another generation or execution. For these, all commits after the last one known to be dispatched are.

    Messages of a redispatch (with ``after``), called copies: if the result of the task was recorded by a commit later
    than ``after``, the host that made the commit may have lost its messages to the redispatch, and have died before it
    dispatched. Only that commit is dispatched again. A copy with a new result causes no redispatch: the commit that
    records the result makes the commits of all hosts with an older row fail.

    pending: tasks that are known to be open; the history is not searched for them. has_steps: inline steps are open.
    """
    for delivery in batch:
        if delivery.redelivered or delivery.message.after is not None:
            break
    else:
        return NOTHING
    asked = _Asked(instance, segments, known, pending, has_steps)
    for delivery in batch:
        if delivery.redelivered:
            asked.by_redelivery(delivery)
        elif delivery.message.after is not None:
            asked.by_copy(delivery, delivery.message.after)
    return asked.redispatch()


@dataclass(slots=True)
class _Asked:
    """Collects the commits that the messages of one turn cause to be dispatched again."""

    instance: Instance
    segments: Sequence[Segment]
    known: Known
    pending: Container[int]
    has_steps: bool
    _ranges: list[int] = field(default_factory=lambda: [])
    _commits: set[int] = field(default_factory=lambda: set())
    _only_for_copies: bool = True
    _recorded: dict[int, int] | None = None
    _besides: list[int] | None = None

    def redispatch(self) -> Redispatch:
        least = min(self._ranges, default=None)
        commits = frozenset(self._commits)
        only_for_copies = self._only_for_copies and (least is not None or bool(commits))
        return Redispatch(later_than=least, commits=commits, only_for_copies=only_for_copies)

    def by_redelivery(self, delivery: Delivery) -> None:
        message, instance = delivery.message, self.instance
        is_ours = message.execution_id == instance.execution_id
        if is_ours and not delivery.tasks and message.after is not None:
            self._range(message.after)
        if not is_ours or not delivery.tasks:
            self._range(instance.dispatched)
            return
        news = news_in(message, instance)
        for generation, task_id in delivery.tasks:
            seq = self._recorded_by(task_id) if generation == instance.generation else None
            if seq is not None:
                self._recorded_commit(seq, is_redelivery=True)
            elif generation != instance.generation or task_id not in news:
                self._range(instance.dispatched)

    def by_copy(self, delivery: Delivery, after: int) -> None:
        message, instance = delivery.message, self.instance
        if message.execution_id != instance.execution_id:
            return
        if not delivery.tasks:  # ordered by ``recover``
            self._range(after)
            return
        news = news_in(message, instance)
        for generation, task_id in delivery.tasks:
            if generation != instance.generation:
                if generation < instance.generation:
                    self._range(max(after, self.known.up_to), only_for_copies=True)
                continue
            seq = self._recorded_by(task_id)
            if seq is not None:
                if seq > after:
                    self._recorded_commit(seq, is_redelivery=False)
            elif task_id in instance.retries and task_id not in news:  # followed by a retry, in an unknown commit
                self._range(instance.dispatched, only_for_copies=True)

    def _recorded_commit(self, seq: int, *, is_redelivery: bool) -> None:
        """Handle a task of a message that this commit has recorded: its host may have died right after the commit."""
        if self.has_steps or goes_on_inline(self.segments, seq):  # may have led to further commits without a message
            later_than = seq - 1 if is_redelivery else self.known.all_after(seq - 1)
            if later_than < self.instance.seq - 1:
                self._range(later_than)
            return
        owed = {seq}
        if is_redelivery:  # a host that found it recorded may have committed inbox rows
            owed.update(later for later in self._other_commits() if later > seq)
        owed = {each for each in owed if each not in self.known}
        self._commits |= owed
        if is_redelivery and owed:
            self._only_for_copies = False

    def _range(self, later_than: int, *, only_for_copies: bool = False) -> None:
        self._ranges.append(later_than)
        self._only_for_copies = self._only_for_copies and only_for_copies

    def _recorded_by(self, task_id: int) -> int | None:
        if task_id in self.pending:
            return None
        if self._recorded is None:
            self._recorded = recorded_in(self.segments)
        return self._recorded.get(task_id)

    def _other_commits(self) -> list[int]:
        """Commits that record more than results of calls: a message without such results may have led to them."""
        if self._besides is None:
            self._besides = [
                segment.seq
                for segment in self.segments
                if any(isinstance(event, _OTHER_NEWS) for event in segment.events)
            ]
        return self._besides


def goes_on_inline(segments: Iterable[Segment], seq: int) -> bool:
    """Whether the turn of this commit may have led to later ones without any other message: by an inline activity,
    which is the only open task then and was scheduled by this very commit (R4), or by inline steps."""
    is_open: dict[int, int] = {}  # task id -> the commit that scheduled it
    for segment in segments:
        for event in segment.events:
            if segment.seq > seq:
                if isinstance(event, StepCompleted):
                    return True
            elif isinstance(event, Called):
                is_open[event.task_id] = segment.seq
            elif isinstance(event, _RESULTS | TimerCanceled):
                is_open.pop(event.task_id, None)
    return list(is_open.values()) == [seq]


def news_in(message: ControlMessage, instance: Instance) -> set[int]:
    """The tasks of the message's outcomes that no retry state contains yet."""
    return {outcome.task_id for outcome in message.outcomes if _is_news(outcome, instance)}


def _is_news(outcome: TaskOutcome, instance: Instance) -> bool:
    """Whether an outcome that the history does not contain is that of an attempt whose end is not recorded either."""
    state = instance.retries.get(outcome.task_id)
    return state is None or outcome.attempt >= state.attempt


def recorded_in(segments: Iterable[Segment]) -> dict[int, int]:
    """Task id → the commit that recorded its end."""
    return {
        event.task_id: segment.seq for segment in segments for event in segment.events if isinstance(event, _RESULTS)
    }


def covered(instance: Instance, again: Redispatch) -> int | None:
    """The commit up to which everything is dispatched, for ``after`` in the messages (R6). None: it is no
    redispatch."""
    if not again:
        return None
    return NO_REDISPATCH if again.only_for_copies else instance.seq - 1


def redispatch_after_lost_commit(wrote: tuple[int, str], instance: Instance, segments: Sequence[Segment]) -> int | None:
    """For a commit whose answer was lost: the commit before it, if it was written, so that this host dispatches it.

    None if it was not written.
    """
    seq, commit_id = wrote
    if instance.last_commit == commit_id or any(segment.commit_id == commit_id for segment in segments):
        return seq - 1
    if seq >= instance.first:
        return None
    back = instance.first - seq  # a generation has ended meanwhile, by a commit of this host or of another
    if back <= len(instance.ended) and instance.ended[-back] != commit_id:
        return None
    return seq - 1


def undone(
    instance: Instance, segments: Sequence[Segment], pending: Mapping[int, PendingTask], again: Redispatch
) -> list[Decision]:
    """The decisions to be dispatched again: open calls, and everything sent to other instances."""
    decisions: list[Decision] = []
    segments = list(segments)
    called = {
        event.task_id: segment.seq
        for segment in segments
        for event in segment.events
        if isinstance(event, EntityCalled | LockRequested)
    }
    called_again = _called_again(segments)  # their own commits are older, and known as dispatched
    for segment in own_commits(instance, segments):
        if not again.covers(segment.seq):
            continue
        for event in segment.events:
            task = pending.get(getattr(event, "task_id", -1))
            if task is not None and type(task.event) is type(event):
                decisions.append(Decision(task.event, segment.timestamp, seq=segment.seq))
            elif _is_for_others(event) and not isinstance(event, EntityCalled):  # one that is answered has arrived
                decisions.append(Decision(event, segment.timestamp, seq=segment.seq))
        decisions.extend(
            Decision(pending[each].event, segment.timestamp, seq=called.get(each, -1))
            for each in called_again.get(segment.seq, ())
            if each in pending
        )
    return _each_once(decisions)


def _called_again(segments: Iterable[Segment]) -> dict[int, Sequence[int]]:
    """The calls that a commit dispatches again: a rewind, or the resumption of a fork that began suspended."""
    found: dict[int, Sequence[int]] = {}
    held: Sequence[int] | None = None
    for segment in segments:
        rewound = rewind_in(segment)
        if rewound is not None and (held is not None or begins_held(segment)):
            held = rewound.again
        elif rewound is not None:
            found[segment.seq] = rewound.again
        elif held is not None and any(isinstance(event, ExecutionResumed) for event in segment.events):
            found[segment.seq], held = held, None
    return found


def begins_held(segment: Segment) -> bool:
    """Whether this commit is the first of its own of a fork that begins suspended (rule R32)."""
    return rewind_in(segment) is not None and any(isinstance(event, ExecutionSuspended) for event in segment.events)


def own_commits(instance: Instance, segments: Sequence[Segment]) -> Sequence[Segment]:
    """These commits of a generation without those that a fork has copied: its source has dispatched them (rule R30)."""
    return [segment for segment in segments if segment.seq >= instance.copied] if instance.copied else segments


def _each_once(decisions: Sequence[Decision]) -> list[Decision]:
    """A call that a rewind decides again stands in its own commit, too: the rewind's time counts."""
    last = {decision.event.task_id: at for at, decision in enumerate(decisions) if isinstance(decision.event, Called)}
    return [
        decision
        for at, decision in enumerate(decisions)
        if not isinstance(decision.event, Called) or last[decision.event.task_id] == at
    ]


def last_rewind(segments: Iterable[Segment]) -> int | None:
    """The last commit that is a rewind."""
    return max((segment.seq for segment in segments if rewind_in(segment) is not None), default=None)


def rewind_owed(rewound: int | None, known: Known) -> int | None:
    """The commit that is a rewind, if it may not be dispatched (rule R24).

    rewound: the last commit that is one. Nobody but the host that made it dispatches a commit, and nothing but the
    door's wake-up speaks of this one: whoever loads it sees to it.
    """
    return None if rewound is None or rewound in known else rewound


def redispatch_after_end(instance: Instance, batch: Sequence[Delivery], *, unsure: bool) -> int | None:
    """The commit after which all must be dispatched again, for an instance that has ended; None if all is dispatched.

    unsure: a commit of this host may not be dispatched.

    A message of a redispatch causes no redispatch of commits up to its ``after``. The instance does not record results
    any more, so otherwise each result of a repeated call would repeat the call.
    """
    candidates = [instance.dispatched] if unsure or any(delivery.redelivered for delivery in batch) else []
    for delivery in batch:
        message = delivery.message
        if message.after is not None and message.execution_id == instance.execution_id:
            candidates.append(message.after)
    redispatch_after = min(candidates, default=None)
    return None if redispatch_after is None or redispatch_after >= instance.seq - 1 else redispatch_after


def undone_of_ended(instance: Instance, segments: Sequence[Segment], redispatch_after: int) -> list[Decision]:
    """Decisions of an ended instance later than ``redispatch_after``: events and requests to others, and open calls."""
    recorded = recorded_in(segments)

    def is_undone(event: Event) -> bool:
        is_call = isinstance(event, TaskScheduled | SubOrchestrationCreated)
        return _is_for_others(event) or (is_call and event.task_id not in recorded)

    return _decided_later(instance, segments, redispatch_after, is_undone)


def undispatched_for_others(instance: Instance, segments: Sequence[Segment], redispatch_after: int) -> list[Decision]:
    """Decisions for other instances in commits later than ``redispatch_after``. The turn that ends the instance
    dispatches them.

    The end closes the catalogue row. After that only a redelivered message would lead to their dispatch, and a purge
    may come first. Calls are not included: an ended instance waits for no result, and without a crash they would run
    twice.
    """
    return _decided_later(instance, segments, redispatch_after, _is_for_others)


def _is_for_others(event: Event) -> TypeGuard[_ForOthers]:
    """Whether others wait for it, also when this orchestration has ended. A call of an entity is of this kind: it
    changes the entity, once, and whoever locks an entity must release it."""
    return isinstance(event, EventSent | OrchestrationStarted | RequestSent | ForEntity)


def _decided_later(
    instance: Instance, segments: Sequence[Segment], redispatch_after: int, is_wanted: Callable[[Event], bool]
) -> list[Decision]:
    decisions = [
        Decision(cast("Outgoing", event), segment.timestamp, seq=segment.seq)
        for segment in own_commits(instance, segments)
        if segment.seq > redispatch_after
        for event in segment.events
        if is_wanted(event)
    ]
    return with_calls(decisions, segments)


def decisions_of(carried: Sequence[Carried]) -> list[tuple[int, Decision]]:
    """Undispatched decisions of earlier generations, each with its generation."""
    calls = {
        (each.generation, each.event.task_id): Decision(each.event, each.decided)
        for each in carried
        if isinstance(each.event, SubOrchestrationCreated)
    }
    return [
        (
            each.generation,
            Decision(
                each.event,
                each.decided,
                calls.get((each.generation, getattr(each.event, "child", -1))),
                each.seq,
                each.previous,
            ),
        )
        for each in carried
    ]


def with_calls(decisions: Sequence[Decision], segments: Iterable[Segment]) -> list[Decision]:
    """The decisions; each request to a sub-orchestration with the decision that called it."""
    wanted = {decision.event.child for decision in decisions if isinstance(decision.event, RequestSent)}
    if not wanted:
        return list(decisions)
    calls = {
        event.task_id: Decision(event, segment.timestamp)
        for segment in segments
        for event in segment.events
        if isinstance(event, SubOrchestrationCreated) and event.task_id in wanted
    }
    return [
        decision._replace(call=calls.get(decision.event.child)) if isinstance(decision.event, RequestSent) else decision
        for decision in decisions
    ]


def scheduled_in(segments: Iterable[Segment], tasks: Collection[int]) -> list[int]:
    """The commits that scheduled these tasks."""
    return [
        segment.seq
        for segment in segments
        for event in segment.events
        if isinstance(event, TaskScheduled | SubOrchestrationCreated) and event.task_id in tasks
    ]
