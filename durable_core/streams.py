"""Streams: what an activity writes while it runs, chunk by chunk, and what a reader of a stream gets.

A chunk is a JSON value, such as the text of a token. Each has an offset, by which a reader goes on where it was. The
rows of a stream are described in ``hub.streams``.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Generator
from typing import Any, TypeAlias

from .errors import InvalidInputError
from .instance_ids import HALF_PAIR
from .lazy_dataclass import dataclass
from .models import JSON

MAX_STREAM_NAME = 256
"""Highest number of characters of the name of a stream."""

_OFFSET = re.compile(r"([0-9A-Za-z_]{1,8})\.(\d{1,10})\.(\d{1,10})(e?)", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamChunk:
    """A chunk that an activity has written.

    offset: its place in the stream; given as ``from_``, the next reader begins behind it.
    data: the chunk. generation, task_id: the call that has written it. attempt: the attempt at that call.
    is_shared: whether several calls may write to the stream.
    """

    offset: str
    data: JSON
    generation: int
    task_id: int
    attempt: int
    is_shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamRestarted:
    """The call runs again, and writes its chunks anew: those of an earlier run no longer count.

    superseded_from: the offset from which on the chunks of this call are superseded. Of a stream with one writer these
        are all chunks so far.
    The other fields are those of ``StreamChunk``; attempt is that of the new run.
    """

    offset: str
    superseded_from: str
    generation: int
    task_id: int
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEnded:
    """No chunk follows. The last thing that a reader gets.

    is_complete: whether the writer has ended the stream: by ``end``, or because its activity has returned. If not, the
        activity has failed for good, or the instance has ended.
    """

    offset: str
    is_complete: bool


StreamEvent: TypeAlias = StreamChunk | StreamRestarted | StreamEnded
"""What a reader of a stream gets."""


class Written:
    """What ``write`` and ``end`` return: awaited, it waits as they say."""

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


class StreamWriter:
    """Writes one stream; ``ActivityContext.stream`` makes it. This one is for a test that calls the activity directly:
    it checks nothing and keeps nothing."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def write(self, chunk: object) -> Awaitable[None]:
        """Add a chunk: any value that can be written as JSON, of at most 256 KiB. A text is one; bytes become base64.

        An async activity awaits the call, which waits while 1 MiB of chunks is not stored yet. A plain function calls
        it in the same way without ``await``: it waits in its thread. The first chunk is stored at once, those that
        follow in batches, at most ten a second or one for each 32 KiB.

        Raises SerializationError, PayloadTooLargeError; StreamError if the stream belongs to another call, has ended or
        is full, or if the result of the attempt is no longer needed; and the error of the store if a chunk before this
        one could not be stored.
        """
        return Written()

    def end(self) -> Awaitable[None]:
        """End the stream: all chunks are stored, and its readers get ``StreamEnded``. Awaited like ``write``.

        The successful return of the activity does the same. After ``end`` a chunk is refused, and an attempt that
        follows writes nothing more. Raises the errors of ``write``.
        """
        return Written()


@dataclass(frozen=True, slots=True)
class Offset:
    """execution: the first characters of the execution's id. number: of the row. index: of the event in it.

    has_ended: whether the end was told at this place.
    """

    execution: str
    number: int
    index: int
    has_ended: bool = False

    def __str__(self) -> str:
        return f"{self.execution}.{self.number}.{self.index}{'e' if self.has_ended else ''}"


def read_offset(text: str) -> Offset:
    """InvalidInputError if it is not the offset of an event."""
    found = _OFFSET.fullmatch(text) if isinstance(text, str) else None  # pyright: ignore[reportUnnecessaryIsInstance]
    if found is None:
        raise InvalidInputError(f"{text!r:.100} is not an offset of a stream; give that of an event which was read")
    execution, number, index, end = found.groups()
    return Offset(execution, int(number), int(index), bool(end))


def execution_mark(execution_id: str) -> str:
    """How an offset names an execution."""
    return execution_id[:8]


def check_stream_name(name: str) -> None:
    """InvalidInputError if this cannot be the name of a stream."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_STREAM_NAME:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInputError(f"a stream's name is a text of 1 to {MAX_STREAM_NAME} characters, not {name!r:.300}")
    if HALF_PAIR.search(name):
        raise InvalidInputError("a stream's name must not hold half a surrogate pair, which is not a character")
