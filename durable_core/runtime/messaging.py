"""The part of the client that addresses a running instance: events, queries, updates, callbacks. The base of
``DurableClient``.

A request is durable when its method returns: first the rows are written, then the wake-up is sent.
"""

from __future__ import annotations

from contextlib import suppress

from ..converter import Converter
from ..engine.callbacks import CallbackTicket, CallbackUrls
from ..errors import (
    ConfigurationError,
    ExecutionGoneError,
    InstanceCompletedError,
    InstanceNotFoundError,
    RowExistsError,
)
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.keys import event_key
from ..hub.payloads import dumps
from ..hub.taskhub import TaskHub
from ..hub.updates import request_data
from ..instance_ids import check_event_name, check_instance_id, check_name, check_text
from ..models import JSON
from ..registry import Registry
from ..storage.ports import Insert, Value
from .clock import Clock
from .completion import LONGEST_POLL
from .hangs import Hangs
from .instance_cache import InstanceCache
from .observer import Observer
from .one_time_events import deliver_once, redeem
from .queries import ask
from .turn.decision import bare_wake_up
from .updates import UpdateRequest, UpdateSender


class Messaging:
    """See ``DurableClient``."""

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        clock: Clock,
        callback_urls: CallbackUrls | None,
        hangs: Hangs,
        *,
        guard: bool,
        observer: Observer,
        instance_cache: InstanceCache,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._callback_urls = callback_urls
        self._hangs = hangs
        self._guard = guard
        self._observer = observer
        self._updates = UpdateSender(hub, clock, observer, instance_cache.ends.updates, instance_cache.is_at_work)
        self.longest_poll = LONGEST_POLL

    async def raise_event(
        self,
        instance_id: str,
        event_name: str,
        event_data: object = None,
        *,
        event_id: str | None = None,
        execution_id: str | None = None,
    ) -> None:
        """Send an external event. It is buffered until the orchestrator waits for an event of this name.

        event_id: makes the call safe to repeat: of all events with the same id, an execution receives only the first
        (after a continue-as-new it remembers the hundred latest ids).
        execution_id: raise the event only if this execution still has the id; else ExecutionGoneError.

        Raises InstanceNotFoundError, InstanceCompletedError, PayloadTooLargeError, SerializationError.
        """
        await self._raise(instance_id, event_name, self._event_text(event_name, event_data), event_id, execution_id)

    async def raise_event_once(
        self, instance_id: str, event_name: str, event_data: object = None, *, nonce: str, execution_id: str = ""
    ) -> None:
        """Raise an event unless an event with this ``nonce`` was raised on the execution before: used by URLs for one
        event.

        Of several concurrent calls one delivers its event. The others raise a CapabilityError (``gone``), as all later
        calls do while the execution is kept. Raises the errors of ``raise_event``, too.
        """
        text = self._event_text(event_name, event_data)
        instance = await self._running(instance_id, execution_id)
        await deliver_once(self._hub, self._observer, instance, event_name, f"once/{nonce}", nonce, text)

    async def query(self, instance_id: str, name: str, args: object = None) -> JSON:
        """Call a query handler of the orchestrator (``ctx.set_query_handler``); the instance may run or have ended.

        This process computes it by a replay of the history up to the last commit; nothing is written, and the running
        instance is not affected. Raises InstanceNotFoundError, UnknownQueryError, QueryFailedError, InvalidInputError
        (``args`` do not fit the handler), OperationRefusedError (the code waits for a slot of a limit and has not
        begun), UnknownOrchestratorError and NonDeterminismError (the code of this app is not that of the instance),
        DeterminismError (the orchestrator is not deterministic; the same error of a handler is the cause of a
        QueryFailedError), CodeHangsError and InstanceStuckError (the code hangs, or has hung before).
        """
        check_instance_id(instance_id)
        data = self._converter.to_json(args, "the query's arguments")
        return await ask(
            self._hub,
            self._registry,
            self._converter,
            self._callback_urls,
            self._hangs,
            instance_id,
            name,
            data,
            guard=self._guard,
        )

    async def update(
        self,
        instance_id: str,
        name: str,
        args: object = None,
        *,
        update_id: str | None = None,
        timeout: float = 60.0,  # noqa: ASYNC109
        execution_id: str | None = None,
    ) -> JSON:
        """Have the orchestrator carry out an update (``ctx.set_update_handler``), and wait for the result of its
        handler: Temporal's update.

        update_id: makes the call safe to repeat: of all updates with one id an execution carries out one, and each call
            gets its answer, also after a crash, a continue-as-new, and the end of the instance, for as long as the
            instance is kept. None: a random one.
        timeout: seconds to wait. An update that is not answered by then goes on.
        execution_id: update the instance only if this execution still has the id; else ExecutionGoneError.

        Raises UpdateRefusedError (by the validator; nothing is recorded, and the id may be used again),
        UpdateFailedError (the handler raised, or had not ended when its orchestrator did), UpdateNotEndedError (not
        answered in time), UnknownUpdateError (no such handler; ``known`` lists those there are);
        InstanceNotFoundError, InstanceCompletedError, InstanceStuckError, and OperationRefusedError for an instance
        that is suspended, is to begin later, or has not begun within ``timeout``; PayloadTooLargeError,
        SerializationError.
        """
        check_instance_id(instance_id)
        check_name(name, "the name of an update")
        if update_id is not None:
            check_name(update_id, "the id of an update")
        own_id = self._hub.ids.instance_id() if update_id is None else update_id
        text = dumps(request_data(own_id, self._converter.to_json(args, "the update's arguments")))
        self._hub.payloads.check(text, "the update's arguments")
        request = UpdateRequest(
            instance_id=instance_id,
            execution_id=execution_id,
            name=name,
            update_id=own_id,
            text=text,
            is_named=update_id is not None,
            seconds=timeout,
            longest_poll=self.longest_poll,
        )
        return await self._updates.send(request)

    async def complete_callback(self, url: str, result: object = None) -> None:
        """Complete a callback (``ctx.callback``), as a POST of ``result`` to its URL does.

        Raises CapabilityError (forged or expired; ``gone``: used, or no longer waited for), InstanceCompletedError,
        PayloadTooLargeError, SerializationError.
        """
        if self._callback_urls is None:
            raise ConfigurationError(
                "this app has no callback URLs because it has no address; see durable_core.hosting"
            )
        await self.redeem_callback(self._callback_urls.ticket_of(url), result)

    async def redeem_callback(self, ticket: CallbackTicket, result: object = None) -> None:
        """Complete the callback of a verified URL."""
        text = dumps(self._converter.to_json(result, "the callback's result"))
        self._hub.payloads.check(text, "the callback's result")
        await redeem(self._hub, self._observer, ticket, text)

    # ------------------------------------------------------------------ parts

    def _event_text(self, name: str, data: object) -> str:
        """The JSON text of an event's data. The name of the event and the size of the data are checked."""
        check_event_name(name)
        text = dumps(self._converter.to_json(data, "the event's data"))
        self._hub.payloads.check(text, "the event's data")
        return text

    async def _event_row(self, target: Instance, name: str, text: str, event_id: str | None) -> Insert:
        execution_id = target.execution_id
        key = self._new_key() if event_id is None else event_key(execution_id, f"raised/{event_id}")
        data = await self._hub.payloads.store_text(target.instance_id, execution_id, text)
        trace = self._observer.trace_of_event(target, key)
        return self._hub.inbox.row(execution_id, key, InboxKind.EVENT, name, data, trace=trace)

    async def _raise(
        self, instance_id: str, name: str, text: str, event_id: str | None, execution_id: str | None = None
    ) -> None:
        instance = await self._running(instance_id, execution_id)
        row = await self._event_row(instance, name, text, event_id)
        with suppress(RowExistsError):  # written before: by our own retry, or by an event with the same event_id
            await self._hub.inbox.insert(instance_id, row)
            self._observer.event_raised(instance, name, row.key)
        await self._send_wake_up(instance)

    async def _put(
        self, instance: Instance, kind: InboxKind, name: str, data: Value = "null", request_id: str | None = None
    ) -> None:
        """Put a management request into the inbox of the instance; ``name`` is the reason of the request."""
        check_text(name, "a reason")
        execution_id = instance.execution_id
        key = self._new_key() if request_id is None else event_key(execution_id, f"{kind.value}/{request_id}")
        row = self._hub.inbox.row(execution_id, key, kind, name, data, instance.rewinds)
        with suppress(RowExistsError):  # written before: by our own retry, or by a request with the same request_id
            await self._hub.inbox.insert(instance.instance_id, row)
        await self._send_wake_up(instance)

    def _new_key(self) -> str:
        return "i" + self._hub.ids.ulid(self._clock.now())

    async def _running(self, instance_id: str, execution_id: str | None = None) -> Instance:
        check_instance_id(instance_id)
        instance = await self._hub.instances.get(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        if execution_id and instance.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if instance.is_terminal:
            raise InstanceCompletedError(instance_id, instance.status.value)
        return instance

    async def _send_wake_up(self, instance: Instance) -> None:
        await self._hub.send(bare_wake_up(instance))
