"""Events that are delivered once: results of callbacks, and events sent by a URL for one event.

A marker row, written together with the event, records that the URL was used. It is kept when the event is consumed, and
deleted with the execution.
"""

from __future__ import annotations

from ..engine.callbacks import CallbackTicket, generation_of
from ..errors import CapabilityError, InstanceCompletedError, RowExistsError
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.keys import event_key, marker_key
from ..hub.taskhub import TaskHub
from .observer import Observer
from .turn.decision import bare_wake_up


async def redeem(hub: TaskHub, observer: Observer, ticket: CallbackTicket, text: str) -> None:
    """Complete a callback with a result (JSON text); the result is durable when this returns.

    CapabilityError (``gone``) if the URL was used, or its execution or generation is gone; InstanceCompletedError.
    """
    instance = await hub.instances.get(ticket.instance_id)
    if instance is None or instance.execution_id != ticket.execution_id:
        raise CapabilityError("the execution that this URL was issued for no longer exists", gone=True)
    if instance.is_terminal:
        raise InstanceCompletedError(instance.instance_id, instance.status.value)
    if instance.generation != generation_of(ticket.event_name):
        raise CapabilityError(
            "the orchestrator no longer waits for this callback: the instance has continued as new", gone=True
        )
    await deliver_once(hub, observer, instance, ticket.event_name, f"callback/{ticket.nonce}", ticket.nonce, text)


async def deliver_once(
    hub: TaskHub, observer: Observer, instance: Instance, event_name: str, event_id: str, nonce: str, text: str
) -> None:
    """Put an event into the inbox, with a marker of its ``nonce``; CapabilityError (``gone``) if there is one.

    Both rows are one transaction: of two that come at once, the second is refused by the store.
    """
    data = await hub.payloads.store_text(instance.instance_id, instance.execution_id, text)
    wake_up = bare_wake_up(instance)
    key = event_key(instance.execution_id, event_id)
    trace = observer.trace_of_event(instance, key)
    marker, attempt = marker_key(instance.execution_id, nonce), hub.ids.commit_id()
    try:
        row = hub.inbox.row(instance.execution_id, key, InboxKind.EVENT, event_name, data, trace=trace)
        await hub.inbox.insert_once(instance.instance_id, row, marker, attempt)
    except RowExistsError:
        if await hub.inbox.marked_by(instance.instance_id, marker) != attempt:  # else written by our own earlier try
            await hub.send(wake_up)  # the host that used it may have crashed before it sent the wake-up
            raise CapabilityError("this URL has already been used; it is valid for one use", gone=True) from None
    observer.event_raised(instance, event_name, key)
    await hub.send(wake_up)
