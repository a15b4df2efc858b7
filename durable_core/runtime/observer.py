"""What the runtime tells to an observer, such as telemetry. The observer here does nothing.

The runtime calls every method on the event loop, and after the write that the call is about: an observer that tells
others of a commit tells of none that was not made. A method must not raise and must not wait.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime

from ..engine.executor import PendingTask, Turn
from ..engine.state import Completion
from ..hub.instance_row import Instance, RetryState
from ..hub.messages import ControlMessage, TaskOutcome, WorkMessage
from ..lazy_dataclass import dataclass
from ..models import FailureDetails
from ..storage.ports import Storage
from ..trace_context import caller_trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Committed:
    """A turn whose commit is written.

    commit_id: random, of this one write. at: its time. before, after: the instance row before and after it.
    called: the open calls that the recorded events have ended. abandoned: at the end of a generation, the calls
        that are still open. begun: the time of this generation's first commit.
    retries: the states of tasks whose failed attempt is to be followed by another one, decided in this turn.
    senders: the ``traceparent`` of whoever has sent an event that the turn has read.
    completion: how the generation has ended, with its failure; None if it goes on.
    """

    commit_id: str
    before: Instance
    after: Instance
    turn: Turn
    at: datetime
    called: Mapping[int, PendingTask]
    abandoned: Mapping[int, PendingTask]
    begun: datetime
    retries: Mapping[int, RetryState]
    senders: tuple[str, ...]
    completion: Completion | None
    failure: FailureDetails | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptInfo:
    """An attempt at a call, or a run of a step.

    is_inline: it runs in the turn that called it.
    """

    instance_id: str
    execution_id: str
    generation: int
    task_id: int
    attempt: int
    name: str
    is_step: bool = False
    is_inline: bool = False
    line: str = ""


class RunningAttempt:
    """An attempt that an observer follows. This one follows nothing."""

    __slots__ = ()

    def around(self) -> AbstractContextManager[object]:
        """Enclose the start of the user's code, whose context is copied there."""
        return nullcontext()

    def ended(self, outcome: TaskOutcome, seconds: float) -> None:
        """The attempt has ended. Its outcome is not recorded yet: see ``Observer.delivered``."""


_UNFOLLOWED = RunningAttempt()


class Observer:
    """The receiver of what the runtime does; each method of this class does nothing.

    is_on: whether the observer wants to know of turns, so that the runtime collects what ``committed`` needs.
    follows: whether the observer follows attempts and replays, and must know their instances first (``met``).
    """

    is_on = False
    follows = False

    def storage(self, storage: Storage) -> Storage:
        """The storage to use: this one, or one that is watched."""
        return storage

    # ------------------------------------------------------------ starts

    def trace_of_start(self, fresh: Instance) -> str:
        """The ``traceparent`` that the row of a new instance gets."""
        return caller_trace.get()

    def trace_of_origin(self, source: Instance) -> str:
        """The ``traceparent`` of the last run of an instance, for the row of a restart or a fork of it."""
        return ""

    def started(self, instance: Instance) -> None:
        """A client has started this instance."""

    def trace_of_call(self, caller: Instance, generation: int, task_id: int) -> str:
        """The ``traceparent`` that the row gets of an instance, or of an event, that this call of an orchestration
        starts or sends."""
        return caller.trace

    def trace_of_event(self, target: Instance, event_id: str) -> str:
        """The ``traceparent`` that the inbox row of a client's event gets."""
        return caller_trace.get()

    def event_raised(self, target: Instance, name: str, event_id: str) -> None:
        """A client has put an event, whose row has this key, into the inbox of this instance."""

    # ------------------------------------------------------------ turns

    def received(self, message: ControlMessage | WorkMessage, dequeue_count: int, inserted_at: datetime | None) -> None:
        """A message has come from a queue."""

    def replayed(self, instance: Instance, events: int, seconds: float) -> None:
        """An orchestrator was loaded and replayed."""

    def conflicted(self) -> None:
        """A commit was refused, or its answer is lost."""

    def committed(self, committed: Committed, begun: datetime | None, commit_seconds: float | None) -> None:
        """A turn was committed.

        begun: when the turn began by this host's clock; commit_seconds: what the write took. None for a commit whose
        answer was lost, and which was found later.
        """

    # ------------------------------------------------------------ attempts

    def knows(self, execution_id: str) -> bool:
        """Whether the observer needs no ``met`` for this execution."""
        return True

    def met(self, instance: Instance) -> None:
        """An instance was read whose attempts, or turns, are to follow."""

    def begin(self, attempt: AttemptInfo) -> RunningAttempt:
        """An attempt begins."""
        return _UNFOLLOWED

    def delivered(self, execution_id: str, outcomes: Iterable[TaskOutcome]) -> None:
        """These outcomes of attempts in this process are durable: in a commit, or in a message."""


NOBODY = Observer()
"""The observer of an app without telemetry."""
