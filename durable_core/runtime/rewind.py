"""Rewinds for clients: whether an ended instance may be rewound, what that would do, and doing it.

``turn.rewinding`` reads and writes; this module refuses.
"""

from __future__ import annotations

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..errors import (
    CodeHangsError,
    DeterminismError,
    ExecutionGoneError,
    InstanceNotFoundError,
    InvalidInputError,
    NonDeterminismError,
    OperationRefusedError,
    UnknownOrchestratorError,
)
from ..hang_watch import Code, stretch
from ..hub.inbox import InboxRow
from ..hub.instance_row import Instance
from ..hub.instances import MOVED_TRIES, HistoryMovedError
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..marks import RESERVED
from ..models import JSON
from ..registry import Registry
from .turn.cached import definition_for, info_of, watched_replay
from .turn.rewind_plan import RewindPlan, RewoundItem, RewoundTask
from .turn.rewinding import Replayed, Rewinding


@dataclass(frozen=True, slots=True)
class Rewound:
    """What a rewind has done, or would do.

    cut_before: the first commit that is void. undone: the tasks that are done again, though they had ended.
    again: all tasks that are dispatched again. timers_move_by: seconds.
    items: the items of maps that are called again: those of batches, and where the app's code is at hand all.
    problems: what happened after the cut and is not undone, in words; only a forced rewind and a dry run have any.
    """

    instance_id: str
    cut_before: int
    undone: tuple[RewoundTask, ...]
    again: tuple[RewoundTask, ...]
    timers_move_by: float
    problems: tuple[str, ...] = ()
    items: tuple[RewoundItem, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {
            "instanceId": self.instance_id,
            "cutBefore": self.cut_before,
            "undone": [task.to_json() for task in self.undone],
            "again": [task.to_json() for task in self.again],
            "timersMoveBy": self.timers_move_by,
        }
        if self.items:
            shown["items"] = [item.to_json() for item in self.items]
        return shown | {"problems": list(self.problems)} if self.problems else shown


class Rewinds:
    """Part of the client."""

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        rewinding: Rewinding,
        callback_urls: CallbackUrls | None,
        *,
        guard: bool,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._converter = converter
        self._rewinding = rewinding
        self._callback_urls = callback_urls
        self._guard = guard

    async def rewind(
        self, instance_id: str, reason: str, request_id: str, execution_id: str | None, *, force: bool, dry_run: bool
    ) -> Rewound:
        """See ``DurableClient.rewind``."""
        for _ in range(MOVED_TRIES):
            instance, inbox = await self._ended(instance_id, execution_id, request_id)
            if instance.is_terminal and await self._rewinding.is_rewound_by(instance, request_id):
                return Rewound(instance_id, instance.seq, (), (), 0.0)  # and it has ended again since
            if not instance.is_terminal:  # this request has rewound it before, and its answer was lost
                await self._rewinding.settle(instance)
                return await self._done_before(instance, request_id)
            try:
                plan = await self._rewinding.plan(instance, request_id, reason, self._replay)
            except (HistoryMovedError, PayloadGoneError):
                continue
            problems = [*plan.problems, *await self._problem_of_parent(instance)]
            if plan.blocked or (problems and not force and not dry_run):
                raise OperationRefusedError(
                    instance_id,
                    f"instance '{instance_id}' is not rewound"
                    + ("" if plan.blocked else "; force rewinds it all the same"),
                    [*plan.blocked, *problems],
                    is_forceable=not plan.blocked,
                )
            if dry_run or await self._rewinding.write(plan, [row.key for row in inbox if row.kind.is_request]):
                event = plan.event
                return Rewound(instance_id, event.to, plan.undone, plan.again, event.shift, tuple(problems), plan.items)
        raise OperationRefusedError(instance_id, f"instance '{instance_id}' is changed by others all the time")

    async def _ended(
        self, instance_id: str, execution_id: str | None, request_id: str
    ) -> tuple[Instance, list[InboxRow]]:
        loaded = await self._hub.instances.load(instance_id)
        instance = loaded.instance
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        if execution_id and instance.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if instance.name.startswith(RESERVED):
            raise InvalidInputError(f"instance '{instance_id}' belongs to the framework and cannot be rewound")
        if instance.is_purged:
            raise OperationRefusedError(instance_id, f"instance '{instance_id}' is being purged")
        if instance.is_terminal:
            if instance.status.value == "Completed":
                raise OperationRefusedError(
                    instance_id, f"instance '{instance_id}' has completed: there is nothing to rewind; restart it"
                )
        elif not await self._rewinding.is_rewound_by(instance, request_id):
            raise OperationRefusedError(
                instance_id,
                f"instance '{instance_id}' is {instance.status} and cannot be rewound: only one that has failed, was "
                "terminated or was canceled can",
            )
        return instance, loaded.inbox

    async def _done_before(self, instance: Instance, request_id: str) -> Rewound:
        event, names = await self._rewinding.rewind_by(instance, request_id)
        undone, again = (tuple(names[each] for each in ids if each in names) for ids in (event.undone, event.again))
        return Rewound(instance.instance_id, event.to, undone, again, event.shift)

    async def _problem_of_parent(self, instance: Instance) -> list[str]:
        """A child cannot be rewound beside a parent that runs: the notice of its failure may be under way to it."""
        if instance.parent is None:
            return []
        parent = await self._hub.instances.get(instance.parent.instance_id)
        if parent is None or parent.execution_id != instance.parent.execution_id:
            return []
        if may_still_hear(parent):
            raise OperationRefusedError(
                instance.instance_id,
                f"instance '{instance.instance_id}' is a sub-orchestration of '{parent.instance_id}', which is "
                f"{parent.status} and has been told of its end, or will be; it cannot be rewound",
            )
        return [f"its parent '{parent.instance_id}' has ended ({parent.status}) and will not hear of it: rewind that"]

    def _replay(self, plan: RewindPlan) -> Replayed | None:
        """The inline steps that are open at the cut, and the items of maps that are called again; None without code.

        OperationRefusedError: the code does not fit what is before the cut, so that the instance would be stuck.
        """
        instance = plan.instance
        try:
            definition = definition_for(self._registry, instance.name, instance.version)
        except UnknownOrchestratorError:  # the command line, or a host of another app version: some host has it
            return None
        code = Code(f"orchestrator '{instance.name}' of instance '{instance.instance_id}'")
        try:
            info = info_of(instance, self._hub.instances.headers(instance), self._callback_urls)
            live = watched_replay(code, definition, info, self._converter, plan.segments, guard=self._guard)
            try:
                steps = set(live.steps)
                if live.has_maps:
                    stretch(code, live.preview, plan.timestamp, [*live.told_again, *plan.reports])
                items = [RewoundItem(instance.instance_id, index, name) for name, index in live.items_again]
            finally:
                stretch(code, live.close)
        except (NonDeterminismError, DeterminismError, CodeHangsError) as error:
            raise OperationRefusedError(
                instance.instance_id,
                f"instance '{instance.instance_id}' is not rewound: the code of this app does not fit its history "
                f"before the cut: {error}",
            ) from error
        return Replayed(steps, items)


def may_still_hear(parent: Instance) -> bool:
    """Whether the notice of a child's end may be under way to its parent, or have been taken by it (rule R27)."""
    return not parent.is_terminal
