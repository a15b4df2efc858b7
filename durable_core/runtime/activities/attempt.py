"""One running attempt at an activity call: its heartbeats, its time limits, and whether it is cancelled.

The activity uses ``heartbeat``, ``stream`` and ``is_cancelled``, perhaps in a thread; everything else is used on the
event loop.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import TYPE_CHECKING, Any

from ...converter import Converter
from ...definitions import ActivityDefinition
from ...errors import DurableError, StreamError
from ...hub.heartbeats import Heartbeats, RunningAttempt
from ...hub.instance_row import Instance
from ...hub.instances import Instances
from ...hub.messages import Call
from ...log_context import Work, durable_logger
from ...models import JSON, FailureDetails
from ...streams import StreamWriter, check_stream_name
from .call_options import in_words, timed_out

if TYPE_CHECKING:
    from ..stream_feeds import StreamFeeds
    from .journal import JournalRun
    from .stream_lane import LaneWriter

SHORTEST_INTERVAL = 1.0  # seconds between two writes of details
INTERVAL = 10.0  # the same where there is no heartbeat_timeout

logger = durable_logger("durable_core.activity")


class Attempt:
    """``deadline``: a time of the event loop. ``begun``: the time of day of the start. ``host``: the id of this
    process. ``feeds``: those of the process. ``headers``: of the instance, as JSON text.

    work: the attempt as log records name it. is_limited: whether it has a time limit.
    """

    def __init__(
        self,
        instance_id: str,
        execution_id: str,
        call: Call,
        definition: ActivityDefinition,
        *,
        converter: Converter,
        heartbeats: Heartbeats,
        instances: Instances,
        deadline: float | None,
        begun: datetime,
        host: str,
        feeds: StreamFeeds,
        headers: str = "",
    ) -> None:
        self.headers = headers
        self.instance_id, self.execution_id, self.call = instance_id, execution_id, call
        self.work = Work(instance_id, execution_id, call.name, call.task_id, call.attempt)
        self.is_cancelled = False
        self.has_row = False  # details of this attempt, or of the one before, are stored
        self._converter, self._heartbeats, self._instances = converter, heartbeats, instances
        self._feeds = feeds
        silence, timeout = definition.heartbeat_timeout, definition.timeout
        self._heartbeat_timeout = None if silence is None else silence.total_seconds()
        self._interval = INTERVAL if silence is None else max(SHORTEST_INTERVAL, silence.total_seconds() / 3)
        self._begun, self._host = begun, host
        self._loop = asyncio.get_running_loop()
        self._started = self._last_beat = self._loop.time()
        self._timeout: float | None = None if timeout is None else timeout.total_seconds()
        if call.options:
            self._timeout = call.options.get("timeout", self._timeout)
        self._deadline = deadline
        self.is_limited = not (self._timeout is None and deadline is None and silence is None)
        self._latest: tuple[JSON] | None = None  # written by the activity's thread
        self._stored: tuple[JSON] | None = None
        self._next_save = 0.0
        self._is_orphaned = self.is_gone = False
        self._saving: asyncio.Task[None] | None = None
        self._is_over = False
        self.streams: dict[str, LaneWriter] | None = None  # written by the activity's thread
        self.journal: JournalRun | None = None

    def __str__(self) -> str:
        call = self.call
        return (
            f"activity '{call.name}' of instance '{self.instance_id}' "
            f"(execution {self.execution_id}, task {call.task_id}, attempt {call.attempt})"
        )

    # ------------------------------------------------------------------ the activity's side

    def heartbeat(self, details: object) -> None:
        value = self._converter.to_json(details, "the details of a heartbeat")
        if self._is_over or self._loop.is_closed():
            return
        self._last_beat = self._loop.time()
        if value is not None:
            self._latest = (value,)
            self._loop.call_soon_threadsafe(self._keep)

    def stream(self, name: str, *, shared: bool) -> StreamWriter:
        check_stream_name(name)
        if self.streams is None:
            self.streams = {}
        if (writer := self.streams.get(name)) is None:
            writer = self.streams.setdefault(name, self._feeds.writer(self, name, is_shared=shared, loop=self._loop))
        if writer.is_shared != shared:
            raise StreamError(f"the stream '{name}' was opened with shared={not shared} before, in the same attempt")
        return writer

    @property
    def takes_nothing(self) -> bool:
        """Whether the result of the attempt is no longer needed, and so neither its streams nor its steps."""
        return self.is_cancelled or self._is_over

    async def look(self) -> None:
        """Read whether the instance lives."""
        self.cancel_if_moved_on(await self._instances.get(self.instance_id))

    # ------------------------------------------------------------------ the runner's side

    async def end_streams(self, *, is_success: bool) -> None:
        """Store what was written to streams, and after a success end them (rule S7)."""
        for writer in list((self.streams or {}).values()):
            await writer.finish(is_success=is_success)

    async def last_details(self) -> JSON:
        """The latest details of the previous attempt."""
        details = await self._heartbeats.read(*self._key)
        self.has_row = details is not None
        return details

    async def watch(self, work: asyncio.Future[Any]) -> FailureDetails | None:
        """Wait until the work is done (None) or a time limit is exceeded (the failure). Does not cancel the work."""
        while not work.done():
            at, failure = self._next_limit()
            if at <= self._loop.time():
                self.is_cancelled = True
                return failure
            await asyncio.wait({work}, timeout=at - self._loop.time())
        return None

    async def end(self, *, keep: bool) -> None:
        """Ignore further heartbeats. ``keep``: store the latest details for another attempt."""
        self._is_over = True
        if (saving := self._saving) is not None:
            saving.cancel()
            await asyncio.wait({saving})
        if keep and self._latest is not self._stored:
            await self._save()

    def abandon(self) -> None:
        """Cancel the attempt because the host stops."""
        self._is_over = self.is_cancelled = True
        if self._saving is not None:
            self._saving.cancel()
        for writer in list((self.streams or {}).values()):
            writer.abandon()

    async def drop(self) -> None:
        """Delete the stored details, after the success of the call was recorded."""
        if not self.has_row:
            return
        try:
            await self._heartbeats.drop(*self._key)
        except DurableError as error:  # the row is deleted with the instance
            logger.debug("a heartbeat row of %s is not deleted: %s", self, error, extra=self.work.fields())

    def cancel_if_moved_on(self, instance: Instance | None) -> None:
        """Cancel the attempt if the instance has ended or begun a new generation."""
        if (
            instance is None
            or instance.execution_id != self.execution_id
            or instance.generation != self.call.generation
            or instance.is_terminal
        ):
            self._is_orphaned = self.is_cancelled = True
            self.is_gone = (
                instance is None
                or instance.is_purged
                or (instance.execution_id, instance.generation) != (self.execution_id, self.call.generation)
            )

    # ------------------------------------------------------------------

    @property
    def _key(self) -> tuple[str, str, int, int]:
        return self.instance_id, self.execution_id, self.call.generation, self.call.task_id

    def _next_limit(self) -> tuple[float, FailureDetails]:
        name = self.call.name
        limits: list[tuple[float, str, bool]] = []
        if self._timeout is not None:
            what = f"activity '{name}' did not end within {in_words(self._timeout)} of its start (timeout)"
            limits.append((self._started + self._timeout, what, True))
        if self._heartbeat_timeout is not None:
            silence = in_words(self._heartbeat_timeout)
            what = f"activity '{name}' sent no heartbeat for {silence} (heartbeat_timeout)"
            limits.append((self._last_beat + self._heartbeat_timeout, what, True))
        if self._deadline is not None:
            what = f"activity '{name}' did not end within the time from its call (schedule_to_close)"
            limits.append((self._deadline, what, False))
        at, what, retriable = min(limits)
        return at, timed_out(what, retriable=retriable)

    def _keep(self) -> None:
        if self._saving is None and not self._is_over:
            self._saving = self._loop.create_task(self._save_now_and_then())
            self._saving.add_done_callback(_hear)

    async def _save_now_and_then(self) -> None:
        try:
            while self._latest is not self._stored and not self._is_orphaned:
                await asyncio.sleep(self._next_save - self._loop.time())
                await self._save()
        finally:
            self._saving = None

    async def _save(self) -> None:
        latest = self._latest
        try:
            await self.look()
            if latest is not None and not self._is_orphaned:
                self.has_row = True  # from here on there may be a row
                running = RunningAttempt(self.call.attempt, self._begun, self._host)
                await self._heartbeats.write(*self._key, latest[0], running)
        except DurableError as error:  # the activity goes on without stored details
            logger.warning("a heartbeat of %s is not stored: %s", self, error, extra=self.work.fields())
        self._next_save = self._loop.time() + self._interval
        self._stored = latest


def _hear(saving: asyncio.Task[None]) -> None:
    if not saving.cancelled() and (error := saving.exception()) is not None:
        logger.error("heartbeats are not stored", exc_info=error)
