"""After the end of an instance: dispatch of decisions that its hosts may have left undispatched, and its purge (R7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.events import ExecutionCompleted, PatchMarked, Segment, TimerCanceled, UpdateEnded
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance
from ...hub.instances import HistoryMovedError
from ...hub.payloads import PayloadGoneError
from ...hub.taskhub import TaskHub
from .decision import Decision, Dispatch, entry_of
from .redispatch import decisions_of, undispatched_for_others, undone_of_ended

if TYPE_CHECKING:
    from .dispatch import Dispatcher


async def dispatch_carried(hub: TaskHub, dispatcher: Dispatcher, instance: Instance, redispatch_after: int) -> None:
    """Dispatch the last decisions of earlier generations again if their commit is later than ``redispatch_after``."""
    if redispatch_after >= instance.first - 1:
        return
    after = instance.seq - 1
    for generation, decision in decisions_of((await hub.instances.carry(instance)).decisions):
        await dispatcher.dispatch(
            instance, Dispatch(decisions=[decision], retries={}, generation=generation, after=after)
        )


async def dispatch_for_others(
    hub: TaskHub, dispatcher: Dispatcher, instance: Instance, redispatch_after: int, earlier: Sequence[Segment]
) -> None:
    """Dispatch again the decisions of ``earlier`` commits for other instances; for the turn that ends the instance.

    redispatch_after: only commits later than this one.
    """
    await dispatch_carried(hub, dispatcher, instance, redispatch_after)
    await _dispatch_again(dispatcher, instance, undispatched_for_others(instance, earlier, redispatch_after))


async def dispatch_left(hub: TaskHub, dispatcher: Dispatcher, instance: Instance, redispatch_after: int) -> None:
    """Dispatch again the decisions of an ended instance in commits later than ``redispatch_after``.

    instance: as loaded, with its log. HistoryMovedError if it is purged or restarted meanwhile.
    """
    await dispatch_carried(hub, dispatcher, instance, redispatch_after)
    history = await hub.instances.history(instance)
    await _dispatch_again(dispatcher, instance, undone_of_ended(instance, history, redispatch_after))


async def _dispatch_again(dispatcher: Dispatcher, instance: Instance, decisions: Sequence[Decision]) -> None:
    if decisions:
        again = Dispatch(
            decisions=decisions, retries=instance.retries, generation=instance.generation, after=instance.seq - 1
        )
        await dispatcher.dispatch(instance, again)


async def forget(hub: TaskHub, dispatcher: Dispatcher, instance: Instance) -> None:
    """Remove an ended instance from the catalogue, before it is purged or restarted.

    If its catalogue row is still open, the host that ended it has not dispatched everything, and may have died. After
    the purge a redelivered message would find no instance row, so its last decisions are dispatched here first.
    """
    await hub.catalog.forget_last_run(entry_of(instance))
    if await hub.catalog.forget_closed(entry_of(instance)):
        await hub.catalog.forget_open(entry_of(instance))  # a start that was late may have opened it again
        return
    if await is_end_undispatched(hub, instance):
        loaded = (await hub.instances.load(instance.instance_id)).instance
        if loaded is not None and loaded.execution_id == instance.execution_id:
            try:
                await dispatch_left(hub, dispatcher, loaded, loaded.dispatched)
                await dispatcher.notify_parent_of(loaded)
            except (HistoryMovedError, PayloadGoneError):
                return  # another purge or restart has done all this already
    await hub.catalog.forget_open(entry_of(instance))
    await hub.catalog.forget_closed(entry_of(instance))  # the host that ended it may have closed it meanwhile


async def is_end_undispatched(hub: TaskHub, instance: Instance) -> bool:
    """Whether the end of an instance may not be dispatched: its catalogue row is open."""
    return await hub.catalog.is_open(entry_of(instance))


_FOR_NO_INSTANCE = frozenset({ExecutionCompleted, PatchMarked, TimerCanceled, UpdateEnded})


def ends_without_notices(instance: Instance, live: OrchestrationExecutor, turn: Turn) -> bool:
    """Whether this turn ends the instance and no other instance is to be notified, not even a parent."""
    return (
        isinstance(live.completion, ExecutionCompleted)
        and instance.parent is None
        and all(type(event) in _FOR_NO_INSTANCE for event in turn.outgoing)
    )
