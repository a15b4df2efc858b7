"""Carries out a rewind: reads what it concerns, children included, and writes it (rules R20 to R27).

A rewind is one conditional write of the client's process, as a restart is. The order of its writes: the catalogue row
of the run that has ended is closed; that of the next is opened; one transaction writes the commit; the closed row is
forgotten; the instance is rung. A host that loads the instance dispatches what the commit decides. A child that is done
again is rewound in the same way by the dispatch of its parent.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field, replace
from datetime import timedelta
from itertools import count
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from ...definitions import MAP_NAME
from ...engine.events import ExecutionRewound, SubOrchestrationCompleted, SubOrchestrationCreated
from ...errors import OperationRefusedError, PreconditionFailedError, RowExistsError, RowNotFoundError
from ...hub.child_ids import child_id_of, link_of
from ...hub.instance_row import Instance
from ...hub.instances import MOVED_TRIES, Commit, HistoryMovedError, while_it_moves
from ...hub.payloads import PayloadGoneError
from ...hub.taskhub import TaskHub
from ...hub.voiding import rewind_in
from ...lazy_dataclass import dataclass
from ...models import FailureDetails, Operations, RuntimeStatus
from ..clock import Clock
from .after_end import dispatch_left, is_end_undispatched
from .decision import bare_wake_up, entry_of
from .rewind_plan import (
    Cut,
    RewindPlan,
    RewoundItem,
    RewoundTask,
    cut_of,
    not_undone,
    plan_of,
    tasks_of,
    tied_to_entities,
)

if TYPE_CHECKING:
    from .dispatch import Dispatcher

OPENED_FOR = timedelta(minutes=5)
"""How long the catalogue row of the next run may be open before its commit: recovery forgets it after 15 minutes."""

MOST_REQUESTS = 90  # inbox rows deleted with the commit; later ones are known by their number


class Replayed(NamedTuple):
    """steps: the open inline steps. items: those of maps that are called again."""

    steps: Collection[int]
    items: Sequence[RewoundItem]


Replay: TypeAlias = Callable[[RewindPlan], Replayed | None]
"""Replays the history that would count; None if the code is not at hand."""

logger = logging.getLogger("durable_core.runtime")


@dataclass(slots=True)
class _Children:
    """The open sub-orchestrations of an instance that is rewound.

    failed: those that have ended without success, each with its attempt. reports: of batches of maps that have
    completed. problems: what their rewinds do not undo. blocked: what rules them out. items: those that batches call
    again.
    """

    failed: dict[int, int] = field(default_factory=lambda: {})
    reports: list[SubOrchestrationCompleted] = field(default_factory=lambda: [])
    problems: list[str] = field(default_factory=lambda: [])
    blocked: list[str] = field(default_factory=lambda: [])
    items: list[RewoundItem] = field(default_factory=lambda: [])


class Rewinding:
    """Part of the dispatcher."""

    def __init__(self, hub: TaskHub, clock: Clock, dispatcher: Dispatcher) -> None:
        self._hub = hub
        self._clock = clock
        self._dispatcher = dispatcher

    async def plan(
        self, instance: Instance, request_id: str, reason: str, replay: Replay, *, parent_rewinds: int = 0
    ) -> RewindPlan:
        """instance: as loaded, ended. HistoryMovedError, PayloadGoneError: it was changed meanwhile."""
        segments = await self._hub.instances.history(instance)
        if not any(segment.events for segment in segments):
            raise OperationRefusedError(
                instance.instance_id, f"instance '{instance.instance_id}' ended before it began; restart it"
            )
        cut = cut_of(instance, segments, await self._failure(instance))
        found = await self._children(instance, cut, request_id, replay)
        now = max(self._clock.now(), instance.updated)
        plan = plan_of(
            instance,
            segments,
            cut,
            failed_children=found.failed,
            reports=found.reports,
            now=now,
            request_id=request_id,
            reason=reason,
            parent_rewinds=parent_rewinds,
        )
        replayed = replay(plan)
        problems = [*not_undone(segments, cut, None if replayed is None else replayed.steps), *found.problems]
        blocked = [*tied_to_entities(segments, cut), *found.blocked]
        items = [*(() if replayed is None else replayed.items), *found.items]
        return replace(plan, problems=tuple(problems), blocked=tuple(blocked), items=tuple(items))

    async def write(self, plan: RewindPlan, request_rows: Collection[str] = ()) -> Instance | None:
        """Write the plan, and ring. None if the instance was changed since it was read: plan again."""
        hub, before = self._hub, plan.instance
        if await is_end_undispatched(hub, before):  # the host that ended it has died, or is late: rule R7
            await dispatch_left(hub, self._dispatcher, before, before.dispatched)
            await self._dispatcher.end_stored(before)
        opened_at = self._clock.now()
        opened = entry_of(plan.after.but(status=RuntimeStatus.PENDING, updated=opened_at))
        await hub.catalog.open(opened)
        commit = Commit(
            commit_id=hub.ids.commit_id(),
            timestamp=plan.timestamp,
            events=(plan.event,),
            status=plan.after.status,
            consumed=list(request_rows)[:MOST_REQUESTS],
            dispatched=before.seq - 1,
            build=before.build,
            coming=Operations(writes=1),  # the closed row is deleted
        )
        commit = replace(
            commit, packed=await hub.instances.pack(before, commit.commit_id, commit.timestamp, commit.events)
        )
        if self._clock.now() - opened_at > OPENED_FOR:  # recovery may be about to forget the row
            await hub.catalog.forget_open(opened)
            return None
        try:
            rewound = await hub.instances.rewind(before, plan.after, commit)
        except (PreconditionFailedError, RowNotFoundError, RowExistsError):
            present = await self._present(before.instance_id)
            if present is None or not await self._has(present, plan.event.request_id):
                if present is None or present.rewinds < plan.after.rewinds:  # else the row is that of another rewind
                    await hub.catalog.forget_open(opened)
                return None
            rewound = present  # the answer was lost
        await hub.catalog.forget_closed(entry_of(before))
        await self._send_wake_up(rewound)
        return rewound

    async def settle(self, rewound: Instance) -> None:
        """What follows the commit; it may be repeated."""
        await self._hub.catalog.forget_last_run(entry_of(rewound))
        await self._send_wake_up(rewound)

    async def _send_wake_up(self, rewound: Instance) -> None:
        await self._hub.send(replace(bare_wake_up(rewound), redelivered=True, after=rewound.seq - 2))

    async def is_rewound_by(self, instance: Instance, request_id: str) -> bool:
        """Whether this request has rewound the instance before."""
        return instance.rewinds > 0 and await self._has(instance, request_id)

    async def rewind_by(
        self, instance: Instance, request_id: str
    ) -> tuple[ExecutionRewound, Mapping[int, RewoundTask]]:
        """The rewind that this request has made, and all calls of the history. HistoryMovedError."""
        history = await self._hub.instances.raw_history(instance)
        events = [event for segment in history if (event := rewind_in(segment)) is not None]
        return next(event for event in events if event.request_id == request_id), tasks_of(history)

    async def for_parent(self, child: Instance, number: int, request_id: str) -> Instance | None:
        """Rewind the child of a call that is done again, for the rewind ``number`` of its parent. None: look again."""
        loaded = await self._hub.instances.load(child.instance_id)
        instance = loaded.instance
        if instance is None or instance.execution_id != child.execution_id or not instance.is_terminal:
            return None
        try:
            plan = await self.plan(
                instance, request_id, f"its parent was rewound ({number})", _no_code, parent_rewinds=number
            )
        except (HistoryMovedError, PayloadGoneError):
            return None
        return await self.write(plan, [row.key for row in loaded.inbox if row.kind.is_request])

    async def adopt(self, child: Instance, number: int) -> Instance | None:
        """Let a child that runs be that of its parent's new run: its failure then counts. None: look again."""
        try:
            return await self._hub.instances.adopt(child, number)
        except (PreconditionFailedError, RowNotFoundError):
            return None

    # ------------------------------------------------------------------ reading

    async def _failure(self, instance: Instance) -> FailureDetails | None:
        if instance.failure is None:
            return None
        return FailureDetails.from_json(await self._hub.payloads.load(instance.instance_id, instance.failure))

    async def _children(self, instance: Instance, cut: Cut, request_id: str, replay: Replay) -> _Children:
        found = _Children()
        for call in cut.open_children:
            attempt, child = await self._child(instance, call)
            if child is None or (child.is_terminal and child.status is RuntimeStatus.COMPLETED):
                if call.task_id in cut.failed and attempt > 1:
                    found.failed[call.task_id] = attempt
                if child is not None and call.name == MAP_NAME:
                    output = await self._hub.payloads.load(child.instance_id, child.output or "null")
                    found.reports.append(SubOrchestrationCompleted(call.task_id, output, attempt))
                continue
            if not child.is_terminal:
                if call.task_id in cut.ended_children:
                    found.blocked.append(
                        f"sub-orchestration '{child.instance_id}' was told to end and has not ended yet"
                    )
                continue
            found.failed[call.task_id] = attempt
            plan, refused = await self._plan_of_child(child, request_id, replay)
            whose = f"sub-orchestration '{child.instance_id}': "
            found.blocked.extend(f"{whose}{problem}" for problem in refused)
            if plan is not None:
                found.problems.extend(f"{whose}{problem}" for problem in plan.problems)
                found.items.extend(plan.items)
        return found

    async def _child(self, parent: Instance, call: SubOrchestrationCreated) -> tuple[int, Instance | None]:
        """The child of the last attempt at a call, and its attempt."""
        found: Instance | None = None
        for attempt in count(1):
            link = link_of(parent, call.task_id, attempt)
            child = await self._hub.instances.get(child_id_of(parent, link, call.instance_id))
            if child is None or child.parent != link:
                return (max(attempt - 1, 1), found)
            found = child
            if not child.is_terminal or child.status is RuntimeStatus.COMPLETED:
                return attempt, child
        raise AssertionError("unreachable")

    async def _plan_of_child(
        self, child: Instance, request_id: str, replay: Replay
    ) -> tuple[RewindPlan | None, Sequence[str]]:
        """How the child would be rewound, and what rules that out. None if it runs by now, or cannot be rewound."""

        async def read() -> tuple[RewindPlan | None, Sequence[str]]:
            loaded = await self._present(child.instance_id)
            if loaded is None or not loaded.is_terminal:
                return None, ()
            if loaded.is_purged:
                return None, ["it is being purged"]
            try:
                plan = await self.plan(loaded, request_id, "", replay)
            except OperationRefusedError as error:
                return None, [str(error)]
            return plan, plan.blocked

        return await while_it_moves(read)

    async def _present(self, instance_id: str) -> Instance | None:
        return (await self._hub.instances.load(instance_id)).instance

    async def _has(self, instance: Instance, request_id: str) -> bool:
        for _ in range(MOVED_TRIES):
            try:
                history = await self._hub.instances.raw_history(instance)
            except (HistoryMovedError, PayloadGoneError):
                present = await self._present(instance.instance_id)
                if present is None or present.execution_id != instance.execution_id:
                    return False
                instance = present
                continue
            events = [rewind_in(segment) for segment in history]
            return any(event is not None and event.request_id == request_id for event in events)
        return False


def _no_code(_: RewindPlan) -> None:
    """A host that rewinds a child for its parent asked nothing of the child's code: the door has."""
