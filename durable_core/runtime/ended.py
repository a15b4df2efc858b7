"""What an instance that has ended may still owe to others, and how it is forgotten: rule R7."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..engine.events import Segment
from ..hub.instance_row import Instance
from ..hub.instances import HistoryMovedError
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from .dispatch import Dispatch, entry_of
from .redispatch import decisions_of, left_to_others, undone_of_ended

if TYPE_CHECKING:
    from .outbox import Outbox


async def dispatch_carried(hub: TaskHub, outbox: Outbox, instance: Instance, floor: int) -> None:
    """Dispatch again what earlier generations decided last, if a commit of theirs is later than ``floor``."""
    if floor >= instance.first - 1:
        return
    after = instance.seq - 1
    for generation, decision in decisions_of((await hub.instances.carry(instance)).decisions):
        await outbox.dispatch(instance, Dispatch(decisions=[decision], retries={}, generation=generation, after=after))


async def dispatch_owed(
    hub: TaskHub, outbox: Outbox, instance: Instance, floor: int, earlier: Sequence[Segment]
) -> None:
    """The instance ends with this turn: let others hear again what ``earlier`` commits than its, later than ``floor``,
    decided for them."""
    await dispatch_carried(hub, outbox, instance, floor)
    if owed := left_to_others(earlier, floor):
        again = Dispatch(decisions=owed, retries={}, generation=instance.generation, after=instance.seq - 1)
        await outbox.dispatch(instance, again)


async def dispatch_left(hub: TaskHub, outbox: Outbox, instance: Instance, floor: int) -> None:
    """Dispatch again what commits later than ``floor`` decided and the ended instance did not wait for.

    instance: as loaded, with its log. HistoryMovedError if it is purged or restarted meanwhile.
    """
    await dispatch_carried(hub, outbox, instance, floor)
    left = undone_of_ended(await hub.instances.history(instance), floor)
    if left:
        again = Dispatch(
            decisions=left, retries=instance.retries, generation=instance.generation, after=instance.seq - 1
        )
        await outbox.dispatch(instance, again)


async def forget(hub: TaskHub, outbox: Outbox, instance: Instance) -> None:
    """An ended instance is to be purged or restarted: take it from the catalogue.

    As long as its row there is open, the host that ended it has not done what it owes, and may have died: after the
    purge, its message would find nothing to do that for. So it is done here, before the row goes.
    """
    if await hub.catalog.forget_closed(entry_of(instance)):
        await hub.catalog.forget_open(entry_of(instance))  # a late starter may have opened it again
        return
    if await is_owing(hub, instance):
        loaded = (await hub.instances.load(instance.instance_id)).instance
        if loaded is not None and loaded.execution_id == instance.execution_id:
            try:
                await dispatch_left(hub, outbox, loaded, loaded.dispatched)
                await outbox.tell_parent(loaded)
            except (HistoryMovedError, PayloadGoneError):
                return  # another purge, or restart, is further than this one: it has done all that
    await hub.catalog.forget_open(entry_of(instance))


async def is_owing(hub: TaskHub, instance: Instance) -> bool:
    """Whether an ended instance may not have done what it owes: its row in the catalogue is open."""
    return await hub.catalog.is_open(entry_of(instance))
