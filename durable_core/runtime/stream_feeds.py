"""The streams of a process: which of them are read here, and the rows that come to their readers.

All readers of a stream in a process share one feed: it asks the store for new rows, and is handed those that this
process has written, once they are durable. On the embedded store the processes tell each other of new rows, so that a
feed asks at once; what is not told is found by polling. A reader that is further behind than the feed remembers reads
the store itself until it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextvars import Context, copy_context
from typing import TYPE_CHECKING

from ..converter import Converter
from ..engine.events import TaskCompleted, TaskFailed
from ..errors import ExecutionGoneError, InstanceNotFoundError
from ..hub.instances import while_it_moves
from ..hub.journals import root_of
from ..hub.streams import Lane, StreamKey, StreamRow
from ..hub.taskhub import TaskHub
from ..log_context import durable_logger
from ..storage.ports import Storage
from ..streams import Offset, StreamChunk, StreamEnded, StreamEvent, StreamRestarted, execution_mark, read_offset
from .change import Change
from .topic import Topic

if TYPE_CHECKING:
    from .activities.attempt import Attempt
    from .activities.stream_lane import LaneWriter

FIRST_POLL = 0.05
LONGEST_POLL = 1.0
KEPT_BYTES = 1024 * 1024  # of rows that a feed remembers, for readers that are a little behind

logger = durable_logger("durable_core.runtime")


class StreamFeeds:
    """One per process and task hub. storage: by which the processes of the hub of this name tell each other of rows."""

    def __init__(self, hub: TaskHub, converter: Converter, storage: Storage, name: str) -> None:
        self._hub, self._converter = hub, converter
        self._topic = Topic(storage, f"stream/{name}")
        self._feeds: dict[StreamKey, _Feed] = {}
        self._told: dict[str, StreamKey] = {}  # of the feeds, by what the writers tell of them
        self._is_closed = False

    def writer(self, attempt: Attempt, name: str, *, is_shared: bool, loop: asyncio.AbstractEventLoop) -> LaneWriter:
        """The writer of a stream by an attempt. May be called from any thread."""
        from .activities.call_options import rank_of
        from .activities.stream_lane import LaneWriter  # most programs write no stream

        call = attempt.call
        return LaneWriter(
            self._hub,
            self._converter,
            StreamKey(attempt.instance_id, attempt.execution_id, name),
            Lane(call.generation, root_of(call)),  # all parts of a journaled call write one lane
            rank_of(call),
            is_shared=is_shared,
            is_over=lambda: attempt.takes_nothing,
            look=attempt.look,
            stored=self._stored,
            loop=loop,
            context=copy_context(),
        )

    async def opened(self, instance_id: str, name: str, after: str | None) -> tuple[StreamKey, _Reading, bool]:
        """Which stream of which execution a reader reads, from where, and whether its instance has ended.

        InstanceNotFoundError, InvalidInputError, ExecutionGoneError."""
        place = None if after is None else read_offset(after)
        instance = await self._hub.instances.get(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        if place is not None and place.execution != execution_mark(instance.execution_id):
            raise ExecutionGoneError(instance_id)
        key = StreamKey(instance_id, instance.execution_id, name)
        return key, _Reading(key, place, is_rewound=instance.rewinds > 0), instance.is_terminal

    async def batches(
        self, key: StreamKey, reading: _Reading, *, is_terminal: bool
    ) -> AsyncGenerator[list[StreamEvent]]:
        """The events of each row that follows, until the end."""
        feed = self._enter(key, is_terminal=is_terminal)
        try:
            while not self._is_closed:
                rows = feed.behind(reading.number)
                if rows is None:
                    rows = await self._hub.streams.read(key, reading.number)
                    if not rows:
                        feed.begin(reading.number)
                for row in rows:
                    if events := reading.take(row):
                        yield events
                        if isinstance(events[-1], StreamEnded):
                            return
                if rows:
                    continue
                if reading.is_over or feed.is_over_at(reading.number):
                    if (end := reading.end()) is not None:
                        yield [end]
                    return
                if feed.error is not None:
                    raise feed.error
                await feed.news(reading.number)
        finally:
            self._leave(key, feed)

    def close(self) -> None:
        """End all readers, without an end of their streams."""
        self._is_closed = True
        self._topic.close()
        for feed in self._feeds.values():
            feed.close()

    # ------------------------------------------------------------------

    def _enter(self, key: StreamKey, *, is_terminal: bool) -> _Feed:
        self._topic.listen(self._heard)
        if (feed := self._feeds.get(key)) is None:
            feed = self._feeds[key] = _Feed(self._hub, key, is_terminal=is_terminal, is_told=self._topic.is_heard)
            self._told[_text_of(key)] = key
        feed.readers += 1
        return feed

    def _leave(self, key: StreamKey, feed: _Feed) -> None:
        feed.readers -= 1
        if not feed.readers:
            feed.close()
            if self._feeds.get(key) is feed:
                del self._feeds[key], self._told[_text_of(key)]

    def _stored(self, key: StreamKey, row: StreamRow) -> None:
        """This process has stored a row."""
        if (feed := self._feeds.get(key)) is not None:
            feed.hand(row)
        self._topic.tell(_text_of(key))

    def _heard(self, text: str) -> None:
        """Another process has stored a row."""
        if (key := self._told.get(text)) is not None:
            self._feeds[key].hint()


def _text_of(key: StreamKey) -> str:
    """What is told of a stream. No part of it may contain a control character, which a name may."""
    return f"{key.instance_id}/{key.execution_id}/{key.digest}"


class StreamReader(AsyncIterator[StreamEvent]):
    """Iterates over the events of a stream; ``DurableClient.stream`` returns it."""

    def __init__(self, feeds: StreamFeeds, instance_id: str, name: str, after: str | None) -> None:
        self._feeds, self._instance_id, self._name, self._after = feeds, instance_id, name, after
        self._batches: AsyncGenerator[list[StreamEvent]] | None = None
        self._events: deque[StreamEvent] = deque()
        self.execution_id = ""  # once it is open

    async def open(self) -> None:
        """Read whether the instance is there; the first ``anext`` does it else. Raises the errors of
        ``DurableClient.stream``."""
        if self._batches is None:
            key, reading, is_terminal = await self._feeds.opened(self._instance_id, self._name, self._after)
            self.execution_id = key.execution_id
            self._batches = self._feeds.batches(key, reading, is_terminal=is_terminal)

    async def batch(self) -> list[StreamEvent]:
        """The next events that come together; [] at the end."""
        await self.open()
        assert self._batches is not None, "it is open"
        return await anext(self._batches, list[StreamEvent]())

    async def __anext__(self) -> StreamEvent:
        if not self._events:
            self._events.extend(await self.batch())
        if not self._events:
            raise StopAsyncIteration
        return self._events.popleft()

    async def aclose(self) -> None:
        """End the reading. An iteration that has come to the end needs no call."""
        if self._batches is not None:
            await self._batches.aclose()


class _Reading:
    """How far one reader is, and what it is told of each row. number: of the row that it reads next, or again."""

    def __init__(self, key: StreamKey, place: Offset | None, *, is_rewound: bool) -> None:
        self._mark = execution_mark(key.execution_id)
        self._is_rewound = is_rewound  # then the end of a call that is void may lie in the middle
        self.number = 0 if place is None else place.number
        self._index = 0 if place is None else place.index
        self._has_told_end = place is not None and place.has_ended
        self._ended: StreamEnded | None = None
        self.is_over = False

    def take(self, row: StreamRow) -> list[StreamEvent]:
        """The events of a row that the reader has not seen: the restart, the chunks, the end, counted from 1."""
        events: list[StreamEvent] = []
        lane, index = row.lane, 1
        if row.restart is not None:
            superseded = str(Offset(self._mark, row.restart, 1))
            if index > self._index:
                events.append(
                    StreamRestarted(
                        offset=self._offset(row, index),
                        superseded_from=superseded,
                        generation=lane.generation,
                        task_id=lane.task_id,
                        attempt=row.attempt,
                    )
                )
            index += 1
        for data in row.chunks():
            if index > self._index:
                events.append(
                    StreamChunk(
                        offset=self._offset(row, index),
                        data=data,
                        generation=lane.generation,
                        task_id=lane.task_id,
                        attempt=row.attempt,
                        is_shared=row.is_shared,
                    )
                )
            index += 1
        self._ended = None
        self.is_over = False
        if row.is_end and not row.is_shared:
            is_new = index > self._index and not self._has_told_end
            end = StreamEnded(offset=str(Offset(self._mark, row.number, index, True)), is_complete=True)
            self._ended = end if is_new else None
            self.is_over = True
            if is_new and not self._is_rewound:
                events.append(end)
        self.number, self._index, self._has_told_end = row.number + 1, 0, False
        return events

    def end(self) -> StreamEnded | None:
        """What is told at the end, where nothing follows; None if the reader has been told before."""
        if self.is_over:
            return self._ended
        if self._has_told_end:
            return None
        return StreamEnded(offset=str(Offset(self._mark, self.number, 0, True)), is_complete=False)

    def _offset(self, row: StreamRow, index: int) -> str:
        return str(Offset(self._mark, row.number, index))


class _Feed:
    """The rows of one stream as they come to this process. Runs while the store has to be asked for more.

    is_told: whether other processes tell of their rows. One of an older version does not, and its rows wait for a poll.
    """

    def __init__(self, hub: TaskHub, key: StreamKey, *, is_terminal: bool, is_told: bool) -> None:
        self._hub, self._key, self._is_terminal, self._is_told = hub, key, is_terminal, is_told
        self.readers = 0
        self.error: Exception | None = None
        self._rows: deque[StreamRow] = deque()
        self._kept = 0
        self._next: int | None = None  # the number of the row that comes next; None: no reader has come to the end yet
        self._owner: Lane | None = None
        self._is_shared = False
        self._seen = -1  # commits of the instance at the last look
        self._is_ended = False  # by the instance, or by its calls: no row follows
        self._news = Change()
        self._is_hinted = False  # there are rows in the store that the feed has not read
        self._wake: asyncio.Future[None] | None = None
        self._poller: asyncio.Task[None] | None = None

    def behind(self, number: int) -> list[StreamRow] | None:
        """The rows from this number on, perhaps none; None if the feed does not have them: read the store."""
        if self._next is None or number > self._next:
            return None
        if number == self._next:
            return []
        if not self._rows or number < self._rows[0].number:
            return None
        return [row for row in self._rows if row.number >= number]

    def begin(self, number: int) -> None:
        """A reader has found no row of this number in the store: from here on the feed has all."""
        if self._next is None or number > self._next:
            self._rows.clear()
            self._kept, self._next = 0, number
        if self._is_terminal:  # before the reader has read to the end: nothing follows
            self._is_ended = True
        if self._poller is None and not self._is_ended:
            # In a context of its own: the operations are not those of whoever reads first.
            self._poller = asyncio.get_running_loop().create_task(self._poll(), context=Context())

    def hand(self, row: StreamRow) -> None:
        """A row that this process has stored."""
        if self._next is None:
            return
        if row.number == self._next:
            self._keep(row)
        elif row.number > self._next:
            self.hint()

    def hint(self) -> None:
        """Have the store read at once: it has rows that were not handed over."""
        self._is_hinted = True
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def is_over_at(self, number: int) -> bool:
        return self._is_ended and number == self._next

    async def news(self, number: int) -> None:
        """Wait until there is a row of this number, or none follows, or the feed is closed or broken."""
        if self._next is None or self._next > number or self._is_ended:
            return
        await self._news.next()

    def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
        self._news.tell()

    # ------------------------------------------------------------------

    def _keep(self, row: StreamRow) -> None:
        self._rows.append(row)
        self._kept += len(row.text)
        while self._kept > KEPT_BYTES and len(self._rows) > 1:
            self._kept -= len(self._rows.popleft().text)
        self._next = row.number + 1
        self._owner, self._is_shared = row.lane, row.is_shared
        self._news.tell()

    async def _poll(self) -> None:
        try:
            pause = FIRST_POLL
            while not self._is_ended:
                before = self._next
                is_woken = await self._wait(pause)
                if self._next != before and not is_woken:  # this process writes the stream
                    pause = LONGEST_POLL
                    continue
                is_over, rows = await self._look_and_read(looks=pause >= LONGEST_POLL and not is_woken)
                if is_over and not rows:
                    self._is_ended = True
                if rows:
                    pause = LONGEST_POLL if is_woken and self._is_told else FIRST_POLL
                else:
                    pause = min(2 * pause, LONGEST_POLL)
        except Exception as error:  # noqa: BLE001  raised to the readers
            self.error = error
        finally:
            self._poller = None
            self._news.tell()

    async def _wait(self, seconds: float) -> bool:
        """Wait so long, or until there is something to read. Whether there is."""
        if not self._is_hinted:
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await asyncio.wait({self._wake}, timeout=seconds)
            finally:
                self._wake = None
        is_hinted, self._is_hinted = self._is_hinted, False
        return is_hinted

    async def _look_and_read(self, *, looks: bool) -> tuple[bool, bool]:
        """Whether no row can follow, and whether there are new ones. Read after the look: rows that were stored before
        the end are found (rule S9)."""
        is_over = looks and await self._is_over()
        return is_over, await self._read()

    async def _read(self) -> bool:
        """Take in what is new in the store; whether there was anything."""
        assert self._next is not None, "the feed has begun"
        rows = await self._hub.streams.read(self._key, self._next)
        for row in rows:
            if row.number == self._next:  # else it was handed over meanwhile
                self._keep(row)
        return bool(rows)

    async def _is_over(self) -> bool:
        """Whether no row can follow: the instance has ended, or the call that writes is recorded.

        ExecutionGoneError if another execution has the id.
        """
        key = self._key
        instance = await self._hub.instances.get(key.instance_id)
        if instance is None or instance.execution_id != key.execution_id:
            raise ExecutionGoneError(key.instance_id)
        if instance.is_terminal:
            return True
        if self._owner is None or self._is_shared:
            return False
        if self._owner.generation != instance.generation:
            return True
        if instance.seq == self._seen:  # nothing is recorded since
            return False
        recorded = await self._is_recorded(self._owner)
        self._seen = instance.seq
        return recorded

    async def _is_recorded(self, lane: Lane) -> bool:
        async def read() -> bool:
            instance = (await self._hub.instances.load(self._key.instance_id)).instance
            if instance is None or instance.execution_id != self._key.execution_id:
                return True
            if instance.generation != lane.generation:
                return True
            history = await self._hub.instances.history(instance)
            return any(
                isinstance(event, TaskCompleted | TaskFailed)
                and event.task_id == lane.task_id
                and not getattr(event, "waits", None)
                for segment in history
                for event in segment.events
            )

        return await while_it_moves(read)
