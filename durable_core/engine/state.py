"""The state of one generation: its decisions, open tasks, custom status and continuation.

The context writes it while the generator runs; ``OrchestrationExecutor`` reads it between runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from datetime import UTC, datetime, timedelta
from random import Random  # noqa: TID251  the code's own, which is seeded from the instance's identity
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ..guard import Watch, unwatched
from ..lazy_dataclass import dataclass
from ..limits import GATE_PREFIX, Limit
from ..models import JSON, ParentLink, RetryPolicy
from ..moments import after
from .branches import Branches, BranchTask, ends_later, started
from .callbacks import CallbackTicket, CallbackUrls
from .code_scope import refuse_outside, whose_code
from .critical_section import OpenSection
from .events import (
    Called,
    ContinueAsNew,
    EntityCalled,
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
from .no_entries import NO_ENTRIES
from .patches import Patches
from .steps import Step
from .tasks import Combination, Task

if TYPE_CHECKING:
    from .journal_waits import JournaledCall
    from .mapping.task import MapTask

Completion: TypeAlias = ExecutionCompleted | ContinueAsNew | ExecutionTerminated
"""How a generation ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceInfo:
    """Identifies a generation of an execution of an instance. ``callback_urls``: makes the URLs of its callbacks.

    limits: of the app's activities, by their names; None if none has one.
    limit: the request for a slot that its start has given, as JSON ``[gate, request]``; '' if there is none.
    slot: that of a limit, which the generation before has held, as JSON ``[gate, name]``; '' if there is none.
    seed: of its random numbers and ids, where it is not its own: a fork has that of its source.
    headers: those of the instance, as JSON text; '' for none.
    """

    instance_id: str
    execution_id: str
    generation: int
    name: str
    version: str
    parent: ParentLink | None = None
    seed: str = ""
    callback_urls: CallbackUrls | None = field(default=None, compare=False)
    limits: Mapping[str, Limit] | None = field(default=None, compare=False)
    limit: str = field(default="", compare=False)
    slot: str = field(default="", compare=False)
    headers: str = ""


@dataclass(slots=True)
class PendingTask:
    """An open activity, timer or sub-orchestration. ``event``: that of the history, once the history holds the call.

    ``retry`` is the policy object given at the call, which may hold callables; None if none was given.
    ``since``: the time of the call, by the orchestrator's clock.
    """

    event: Called
    retry: RetryPolicy | None
    since: datetime


