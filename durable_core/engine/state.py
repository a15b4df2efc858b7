"""The state of one generation: its decisions, open tasks, custom status and continuation.

The context writes it while the generator runs; ``OrchestrationExecutor`` reads it between runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  the code's own, which is seeded from the instance's identity
from typing import Any, TypeAlias, cast

from ..guard import Watch, unwatched
from ..models import JSON, ParentLink, RetryPolicy
from ..moments import after
from .callbacks import CallbackUrls
from .code_scope import refuse_outside, whose_code
from .events import (
    ContinueAsNew,
    ExecutionCompleted,
    ExecutionRewound,
    ExecutionTerminated,
    Outgoing,
    Segment,
    SubOrchestrationCreated,
    TaskScheduled,
    TimerCanceled,
    TimerCreated,
)
from .patches import Patches
from .steps import Step
from .tasks import Task

Completion: TypeAlias = ExecutionCompleted | ContinueAsNew | ExecutionTerminated
"""How a generation ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceInfo:
    """Identifies a generation of an execution of an instance. ``callback_urls``: makes the URLs of its callbacks.

    seed: of its random numbers and ids, where it is not its own: a fork has that of its source.
    """

    instance_id: str
    execution_id: str
    generation: int
    name: str
    version: str
    parent: ParentLink | None = None
    seed: str = ""
    callback_urls: CallbackUrls | None = field(default=None, compare=False)


@dataclass(slots=True)
class PendingTask:
    """An open activity, timer or sub-orchestration. ``event``: that of the history, once the history holds the call.

    ``retry`` is the policy object given at the call, which may hold callables; None if none was given.
    ``since``: the time of the call, by the orchestrator's clock.
    """

    event: TaskScheduled | TimerCreated | SubOrchestrationCreated
    retry: RetryPolicy | None
    since: datetime


