"""The streams of an instance over HTTP, as server-sent events: what a browser's ``EventSource`` reads.

The id of each event is its offset, so that a reader that reconnects with ``Last-Event-ID`` goes on where it was. A
server that can send a body in pieces gets the events as they come. To any other, such as the Functions worker, the
answer is what is there, and ends: the ``EventSource`` reconnects by itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..errors import DurableError, ExecutionGoneError
from ..streams import StreamChunk, StreamEnded, StreamEvent, StreamRestarted
from .http_types import HttpRequest, HttpResponse, json_response

if TYPE_CHECKING:
    from ..runtime.client import DurableClient
    from ..runtime.stream_feeds import StreamReader

COMMENT_SECONDS = 15.0  # between two signs of life, for proxies that close silent connections
LONGEST_WAIT = 20.0  # for the first event, where the answer has to end
MORE_SECONDS = 0.05  # for each event after that
MOST_BYTES = 1024 * 1024  # of such an answer
END_SECONDS = 3.0  # to find out whether anything follows the end that a reader was told of

EVENT_STREAM = "text/event-stream; charset=utf-8"
_HEADERS = {
    "Content-Type": EVENT_STREAM,
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
    "X-Content-Type-Options": "nosniff",
}
_NOTHING_FOLLOWS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
"""Of the answer 204, at which no ``EventSource`` connects again."""
_RETRY = b"retry: 1000\n\n"
_SIGN_OF_LIFE = b": waiting\n\n"

_write = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode

logger = logging.getLogger(__name__)


class StreamRoutes:
    """What the requests for streams answer: part of ``HttpApi``."""

    def __init__(self, client: DurableClient) -> None:
        self._client = client

    async def names(self, instance_id: str) -> HttpResponse:
        return json_response(200, list(await self._client.list_streams(instance_id)))

    async def read(self, request: HttpRequest, instance_id: str, name: str, execution_id: str = "") -> HttpResponse:
        """execution_id: the only execution that may be read; '' for any."""
        after = request.headers.get("last-event-id", "").strip() or request.text("from") or None
        follow = request.flag("follow", True)
        reader = self._client.stream(instance_id, name, from_=after)
        await reader.open()
        if execution_id and reader.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        following = _Following(reader)
        if after is not None and after.endswith("e"):
            await following.wait(END_SECONDS)
            if following.is_over:
                await following.close()
                return HttpResponse(status=204, headers=_NOTHING_FOLLOWS)
        if request.can_stream and follow:
            return HttpResponse(status=200, headers=_HEADERS, pieces=_pieces(following))
        return HttpResponse(
            status=200, headers=_HEADERS, body=await _all_there(following, LONGEST_WAIT if follow else 0)
        )


class _Following:
    """A reader whose next events can be waited for in vain."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._next: asyncio.Task[list[StreamEvent]] | None = None

    @property
    def is_over(self) -> bool:
        """Whether no event follows, which ``wait`` has found."""
        return (
            self._next is not None and self._next.done() and self._next.exception() is None and not self._next.result()
        )

    async def wait(self, seconds: float) -> bool:
        """Wait for the next events; whether they are there, or the end is, or an error."""
        if self._next is None:
            self._next = asyncio.ensure_future(self._reader.batch())
        await asyncio.wait({self._next}, timeout=seconds)
        return self._next.done()

    def take(self) -> list[StreamEvent]:
        """What ``wait`` has found; [] at the end. Raises the errors of the reader."""
        assert self._next is not None, "waited for"
        found, self._next = self._next.result(), None
        return found

    async def close(self) -> None:
        if self._next is not None and not self._next.done():
            self._next.cancel()
            await asyncio.wait({self._next})
        await self._reader.aclose()


async def _pieces(following: _Following) -> AsyncGenerator[bytes]:
    try:
        yield _RETRY
        while True:
            if not await following.wait(COMMENT_SECONDS):
                yield _SIGN_OF_LIFE
                continue
            if not (events := following.take()):
                return
            yield text_of(events)
    except DurableError as error:  # the answer has begun: the reader that connects again is told why
        logger.warning("a stream is not read to its end: %s", error)
    finally:
        await following.close()


async def _all_there(following: _Following, longest: float) -> bytes:
    parts, size, wait = [_RETRY], 0, longest
    try:
        while size < MOST_BYTES and await following.wait(wait or MORE_SECONDS):
            if not (events := following.take()):
                break
            parts.append(text_of(events))
            size, wait = size + len(parts[-1]), 0.0
    finally:
        with suppress(DurableError):
            await following.close()
    return b"".join(parts) if len(parts) > 1 else _RETRY + _SIGN_OF_LIFE


def text_of(events: Sequence[StreamEvent]) -> bytes:
    """Events as an ``EventSource`` reads them. The data is JSON: of a chunk the chunk itself."""
    return "".join(map(_text_of, events)).encode()


def _text_of(event: StreamEvent) -> str:
    match event:
        case StreamChunk(is_shared=True):
            told = {"generation": event.generation, "taskId": event.task_id, "chunk": event.data}
            return f"event: shared\nid: {event.offset}\ndata: {_write(told)}\n\n"
        case StreamChunk():
            return f"id: {event.offset}\ndata: {_write(event.data)}\n\n"
        case StreamRestarted():
            told = {
                "supersededFrom": event.superseded_from,
                "generation": event.generation,
                "taskId": event.task_id,
                "attempt": event.attempt,
            }
            return f"event: restarted\nid: {event.offset}\ndata: {_write(told)}\n\n"
        case StreamEnded():
            return f"event: ended\nid: {event.offset}\ndata: {_write({'isComplete': event.is_complete})}\n\n"
