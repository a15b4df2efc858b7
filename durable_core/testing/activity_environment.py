"""Runs one activity in a unit test, with a context of its own: no store, no orchestrator.

Input and result are converted as a host converts them, so that a value that cannot be stored fails in the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ..activity_context import ActivityContext
from ..converter import Converter
from ..definitions import ActivityDefinition, definition_of
from ..errors import ConfigurationError, RegistrationError
from ..headers import checked_headers
from ..interceptors import Interceptor, Interceptors, around
from ..journal import JournalContext, RecordedStep
from ..models import JSON
from ..streams import StreamWriter

if TYPE_CHECKING:
    from ..runtime.client import DurableClient

T = TypeVar("T")
X = TypeVar("X")


class ActivityEnvironment:
    """The surroundings of one attempt at an activity call.

    attempt: the number of the attempt, from 1. last_heartbeat: the details of the attempt before it.
    instance_id, execution_id, task_id: of the call. idempotency_key: None makes one of these, as a host does.
    client: what ``ctx.client`` returns: that of an app, or a mock. None: ``ctx.client`` raises.
    headers: what ``ctx.headers`` is.
    interceptors: those whose ``around_activity`` runs around the activity, the first outermost.
    on_heartbeat: is called with the details of each heartbeat, as JSON; it may call ``cancel``.
    recorded: steps of a journaled activity that earlier runs have recorded, such as ``steps`` of another environment.
    events: for what a journaled activity waits: pairs of a name and a value, in their order: the names of events and of
        callbacks with their data, and of sub-orchestrations with their results (an exception: it fails). A wait with a
        timeout for which there is none times out; sleeps are over at once.
    """

    def __init__(
        self,
        *,
        attempt: int = 1,
        last_heartbeat: JSON = None,
        instance_id: str = "instance",
        execution_id: str = "execution",
        task_id: int = 1,
        idempotency_key: str | None = None,
        client: DurableClient | None = None,
        headers: Mapping[str, JSON] | None = None,
        interceptors: Sequence[Interceptor] = (),
        on_heartbeat: Callable[[JSON], object] | None = None,
        recorded: Sequence[RecordedStep] = (),
        events: Sequence[tuple[str, object]] = (),
    ) -> None:
        self.heartbeats: list[JSON] = []
        """The details of all heartbeats so far, as JSON."""
        self.steps: list[RecordedStep] = list(recorded)
        """The recorded steps of a journaled activity, in the order in which they have ended."""
        self._events = list(events)
        self._converter = Converter()
        self._on_heartbeat = on_heartbeat
        self._is_cancelled = False
        self._streams: dict[str, StreamWriter] = {}
        self._around = Interceptors.of(interceptors).activities
        self._headers = checked_headers(headers or {}, "the activity's context")
        self.context = ActivityContext(
            instance_id=instance_id,
            execution_id=execution_id,
            task_id=task_id,
            attempt=attempt,
            idempotency_key=f"{execution_id}-0-{task_id}" if idempotency_key is None else idempotency_key,
            last_heartbeat=self._converter.to_json(last_heartbeat, "last_heartbeat"),
            headers=self._headers,
            listener=self,
            host_client=client,
        )
        """The context that the activity gets."""

    @overload
    def run(
        self, fn: Callable[[JournalContext], Coroutine[Any, Any, T]] | Callable[[], Coroutine[Any, Any, T]], /
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run(
        self,
        fn: Callable[[JournalContext, X], Coroutine[Any, Any, T]] | Callable[[X], Coroutine[Any, Any, T]],
        input_: X,
        /,
    ) -> Coroutine[Any, Any, T]: ...
    @overload
    def run(self, fn: Callable[[JournalContext], T] | Callable[[], T], /) -> T: ...
    @overload
    def run(self, fn: Callable[[JournalContext, X], T] | Callable[[X], T], input_: X, /) -> T: ...
    def run(self, fn: Callable[..., Any], input_: Any = None, /) -> Any:
        """Run an activity, and return its result; that of an async one is awaited: ``await env.run(fetch, url)``.

        The input is converted to JSON and back to the annotated type, and the result must be JSON, as on a host. What
        the activity raises passes through. RegistrationError if the function is not marked ``@activity``;
        SerializationError, InvalidInputError.
        """
        definition = definition_of(fn)
        if not isinstance(definition, ActivityDefinition):
            raise RegistrationError(
                f"{getattr(fn, '__qualname__', fn)} is not marked as an activity: mark it with @activity"
            )
        data = self._converter.to_json(input_, f"the input of activity '{definition.name}'")
        context = replace(self.context, name=definition.name)
        arguments: list[Any] = [context] if definition.takes_context else []
        if definition.takes(data):
            arguments.append(self._converter.from_json(data, definition.input_type))
        if definition.journal:
            return self._journaled(definition, arguments[1:], context)
        if definition.is_async:
            return self._awaited(definition, arguments, context)
        if self._around:
            return self._in_a_loop(definition, arguments, context)
        return self._checked(definition, definition.fn(*arguments))

    def cancel(self) -> None:
        """From now on ``ctx.is_cancelled`` is True, as when the attempt has timed out or its instance has ended."""
        self._is_cancelled = True

    async def _awaited(self, definition: ActivityDefinition, arguments: list[Any], context: ActivityContext) -> Any:
        async def function() -> Any:
            found = cast("Any", definition.fn)(*arguments)
            return await found if definition.is_async else found

        return self._checked(definition, await around(self._around, context, function)())

    def _in_a_loop(self, definition: ActivityDefinition, arguments: list[Any], context: ActivityContext) -> Any:
        """Run a plain activity inside of interceptors, which are awaited."""
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(self._awaited(definition, arguments, context))
        raise ConfigurationError(
            "a plain activity with interceptors is tested in a plain test: interceptors run in an event loop of their "
            "own, and here is one already"
        )

    async def _journaled(self, definition: ActivityDefinition, inputs: Sequence[Any], given: ActivityContext) -> Any:
        from .recorded_steps import ListedSteps, ends_of_waits, run_of  # most activities have no journal

        members = {each.name: getattr(given, each.name) for each in fields(given)}
        log, woke = ListedSteps(self.steps), list[JSON]()
        while True:
            run = run_of(log, self._converter, self.context.attempt, definition.name, lambda: self._is_cancelled)
            await run.begin(is_first=False, again=False, woke=woke)
            context = run.make_context(**members)

            async def function(context: JournalContext = context) -> Any:
                return await cast("Any", definition.fn)(context, *inputs)

            code: Any = around(self._around, context, function)()
            result = await run.run(code)
            if run.left is None:
                return self._checked(definition, result)
            woke = ends_of_waits(run.left, self._events, self._converter)

    def _checked(self, definition: ActivityDefinition, result: Any) -> Any:
        self._converter.to_json(result, f"the result of activity '{definition.name}' ({definition.location})")
        return result

    # ------------------------------------------------------------ for the context

    @property
    def is_cancelled(self) -> bool:
        """Whether ``cancel`` was called."""
        return self._is_cancelled

    def heartbeat(self, details: object) -> None:
        """Keeps the details of a heartbeat. SerializationError if they are not JSON."""
        kept = self._converter.to_json(details, "the details of a heartbeat")
        self.heartbeats.append(kept)
        if self._on_heartbeat is not None:
            self._on_heartbeat(kept)

    def stream(self, name: str, *, shared: bool) -> StreamWriter:
        """A writer that keeps nothing, the same for each name."""
        return self._streams.setdefault(name, StreamWriter(name))