class ExecutionState:
    """The state of a generation, as its code has made it.

    made: decisions since the last commit, in order.
    expected_decisions: in a replay, the decisions of the history, beginning with the one to which the first of ``made``
        must be equal.
    foretold: the same, also where the values of calls are compared.
    open: the task object of every call whose result was not given to the code.
    pending: the open calls whose result is not in the history, in order of task id. While suspended, a result can be
        in the history before it is given to the code.
    steps: the steps called and not ended; separate from ``pending``, because no event of them is in the history yet.
    patches: the patches for which the code has asked, with the answers.
    timers: the pending calls that are timers, so that a turn need not search a wide fan-out for them.
    rewound_at: the index in the history of the last rewind. again: the calls that it dispatches again.
    again_at: the index of the commit that dispatches them: the rewind, or, for a fork that began suspended, the one
        that resumes it; None before. is_held: it has not been resumed.
    runs: the rewinds of this generation: the highest task id before each, and its number. undone: the tasks that are
        done again, each with the number of the rewind.
    salt: makes random numbers and ids after a rewind others than those of the void commits. random: the generator of
        the code's random numbers, once the code has asked for it.
    section: the critical section that the code is in, or has asked for.
    slots: of limits, that it holds or has asked for, by the task id of the request: the gate, and the slot's name.
    run_slot: the key in ``slots`` of the slot that the whole orchestration holds or waits for; None if it has none. A
        slot from the generation before has the key 0.
    contacts: for each entity, the last commit with a decision for it, and the one before that, by their numbers in
        this generation. entity_calls: how many calls of each entity are open.
    watch: the function by which user code is called, so that the guard can check it.
    branches: the branches of the code, once it has started one.
    callbacks: the tickets of all callbacks, in the order of the calls.
    parts: parts of journaled activities that have ended with waits, until that is applied, by task id. journaled: the
        calls of journaled activities that have waited, by their tasks.
    maps: the maps that have not ended. owes_items: whether they are to call failed items again for a rewind, and no
        commit has come since. items_again: the items that they call again after the last rewind: name and index.
    map_ends: for tasks with failed items of a map that has ended: the task at whose end the map was over.
    is_running: whether a step or a replay is under way. Otherwise the generator is being closed, by ``close`` or by
        Python's garbage collector: calls in its ``finally:`` blocks are not recorded.
    """

    __slots__ = (
        "again",
        "again_at",
        "branches",
        "callbacks",
        "completion",
        "contacts",
        "continuation",
        "custom_status",
        "entity_calls",
        "expected_decisions",
        "foretold",
        "history",
        "is_held",
        "is_replaying",
        "is_running",
        "items_again",
        "journaled",
        "last_id",
        "made",
        "map_ends",
        "maps",
        "now",
        "open",
        "owes_items",
        "parts",
        "patches",
        "pending",
        "random",
        "rewound_at",
        "run_slot",
        "runs",
        "salt",
        "section",
        "slots",
        "steps",
        "timers",
        "undone",
        "watch",
    )

    def __init__(self, watch: Watch = unwatched) -> None:
        self.watch = watch
        self.made: list[Outgoing] = []
        self.expected_decisions: Sequence[Outgoing] = ()
        self.foretold: Sequence[Outgoing] = ()
        self.open: dict[int, Task[Any]] = {}
        self.pending: dict[int, PendingTask] = {}
        self.steps: dict[int, Step] = {}
        self.timers: dict[int, None] = NO_ENTRIES
        self.history: list[Segment] = []
        self.patches = Patches()
        self.last_id = 0
        self.runs: list[tuple[int, int]] = []
        self.undone: dict[int, int] = {}
        self.rewound_at: int | None = None
        self.again: Sequence[int] = ()
        self.branches: Branches | None = None
        self.callbacks: Sequence[CallbackTicket] = ()
        self.again_at: int | None = None
        self.is_held = False
        self.parts: dict[int, PendingTask] = NO_ENTRIES
        self.journaled: dict[Task[Any], JournaledCall] = NO_ENTRIES
        self.maps: dict[MapTask[Any], None] = NO_ENTRIES
        self.owes_items = False
        self.items_again: list[tuple[str, int]] = []
        self.map_ends: dict[int, int] = NO_ENTRIES
        self.salt = ""
        self.random: Random | None = None
        self.now = datetime.fromtimestamp(0, UTC)
        self.section: OpenSection | None = None
        self.slots: dict[int, tuple[str, str]] = NO_ENTRIES
        self.run_slot: int | None = None
        self.contacts: dict[str, tuple[int, int]] = NO_ENTRIES
        self.entity_calls: dict[str, int] = NO_ENTRIES
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

    def foretold_request(self) -> EntityCalled | None:
        """The recorded request for a slot of a limit, if history has one at the place of this call."""
        at = len(self.made)
        event = self.foretold[at] if at < len(self.foretold) else None
        return event if isinstance(event, EntityCalled) and event.entity.startswith(GATE_PREFIX) else None

    def contact(self, entity: str) -> tuple[int, bool]:
        """Note a decision for this entity. Returns ``after`` and ``busy`` of the decision, see ``EntityCalled``."""
        if not self.is_running:
            return -1, False
        number = len(self.history)
        last, before = self.contacts.get(entity, (-1, -1))
        if last != number:
            before = last
            self.contacts = self.contacts or {}
            self.contacts[entity] = (number, before)
        return before, self.entity_calls.get(entity, 0) > 0

    def branches_to_start(self) -> Branches:
        """The branches of the code, to start another one."""
        if self.branches is None:
            self.branches = Branches(self)
        return self.branches

    def start_branches(self, given: list[Any], asked_by: str) -> tuple[list[Task[Any]], list[BranchTask[Any]]]:
        """For a combination: see ``branches.started``."""
        return started(self, given, asked_by)

    def ends_later(self, composition: Combination[Any], value: Any, error: BaseException | None) -> bool:
        """For a combination: see ``branches.ends_later``."""
        return ends_later(composition, value, error)

    def call(self, task: Task[Any], event: Called, retry: RetryPolicy | None) -> None:
        """Record a call that will have a result."""
        if not self.is_running:
            return
        task_id = event.task_id
        self.made.append(event)
        self.open[task_id] = task
        self.pending[task_id] = PendingTask(event, retry, self.now)
        if type(event) is TimerCreated:
            self.timers = self.timers or {}
            self.timers[task_id] = None
        elif type(event) is EntityCalled:
            self.entity_calls = self.entity_calls or {}
            self.entity_calls[event.entity] = self.entity_calls.get(event.entity, 0) + 1

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
            self.timers.pop(task_id, None)
            self.made.append(TimerCanceled(task_id, line))

    def answered(self, task_id: int, kind: type[Called]) -> bool:
        """Note that the result of a call is in the history. False if no call of this kind and number is pending."""
        found = self.pending.get(task_id)
        if found is None or type(found.event) is not kind:
            return False
        del self.pending[task_id]
        if kind is TimerCreated:
            self.timers.pop(task_id, None)
        elif isinstance(found.event, EntityCalled):
            self.entity_calls[found.event.entity] -= 1
        return True

    def part_ended(self, task_id: int) -> bool:
        """Note that a part of a journaled activity has ended with waits. False if no such call is pending."""
        pending = self.pending.get(task_id)
        if pending is None or not self.answered(task_id, TaskScheduled):
            return False
        self.parts = self.parts or {}
        self.parts[task_id] = pending
        return True

    def rewind(self, event: ExecutionRewound) -> None:
        """Go on from here in a new run: void commits are not in this history, and nothing may be taken for theirs."""
        self.last_id = max(self.last_id, event.last)
        self.runs.append((event.last, event.number))
        self.undone.update(dict.fromkeys(event.undone, event.number))
        self.salt = f"/{event.request_id}"
        self.contacts.clear()  # the end of the last run has sent everything; a fork has sent nothing of its copy
        if self.random is not None:
            self.random.seed(f"{self.salt}/{self.random.random()}")
        shift = timedelta(seconds=event.shift)
        self.rewound_at, self.again = len(self.history), event.again
        if not self.is_held:
            self._dispatch_again()
        for task_id, data in event.inputs or ():
            if (pending := self.pending.get(task_id)) is not None and isinstance(
                pending.event, TaskScheduled | SubOrchestrationCreated
            ):
                pending.event = replace(pending.event, input=data)
        for task_id in self.timers:
            pending = self.pending[task_id]
            timer = cast("TimerCreated", pending.event)
            pending.event = replace(timer, fire_at=after(timer.fire_at, shift))
        self.items_again = []
        if event.ended is not None:
            for each in self.maps:
                each.rewound(frozenset(event.undone), frozenset(event.ended))

    def call_items_again(self) -> None:
        """Call what maps owe since a rewind: in the first commit after it, as that of the rewind has no decisions
        (rule R39)."""
        self.owes_items = False
        for each in list(self.maps):
            each.go_on()

    def hold(self) -> None:
        """A suspension. In the commit of a rewind: a fork begins suspended, and what is open waits for its end."""
        if self.rewound_at == len(self.history):
            self.is_held, self.again_at = True, None

    def release(self) -> None:
        """The end of a suspension."""
        if self.is_held:
            self.is_held = False
            self._dispatch_again()

    def _dispatch_again(self) -> None:
        self.again_at = len(self.history)
        for task_id in self.again:  # a time limit that passed before must not end the call again
            if (pending := self.pending.get(task_id)) is not None:
                pending.since = self.now

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
