"""``DurableOrchestrationContext``: the first parameter of an orchestrator in the style of Durable Functions.

It has no state of its own: each member is one of the engine's context, with the names, defaults and values of Durable
Functions. Values are written when a call is made; the call is recorded when its task is yielded.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from functools import partial
from typing import Any
from uuid import UUID

from azure.functions.decorators.function_app import FunctionBuilder

from ..engine.context import OrchestrationContext
from ..models import JSON, RetryPolicy
from .entities import EntityId, native_id
from .histories import HistoryEvent, history_of
from .http import ManagedIdentityTokenSource, TokenSource, content_of, response_of
from .names import activity_name, orchestrator_name
from .retries import RetryOptions, policy_of
from .serialization import KnownClasses, encode
from .tasks import AtomicTask, TaskBase, TimerTask, WhenAllTask, WhenAnyTask


class FunctionContext:
    """Attributes of the function that Durable Functions does not know; there are none."""

    def __init__(self, **attributes: Any) -> None:
        self.__dict__.update(attributes)


class DurableOrchestrationContext:
    """Calls of an orchestrator. The tasks that they return make their calls when they are yielded."""

    __durable_no_value__ = "the orchestration context cannot be stored; pass the values that are needed of it"

    def __init__(self, ctx: OrchestrationContext, classes: KnownClasses, input_type: type | None = None) -> None:
        """classes: as which stored objects may be read back. input_type: of the decorator."""
        self._ctx, self._classes, self._input_type = ctx, classes, input_type
        self._function_context = FunctionContext()

    # ------------------------------------------------------------ activities

    def call_activity(
        self, name: str | FunctionBuilder, input_: Any = None, expected_type: type | None = None
    ) -> TaskBase:
        """Call an activity, given by its name or as the decorated function.

        expected_type: a class with ``from_json`` that the result may have.
        ValueError for a function that is no activity. The task fails with ActivityFailedError.
        """
        return self._activity(name, None, input_, expected_type)

    def call_activity_with_retry(
        self,
        name: str | FunctionBuilder,
        retry_options: RetryOptions,
        input_: Any = None,
        expected_type: type | None = None,
    ) -> TaskBase:
        """``call_activity`` with several attempts."""
        return self._activity(name, policy_of(retry_options), input_, expected_type)

    def _activity(
        self, name: str | FunctionBuilder, retry: RetryPolicy | None, data: Any, expected: type | None
    ) -> TaskBase:
        called = activity_name(name)
        call = partial(self._ctx.call_activity, called, encode(data), retry=retry)
        return AtomicTask(self._ctx, call, partial(self._classes.decode, expected=expected))

    # ------------------------------------------------------------ sub-orchestrations

    def call_sub_orchestrator(
        self,
        name: str | FunctionBuilder,
        input_: Any = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: type | None = None,
    ) -> TaskBase:
        """Start another orchestrator as a child; its result is the result of the task.

        instance_id: the id of the child; None or '' derives it from this instance.
        ValueError for a function that is no orchestrator. The task fails with SubOrchestrationFailedError.
        """
        return self._child(name, None, input_, instance_id, version, expected_type)

    def call_sub_orchestrator_with_retry(
        self,
        name: str | FunctionBuilder,
        retry_options: RetryOptions,
        input_: Any = None,
        instance_id: str | None = None,
        version: str | None = None,
        expected_type: type | None = None,
    ) -> TaskBase:
        """``call_sub_orchestrator`` with several attempts."""
        return self._child(name, policy_of(retry_options), input_, instance_id, version, expected_type)

    def _child(
        self,
        name: str | FunctionBuilder,
        retry: RetryPolicy | None,
        data: Any,
        instance_id: str | None,
        version: str | None,
        expected: type | None,
    ) -> TaskBase:
        called = orchestrator_name(name)
        call = partial(self._ctx.call_sub_orchestrator, called, encode(data), instance_id or None, version, retry)
        return AtomicTask(self._ctx, call, partial(self._classes.decode, expected=expected))

    # ------------------------------------------------------------ HTTP

    def call_http(
        self,
        method: str,
        uri: str,
        content: Any = None,
        headers: dict[str, str] | None = None,
        token_source: TokenSource | None = None,
        is_raw_str: bool = False,
    ) -> TaskBase:
        """Make an HTTP request; the result is a dict with ``statusCode``, ``headers`` and ``content``.

        An answer 202 with a Location is polled, as in Durable Functions.

        content: is sent as JSON, also a text; with ``is_raw_str`` a text is sent as it is.
        token_source: adds ``Authorization: Bearer`` with a token of the app's managed identity.
        TypeError for content that is no text with ``is_raw_str``. ValueError for another token source.
        """
        if token_source is not None and not isinstance(token_source, ManagedIdentityTokenSource):
            raise ValueError(f"token_source must be a ManagedIdentityTokenSource, not {token_source!r}")
        call = partial(
            self._ctx.call_http,
            method,
            uri,
            content_of(content, is_raw_str=is_raw_str),
            headers,
            token_resource=None if token_source is None else token_source.resource,
        )
        return AtomicTask(self._ctx, call, response_of)

    # ------------------------------------------------------------ entities

    def call_entity(
        self,
        entityId: EntityId,
        operationName: str,
        operationInput: Any = None,
        expected_type: type | None = None,
    ) -> TaskBase:
        """Call an operation of an entity; its result is the result of the task. The task fails with
        EntityOperationFailedError, whose text is that of the operation's exception.

        expected_type: a class with ``from_json`` that the result may have. ValueError for another object than an id.
        """
        call = partial(self._ctx.call_entity, native_id(entityId), operationName, encode(operationInput))
        return AtomicTask(self._ctx, call, partial(self._classes.decode, expected=expected_type))

    def signal_entity(self, entityId: EntityId, operationName: str, operationInput: Any = None) -> TaskBase:
        """Send an operation to an entity now, without waiting for it. Signals to one entity arrive in order.

        The task that is returned has nothing to wait for. ValueError for another object than an id.
        """
        self._ctx.signal_entity(native_id(entityId), operationName, encode(operationInput))
        return WhenAnyTask(self._ctx, [])

    # ------------------------------------------------------------ time, events, several tasks

    def create_timer(self, fire_at: dt.datetime) -> TimerTask:
        """A timer that fires at this time. A time without an offset is UTC.

        ValueError for another object.
        """
        if not isinstance(fire_at, dt.date):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError("fireAt: Expected valid datetime object but got ", fire_at)
        if not isinstance(fire_at, dt.datetime):  # pyright: ignore[reportUnnecessaryIsInstance]
            fire_at = dt.datetime(fire_at.year, fire_at.month, fire_at.day)
        due = fire_at.replace(tzinfo=dt.UTC) if fire_at.utcoffset() is None else fire_at
        return TimerTask(self._ctx, partial(self._ctx.create_timer, due))

    def wait_for_external_event(self, name: str, expected_type: type | None = None) -> TaskBase:
        """Wait for an external event of this name, in any letter case."""
        call = partial(self._ctx.wait_for_external_event, name)
        return AtomicTask(self._ctx, call, partial(self._classes.decode, expected=expected_type))

    def task_all(self, activities: Iterable[TaskBase]) -> TaskBase:
        """A task with the results of all tasks, in the order given; it fails as soon as one task fails."""
        return WhenAllTask(self._ctx, activities)

    def task_any(self, activities: Iterable[TaskBase]) -> TaskBase:
        """A task whose result is the task that ends first."""
        return WhenAnyTask(self._ctx, activities)

    # ------------------------------------------------------------ this instance

    def get_input(self, expected_type: type | None = None) -> Any:
        """The input of this instance.

        expected_type: a class with ``from_json`` that the input may have; None takes ``input_type`` of the decorator.
        """
        return self._classes.decode(self._ctx.get_input(), expected_type or self._input_type)

    def set_custom_status(self, status: Any) -> None:
        """Set the value that the status of this instance shows."""
        self._ctx.set_custom_status(encode(status))

    @property
    def custom_status(self) -> JSON:
        """The last value given to ``set_custom_status``."""
        return self._ctx.custom_status

    @property
    def instance_id(self) -> str:
        """The id of this instance."""
        return self._ctx.instance_id

    @property
    def parent_instance_id(self) -> str | None:
        """The id of the parent, if this instance is a sub-orchestration."""
        return self._ctx.parent_instance_id

    @property
    def version(self) -> str | None:
        """The version with which this instance was started; None without one."""
        return self._ctx.version or None

    @property
    def is_replaying(self) -> bool:
        """Whether this line runs in a replay."""
        return self._ctx.is_replaying

    @property
    def histories(self) -> list[HistoryEvent]:
        """The history of this generation, as committed so far."""
        return history_of(self._ctx.segments)

    @property
    def function_context(self) -> FunctionContext:
        """Attributes of the function that Durable Functions does not know; there are none."""
        return self._function_context

    @property
    def current_utc_datetime(self) -> dt.datetime:
        """The time (UTC, with an offset) of the event after which the code runs; the same at every replay."""
        return self._ctx.current_utc_datetime

    def new_uuid(self) -> str:
        """A new id as text, the same at every replay."""
        return self._ctx.new_uuid()

    def new_guid(self) -> UUID:
        """A new id, the same at every replay."""
        return self._ctx.new_guid()

    def continue_as_new(self, input_: Any = None) -> None:
        """Start the next generation with this input when the code returns or waits for the next time.

        External events that were not received are dropped, as in Durable Functions for Python.
        """
        self._ctx.continue_as_new(encode(input_), keep_events=False)

    @property
    def will_continue_as_new(self) -> bool:
        """Whether ``continue_as_new`` was called."""
        return self._ctx.will_continue_as_new
