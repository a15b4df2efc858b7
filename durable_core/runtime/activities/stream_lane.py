"""The writer of one stream by one run of an attempt: batches, the log of rows, and what other runs have written.

``write`` and ``end`` may be called in the thread of an activity; everything else happens on the event loop. A run that
meets a newer run of its call writes nothing more, but goes on: it may be its result that is recorded.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from contextvars import Context
from typing import Any

from ...converter import Converter
from ...engine.events import TaskScheduled
from ...errors import PayloadTooLargeError, RowExistsError, StreamError
from ...hub.instances import while_it_moves
from ...hub.streams import Lane, StreamKey, StreamRow
from ...hub.taskhub import TaskHub
from ...log_context import durable_logger
from ...streams import StreamWriter, Written
from ..change import Change

MAX_CHUNK = 256 * 1024  # bytes of JSON
BATCH_BYTES = 32 * 1024
BATCH_SECONDS = 0.1  # between the beginnings of two inserts, unless a batch is full
BUFFER_BYTES = 1024 * 1024  # not stored yet; then writers wait
MAX_BYTES = 64 * 1024 * 1024  # of a stream
MAX_ROWS = 100_000
LOOK_SECONDS = 10.0  # between two looks whether the instance lives

_DONE = Written()

logger = durable_logger("durable_core.activity")


class LaneWriter(StreamWriter):
    """is_over: whether the result of the attempt is no longer needed. look: reads whether the instance lives, for
    ``is_over``. stored: is told of each row once it is durable. context: that of the attempt, in whose account the
    operations are counted."""

    __slots__ = (
        "_attempt",
        "_buffer",
        "_buffered",
        "_change",
        "_context",
        "_converter",
        "_ending",
        "_error",
        "_has_begun",
        "_hub",
        "_is_ended",
        "_is_over",
        "_is_shared",
        "_key",
        "_lane",
        "_last_insert",
        "_last_look",
        "_look",
        "_loop",
        "_more",
        "_number",
        "_pump",
        "_restart",
        "_run",
        "_silent",
        "_stored",
        "_total",
        "_void",
    )

    def __init__(
        self,
        hub: TaskHub,
        converter: Converter,
        key: StreamKey,
        lane: Lane,
        attempt: int,
        *,
        is_shared: bool,
        is_over: Callable[[], bool],
        look: Callable[[], Awaitable[None]],
        stored: Callable[[StreamKey, StreamRow], None],
        loop: asyncio.AbstractEventLoop,
        context: Context,
    ) -> None:
        super().__init__(key.name)
        self._hub, self._converter = hub, converter
        self._key, self._lane, self._attempt, self._is_shared = key, lane, attempt, is_shared
        self._is_over, self._look, self._stored = is_over, look, stored
        self._loop, self._context = loop, context
        self._run = hub.ids.commit_id()
        self._buffer: deque[str] = deque()
        self._buffered = 0
        self._number: int = 0
        self._total: int = 0
        self._restart: int | None = None
        self._has_begun = False  # a row of this run is in the log
        self._silent = False  # another run of the call writes, or has ended the lane
        self._void: set[Lane] = set()
        self._ending = self._is_ended = False
        self._error: Exception | None = None
        self._last_insert = float("-inf")
        self._last_look = loop.time()
        self._pump: asyncio.Task[None] | None = None
        self._more: asyncio.Future[None] | None = None  # what the pump waits for between two batches
        self._change = Change()

    @property
    def is_shared(self) -> bool:
        return self._is_shared

    # ------------------------------------------------------------------ the activity's side

    def write(self, chunk: object) -> Awaitable[None]:
        what = f"a chunk of the stream '{self.name}'"
        text = json.dumps(self._converter.to_json(chunk, what), separators=(",", ":"))
        if len(text) > MAX_CHUNK:
            raise PayloadTooLargeError(what, len(text), MAX_CHUNK)
        if _is_on(self._loop):
            self._add(text)
            return _Waiting(self._room) if self._buffered > BUFFER_BYTES else _DONE
        self._from_thread(self._add_and_wait(text))
        return _DONE

    def end(self) -> Awaitable[None]:
        if _is_on(self._loop):
            self._check()
            self._begin_end()
            return _Waiting(self._drained)
        self._from_thread(self._end_and_wait())
        return _DONE

    def _from_thread(self, work: Coroutine[Any, Any, None]) -> None:
        if self._loop.is_closed():
            work.close()
            raise StreamError(f"the stream '{self.name}' cannot be written: the host has stopped")
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _add_and_wait(self, text: str) -> None:
        self._add(text)
        await self._room()

    async def _end_and_wait(self) -> None:
        self._check()
        self._begin_end()
        await self._drained()

    # ------------------------------------------------------------------ the attempt's side

    async def finish(self, *, is_success: bool) -> None:
        """Store what was written; after a success, end the stream. For the end of the attempt: an error is logged, and
        the stream has no end then."""
        if is_success and not self._ending and self._error is None:
            self._begin_end()
        try:
            await self._drained()
        except Exception as error:  # noqa: BLE001  the result of the activity is worth more than the end of its stream
            logger.warning("the stream '%s' of instance '%s' has no end: %s", self.name, self._key.instance_id, error)

    def abandon(self) -> None:
        """Write nothing more, because the host stops."""
        if self._pump is not None:
            self._pump.cancel()

    # ------------------------------------------------------------------ the buffer

    def _check(self) -> None:
        if self._error is not None:
            raise self._error
        self._check_attempt()
        if self._ending:
            raise StreamError(f"the stream '{self.name}' has ended: nothing may be written after end()")

    def _add(self, text: str) -> None:
        self._check()
        if self._silent:
            return
        self._buffer.append(text)
        self._buffered += len(text)
        self._start()
        if self._buffered >= BATCH_BYTES:
            self._hurry()

    def _begin_end(self) -> None:
        self._ending = True
        self._start()
        self._hurry()

    def _start(self) -> None:
        if self._pump is None:
            self._pump = self._loop.create_task(self._write_batches(), context=self._context)

    def _hurry(self) -> None:
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def _room(self) -> None:
        """Wait until the buffer is not full."""
        while self._buffered > BUFFER_BYTES and self._pump is not None:
            await self._change.next()
        if self._error is not None:
            raise self._error

    async def _drained(self) -> None:
        """Wait until all is stored."""
        self._hurry()
        while self._pump is not None:
            await self._change.next()
        if self._error is not None:
            raise self._error

    # ------------------------------------------------------------------ the log

    async def _write_batches(self) -> None:
        try:
            while self._buffer or (self._ending and not self._is_ended):
                await self._pause()
                self._last_insert = self._loop.time()
                await self._check_instance()
                await self._store(*self._take())
                self._change.tell()
        except Exception as error:  # noqa: BLE001  raised by the next write
            self._fail(error)
        except BaseException:
            self._fail(StreamError(f"the stream '{self.name}' cannot be written: the host stops"))
            raise
        finally:
            self._pump = None
            self._change.tell()

    def _fail(self, error: Exception) -> None:
        self._error = error
        self._buffer.clear()
        self._buffered = 0

    async def _pause(self) -> None:
        """Wait for the time of the next batch, or until it is full or the last one."""
        pause = self._last_insert + BATCH_SECONDS - self._loop.time()
        if pause <= 0 or self._ending or self._buffered >= BATCH_BYTES:
            return
        self._more = self._loop.create_future()
        try:
            await asyncio.wait({self._more}, timeout=pause)
        finally:
            self._more = None

    async def _check_instance(self) -> None:
        if self._loop.time() - self._last_look >= LOOK_SECONDS:
            self._last_look = self._loop.time()
            await self._look()
        self._check_attempt()

    def _check_attempt(self) -> None:
        if self._is_over():
            raise StreamError(
                f"the stream '{self.name}' cannot be written: the attempt has timed out or was cancelled, or its "
                "instance has ended (see ctx.is_cancelled)"
            )

    def _take(self) -> tuple[list[str], bool]:
        """The next batch, and whether it is the last one."""
        batch: list[str] = []
        size = 0
        while self._buffer and (not batch or size + len(self._buffer[0]) <= BATCH_BYTES):
            batch.append(self._buffer.popleft())
            size += len(batch[-1])
        self._buffered -= size
        return batch, self._ending and not self._buffer

    async def _store(self, batch: Sequence[str], is_end: bool) -> None:
        """Insert a row at the end of the log; whose row is there already decides what happens then (rules S1 - S4)."""
        entry, size = self._hub.ids.commit_id(), sum(map(len, batch))
        while not self._silent:
            self._check_limits(size)
            row = StreamRow(
                number=self._number,
                entry=entry,
                run=self._run,
                lane=self._lane,
                attempt=self._attempt,
                restart=None if self._has_begun else self._restart,
                text=f"[{','.join(batch)}]" if batch else "",
                count=len(batch),
                is_end=is_end,
                is_shared=self._is_shared,
                total=self._total + size,
            )
            try:
                await self._hub.streams.insert(self._key, row)
            except RowExistsError:
                found = await self._hub.streams.read(self._key, self._number, heads=True)
                if not is_own(found, entry):
                    await self._learn(found)
                    continue
            self._has_begun, self._number, self._total = True, self._number + 1, row.total
            self._stored(self._key, row)
            break
        self._is_ended = is_end

    async def _learn(self, rows: Sequence[StreamRow]) -> None:
        """Take in the rows of others that were written meanwhile."""
        while rows:
            self._check_writer(rows[0])
            for row in rows:
                if row.lane == self._lane:
                    self._meet(row)
                elif not self._is_shared and not self._silent:
                    await self._meet_other(row)
                self._number, self._total = row.number + 1, row.total
            rows = await self._hub.streams.read(self._key, self._number, heads=True)

    def _meet(self, row: StreamRow) -> None:
        """Another run of this call has written the row."""
        if self._has_begun:
            is_silenced = is_by_a_newer_run(row, self._run)
        else:
            is_silenced = is_of_a_later_attempt(row, self._attempt) or has_ended(row)
        if is_silenced:
            if not self._silent:
                logger.info(
                    "the stream '%s' of instance '%s' is written by another run of the activity, or has ended; what "
                    "this run writes is left out",
                    self.name,
                    self._key.instance_id,
                )
            self._silent = True
            self._buffer.clear()
            self._buffered = 0
        elif self._restart is None:
            self._restart = restart_at(row)

    async def _meet_other(self, row: StreamRow) -> None:
        """The call of another lane has written the row. StreamError, unless a rewind has made that call void."""
        if self._has_begun:
            self._silent = True  # this call is void by now
        elif row.lane in self._void or await self._is_void(row.lane):  # rule S10
            self._void.add(row.lane)
            self._restart = 0
        else:
            raise StreamError(
                f"the stream '{self.name}' is written by another call of this instance (task {row.lane.task_id} of "
                f"generation {row.lane.generation}); choose another name, or pass shared=True in all of them"
            )

    async def _is_void(self, lane: Lane) -> bool:
        instances, key = self._hub.instances, self._key

        async def read() -> bool:
            instance = (await instances.load(key.instance_id)).instance
            if instance is None or instance.execution_id != key.execution_id or not instance.rewinds:
                return False
            if instance.generation != lane.generation:
                return False
            history = await instances.history(instance)
            return not any(
                isinstance(event, TaskScheduled) and event.task_id == lane.task_id
                for segment in history
                for event in segment.events
            )

        return await while_it_moves(read)

    def _check_writer(self, row: StreamRow) -> None:
        if row.is_shared != self._is_shared:
            how = "with" if row.is_shared else "without"
            raise StreamError(
                f"the stream '{self.name}' was begun {how} shared=True, by task {row.lane.task_id}; use it in the same "
                "way in all calls, or choose another name"
            )

    def _check_limits(self, size: int) -> None:
        if self._total + size > MAX_BYTES or self._number >= MAX_ROWS:
            raise StreamError(
                f"the stream '{self.name}' is full: a stream has at most {MAX_BYTES:,} bytes and {MAX_ROWS:,} batches; "
                "write larger chunks, or several streams"
            )


def is_own(found: Sequence[StreamRow], entry: str) -> bool:
    """Whether the row that is there is the one of this insert, whose answer was lost (rule S2)."""
    return bool(found) and found[0].entry == entry


def is_by_a_newer_run(row: StreamRow, run: str) -> bool:
    """Whether a row of its call that a run finds behind its own rows is by a run that began later (rule S4)."""
    return row.run != run


def is_of_a_later_attempt(row: StreamRow, attempt: int) -> bool:
    """Whether a later attempt has written already: then this one does not begin (rule S5)."""
    return row.attempt > attempt


def has_ended(row: StreamRow) -> bool:
    """Whether the call has ended the stream: then no run of it begins (rule S6)."""
    return row.is_end


def restart_at(row: StreamRow) -> int | None:
    """From where on a run supersedes the chunks of its call: the first row of an earlier run (rule S3)."""
    return row.number


def _is_on(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False


class _Waiting(Written):
    """Waits when it is awaited."""

    __slots__ = ("_wait",)

    def __init__(self, wait: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._wait = wait

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()
