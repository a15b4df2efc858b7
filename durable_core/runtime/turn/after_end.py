"""What an instance that has ended may still owe to others, and how it is forgotten: rule R7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...engine.events import ExecutionCompleted, PatchMarked, Segment, TimerCanceled
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
    """The instance ends with this turn: dispatch again what ``earlier`` commits decided for other instances.

    redispatch_after: only commits later than this one.
    """
    await dispatch_carried(hub, dispatcher, instance, redispatch_after)
    await _dispatch_again(dispatcher, instance, undispatched_for_others(earlier, redispatch_after))


async def dispatch_left(hub: TaskHub, dispatcher: Dispatcher, instance: Instance, redispatch_after: int) -> None:
    """Dispatch again what commits later than ``redispatch_after`` decided and the ended instance did not wait for.

    instance: as loaded, with its log. HistoryMovedError if it is purged or restarted meanwhile.
    """
    await dispatch_carried(hub, dispatcher, instance, redispatch_after)
    history = await hub.instances.history(instance)
    await _dispatch_again(dispatcher, instance, undone_of_ended(history, redispatch_after))


async def _dispatch_again(dispatcher: Dispatcher, instance: Instance, decisions: Sequence[Decision]) -> None:
    if decisions:
        again = Dispatch(
            decisions=decisions, retries=instance.retries, generation=instance.generation, after=instance.seq - 1
        )
        await dispatcher.dispatch(instance, again)


async def forget(hub: TaskHub, dispatcher: Dispatcher, instance: Instance) -> None:
    """An ended instance is to be purged or restarted: take it from the catalogue.

    As long as its row there is open, the host that ended it has not done what it owes, and may have died: after the
    purge, its message would find nothing to do that for. So it is done here, before the row goes.
    """
    if await hub.catalog.forget_closed(entry_of(instance)):
        await hub.catalog.forget_open(entry_of(instance))  # a late starter may have opened it again
        return
    if await is_end_undispatched(hub, instance):
        loaded = (await hub.instances.load(instance.instance_id)).instance
        if loaded is not None and loaded.execution_id == instance.execution_id:
            try:
                await dispatch_left(hub, dispatcher, loaded, loaded.dispatched)
                await dispatcher.notify_parent_of(loaded)
            except (HistoryMovedError, PayloadGoneError):
                return  # another purge, or restart, is further than this one: it has done all that
    await hub.catalog.forget_open(entry_of(instance))


async def is_end_undispatched(hub: TaskHub, instance: Instance) -> bool:
    """Whether an ended instance may not have done what it owes: its row in the catalogue is open."""
    return await hub.catalog.is_open(entry_of(instance))


_FOR_NO_INSTANCE = frozenset({ExecutionCompleted, PatchMarked, TimerCanceled})


def ends_without_notices(instance: Instance, live: OrchestrationExecutor, turn: Turn) -> bool:
    """Whether this turn ends the instance and no other instance is to be notified, not even a parent."""
    return (
        isinstance(live.completion, ExecutionCompleted)
        and instance.parent is None
        and all(type(event) in _FOR_NO_INSTANCE for event in turn.outgoing)
    )
