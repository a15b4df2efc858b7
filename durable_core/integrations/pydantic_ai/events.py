"""Writes the events of an agent's run into a stream of its instance, as JSON."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable
from typing import Any, Protocol, TypeVar

from pydantic_ai.agent import EventStreamHandler
from pydantic_ai.messages import AgentStreamEvent, FinalResultEvent, PartDeltaEvent, PartEndEvent, PartStartEvent
from pydantic_ai.tools import RunContext
from pydantic_core import to_jsonable_python

from ...errors import PayloadTooLargeError
from ...streams import StreamWriter
from .scope import Scope

_OF_THE_MODEL = (PartStartEvent, PartDeltaEvent, PartEndEvent, FinalResultEvent)

EventT = TypeVar("EventT", bound=AgentStreamEvent)


class _Named(Protocol):
    @property
    def event_kind(self) -> str: ...


async def tell(writer: StreamWriter, event: _Named) -> None:
    """Write one event: a JSON object whose ``event_kind`` names it, such as ``part_delta``.

    Of an event with more than the 256 KiB that a chunk may have, the kind and the size are written, as ``too_large``.
    """
    try:
        await writer.write(to_jsonable_python(event, bytes_mode="base64", fallback=repr))
    except PayloadTooLargeError as error:
        await writer.write({"event_kind": event.event_kind, "too_large": error.size})


def telling(writer: StreamWriter, handler: EventStreamHandler[Any] | None) -> EventStreamHandler[Any]:
    """A handler that writes each event, then passes it on to the handler of the app if there is one."""

    async def handle(ctx: RunContext[Any], events: AsyncIterable[AgentStreamEvent]) -> None:
        async def told() -> AsyncGenerator[AgentStreamEvent]:
            async for event in events:
                await tell(writer, event)
                yield event

        if handler is not None:
            await handler(ctx, told())
        else:
            async for _ in told():
                pass

    return handle


async def completing(
    scope: Scope, writer: StreamWriter, run_id: str, events: AsyncIterable[EventT]
) -> AsyncGenerator[EventT]:
    """The events of a run as the code of the agent gets them, writing those that ``telling`` has not written.

    A model response that comes from the journal is told by one event for each of its parts. So a run that goes on after
    a crash streams what it had, and then the rest.
    """
    async for event in events:
        if not isinstance(event, _OF_THE_MODEL) or run_id in scope.replayed:
            await tell(writer, event)
        yield event
