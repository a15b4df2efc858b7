"""What the code of one generation has decided so far: numbered calls, open tasks, status, how it wants to go on.

The context writes it while the generator runs; ``OrchestrationExecutor`` reads it between runs. Knows no generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeAlias

from ..guard import Watch, unwatched
from ..models import JSON, ParentLink, RetryPolicy
from .callbacks import CallbackUrls
from .code_scope import refuse_outside, whose_code
from .events import (
    ContinueAsNew,
    ExecutionCompleted,
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
    """Which generation of which execution of which instance. ``callback_urls``: how this app spells their URLs."""

    instance_id: str
    execution_id: str
    generation: int
    name: str
    version: str
    parent: ParentLink | None = None
    callback_urls: CallbackUrls | None = field(default=None, compare=False)


@dataclass(slots=True)
class PendingTask:
    """An open activity, timer or sub-orchestration. ``event``: history's own, as soon as history holds the call.

    ``retry`` is the live policy given at the call, which may hold callables; None: none was given at the call.
    ``since``: when it was called, the orchestrator's clock.
    """

    event: TaskScheduled | TimerCreated | SubOrchestrationCreated
    retry: RetryPolicy | None
    since: datetime


class ExecutionState:
    """The orchestrator's side of a generation.

    made: decisions since the last commit, in order.
    foretold: in a replay, the decisions that history holds next, beginning with the first of ``made``.
    open: the task object of every call whose result the code has not been given.
    pending: of these, the calls whose result is not in history either: while suspended a result can be in history
        and not yet given. In order of task id.
    steps: the inline steps called and not ended; kept apart from ``pending``, as history holds nothing of them yet.
    patches: which changes inside this version were asked for, and taken.
    timers: the pending calls that are timers; they are looked through at every turn, a wide fan-out must not be.
    watch: how code of the user's is called, so that a guard sees what it uses.
    is_running: a step or a replay is under way. Otherwise the generator is being dropped, by ``close`` or by Python's
        garbage collector; its ``finally:`` blocks may call, and nothing comes of it.
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
        "steps",
        "timers",
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
        self.now = datetime.fromtimestamp(0, UTC)
        self.is_replaying = False
        self.is_running = False
        self.custom_status: JSON = None
        self.continuation: ContinueAsNew | None = None
        self.completion: Completion | None = None

    def next_id(self) -> int:
        """The number of the next call. Calls while it is dropped are not numbered."""
        if whose_code():
            refuse_outside()
        if self.is_running:
            self.last_id += 1
        return self.last_id

    def foretold_activity(self, task_id: int, name: str) -> TaskScheduled | None:
        """History's own event, if it is this call that history holds next: what is sent again is that one anyway."""
        at = len(self.made)
        event = self.expected_decisions[at] if at < len(self.expected_decisions) else None
        if isinstance(event, TaskScheduled) and event.task_id == task_id and event.name == name:
            return event
        return None

    def call(
        self, task: Task[Any], event: TaskScheduled | TimerCreated | SubOrchestrationCreated, retry: RetryPolicy | None
    ) -> None:
        """The code called something that will have a result."""
        if not self.is_running:
            return
        task_id = event.task_id
        self.made.append(event)
        self.open[task_id] = task
        self.pending[task_id] = PendingTask(event, retry, self.now)
        if type(event) is TimerCreated:
            self.timers.add(task_id)

    def run(self, task: Task[Any], step: Step) -> None:
        """The code called an inline step."""
        if self.is_running:
            self.open[step.task_id] = task
            self.steps[step.task_id] = step

    def record(self, event: Outgoing) -> None:
        """The code decided something that has no result."""
        if self.is_running:
            self.made.append(event)

    def patch(self, patch_id: str, *, deprecated: bool = False) -> bool:
        """The code asked for a change, or says that it is always taken. OrchestratorCodeError."""
        taken, mark = self.patches.ask(patch_id, is_running=self.is_running, deprecated=deprecated)
        if mark is not None:
            self.made.append(mark)
        return taken

    def cancel_timer(self, task_id: int, line: str = "") -> None:
        """The code cancelled a timer. Its firing is not awaited any more; one that history holds stays there."""
        if not self.is_running:
            return
        self.open.pop(task_id, None)
        if self.pending.pop(task_id, None) is not None:
            self.timers.discard(task_id)
            self.made.append(TimerCanceled(task_id, line))

    def answered(self, task_id: int, kind: type[TaskScheduled | TimerCreated | SubOrchestrationCreated]) -> bool:
        """A call has its result in history. False, and nothing done, if no call of this kind and number is pending."""
        found = self.pending.get(task_id)
        if found is None or type(found.event) is not kind:
            return False
        del self.pending[task_id]
        if kind is TimerCreated:
            self.timers.discard(task_id)
        return True

    def set_custom_status(self, value: JSON) -> None:
        refuse_outside()
        if self.is_running:
            self.custom_status = value

    def continue_as_new(self, event: ContinueAsNew) -> None:
        refuse_outside()
        if self.is_running:
            self.continuation = event