class ExecutionState:
    """The state of a generation, as its code has made it.

    made: decisions since the last commit, in order.
    expected_decisions: in a replay, the decisions of the history, beginning with the one to which the first of ``made``
        must be equal.
    open: the task object of every call whose result was not given to the code.
    pending: the open calls whose result is not in the history, in order of task id. While suspended, a result can be
        in the history before it is given to the code.
    steps: the steps called and not ended; separate from ``pending``, because no event of them is in the history yet.
    patches: the patches for which the code has asked, with the answers.
    timers: the pending calls that are timers, so that a turn need not search a wide fan-out for them.
    rewound_at: the index in the history of the last rewind.
    runs: the rewinds of this generation: the highest task id before each, and its number. undone: the tasks that are
        done again, each with the number of the rewind.
    salt: makes random numbers and ids after a rewind others than those of the void commits. random: the generator of
        the code's random numbers, once the code has asked for it.
    watch: the function by which user code is called, so that the guard can check it.
    is_running: whether a step or a replay is under way. Otherwise the generator is being closed, by ``close`` or by
        Python's garbage collector: calls in its ``finally:`` blocks are not recorded.
    """

    __slots__ = (
        "completion",
        "continuation",
        "custom_status",
        "expected_decisions",
        "history",
        "is_replaying",
        "is_running",
        "last_id",
        "made",
        "now",
        "open",
        "patches",
        "pending",
        "random",
        "rewound_at",
        "runs",
        "salt",
        "steps",
        "timers",
        "undone",
        "watch",
    )

    def __init__(self, watch: Watch = unwatched) -> None:
        self.watch = watch
        self.made: list[Outgoing] = []
        self.expected_decisions: Sequence[Outgoing] = ()
        self.open: dict[int, Task[Any]] = {}
        self.pending: dict[int, PendingTask] = {}
        self.steps: dict[int, Step] = {}
        self.timers: set[int] = set()
        self.history: list[Segment] = []
        self.patches = Patches()
        self.last_id = 0
        self.runs: list[tuple[int, int]] = []
        self.undone: dict[int, int] = {}
        self.rewound_at: int | None = None
        self.salt = ""
        self.random: Random | None = None
        self.now = datetime.fromtimestamp(0, UTC)
        self.is_replaying = False
        self.is_running = False
        self.custom_status: JSON = None
        self.continuation: ContinueAsNew | None = None
        self.completion: Completion | None = None

    def next_id(self) -> int:
        """The number of the next call. Calls while the generator is closed get no number of their own."""
        if whose_code():
            refuse_outside()
        if self.is_running:
            self.last_id += 1
        return self.last_id

    def foretold_activity(self, task_id: int, name: str) -> TaskScheduled | None:
        """The recorded event for this call, if history has it at the same position; reused instead of building an
        equal one."""
        at = len(self.made)
        event = self.expected_decisions[at] if at < len(self.expected_decisions) else None
        if isinstance(event, TaskScheduled) and event.task_id == task_id and event.name == name:
            return event
        return None

    def call(
        self, task: Task[Any], event: TaskScheduled | TimerCreated | SubOrchestrationCreated, retry: RetryPolicy | None
    ) -> None:
        """Record a call that will have a result."""
        if not self.is_running:
            return
        task_id = event.task_id
        self.made.append(event)
        self.open[task_id] = task
        self.pending[task_id] = PendingTask(event, retry, self.now)
        if type(event) is TimerCreated:
            self.timers.add(task_id)

    def run(self, task: Task[Any], step: Step) -> None:
        """Note a step that the code has called."""
        if self.is_running:
            self.open[step.task_id] = task
            self.steps[step.task_id] = step

    def record(self, event: Outgoing) -> None:
        """Record a decision that has no result."""
        if self.is_running:
            self.made.append(event)

    def patch(self, patch_id: str, *, deprecated: bool = False) -> bool:
        """Whether a patch is taken; ``deprecated``: it always is. OrchestratorCodeError."""
        taken, mark = self.patches.ask(patch_id, is_running=self.is_running, deprecated=deprecated)
        if mark is not None:
            self.made.append(mark)
        return taken

    def cancel_timer(self, task_id: int, line: str = "") -> None:
        """Record that the code has cancelled a timer, unless its firing is in the history already."""
        if not self.is_running:
            return
        self.open.pop(task_id, None)
        if self.pending.pop(task_id, None) is not None:
            self.timers.discard(task_id)
            self.made.append(TimerCanceled(task_id, line))

    def answered(self, task_id: int, kind: type[TaskScheduled | TimerCreated | SubOrchestrationCreated]) -> bool:
        """Note that the result of a call is in the history. False if no call of this kind and number is pending."""
        found = self.pending.get(task_id)
        if found is None or type(found.event) is not kind:
            return False
        del self.pending[task_id]
        if kind is TimerCreated:
            self.timers.discard(task_id)
        return True

    def rewind(self, event: ExecutionRewound) -> None:
        """Go on from here in a new run: void commits are not in this history, and nothing may be taken for theirs."""
        self.last_id = max(self.last_id, event.last)
        self.runs.append((event.last, event.number))
        self.undone.update(dict.fromkeys(event.undone, event.number))
        self.salt = f"/{event.request_id}"
        if self.random is not None:
            self.random.seed(f"{self.salt}/{self.random.random()}")
        shift = timedelta(seconds=event.shift)
        for task_id in event.again:  # a time limit that passed before the rewind must not end the call again
            if (pending := self.pending.get(task_id)) is not None:
                pending.since = self.now
        for task_id, data in event.inputs or ():
            if (pending := self.pending.get(task_id)) is not None and not isinstance(pending.event, TimerCreated):
                pending.event = replace(pending.event, input=data)
        for task_id in self.timers:
            pending = self.pending[task_id]
            timer = cast("TimerCreated", pending.event)
            pending.event = replace(timer, fire_at=after(timer.fire_at, shift))

    def called_in_run(self, task_id: int) -> int:
        """The number of the rewind after which this task was called; 0 if it was called before any."""
        return max((number for last, number in self.runs if task_id > last), default=0)

    def set_custom_status(self, value: JSON) -> None:
        refuse_outside()
        if self.is_running:
            self.custom_status = value

    def continue_as_new(self, event: ContinueAsNew) -> None:
        refuse_outside()
        if self.is_running:
            self.continuation = event
