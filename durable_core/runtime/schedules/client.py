"""The part of the client that creates, reads, pauses, resumes, triggers and deletes schedules.

A schedule is an instance of a built-in orchestrator (``schedules/orchestrator.py``), so it is as durable as any other
instance; this module starts it, sends it events and reads its status.
"""

# pyright: reportPrivateUsage=false
# The methods are part of the client, whose parts they use.

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast, get_args

from ...errors import (
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    InvalidInstanceIdError,
)
from ...instance_ids import TriggeredRun, check_instance_id
from ...models import OrchestrationStatus, RuntimeStatus
from ...moments import LAST, in_utc, problem_of_moment
from ...registry import name_of
from ..listing import UNREADABLE
from .cron import SHORTEST, Interval, parse_cron
from .orchestrator import CONTROL, SCHEDULE_NAME, SCHEDULE_PREFIX, Overlap, ScheduleState, run_id

if TYPE_CHECKING:
    from ..client import DurableClient

logger = logging.getLogger("durable_core.runtime")

RUN_SUFFIX = ":20300101T000000Z-00000000"
DELETE_PATIENCE = 30.0  # seconds
_NO_DATE = "the first run would be due in the year 9999, or later: give an earlier start_at, or a shorter interval"

_LIVE = tuple(status for status in RuntimeStatus if not status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """The state of a schedule. Times are UTC.

    next_due: when the schedule starts the next run; None while it is paused.
    running: instance id of the current run; None if there is none.
    waiting: instance ids of runs that fell due during the current run, and start after it.
    version: of the orchestrator in every run; None: each run takes the version that a new start takes at its time.
    last_instance_id, last_due, last_failed: of the run that ended last; None if there was none.
    """

    schedule_id: str
    orchestrator: str
    cron: str | None
    interval: timedelta | None
    time_zone: str
    overlap: Overlap
    is_paused: bool
    pause_reason: str
    next_due: datetime | None
    running: str | None
    waiting: tuple[str, ...]
    last_instance_id: str | None
    last_due: datetime | None
    last_failed: bool | None
    created_time: datetime | None
    version: str | None = None


class ScheduleClient:
    """The schedules of a ``DurableClient``, which is the one class that inherits from this one."""

    @property
    def _client(self) -> DurableClient:
        return cast("DurableClient", self)

    async def create_schedule(
        self,
        schedule_id: str,
        orchestrator: Callable[..., Any] | str,
        *,
        cron: str | None = None,
        interval: timedelta | None = None,
        time_zone: str = "UTC",
        client_input: object = None,
        overlap: Overlap = "skip",
        start_at: datetime | None = None,
        version: str | None = None,
    ) -> None:
        """Start an orchestrator by cron or at an interval. The schedule is durable when this returns.

        cron: five fields (minute, hour, day of the month, month, weekday), or six with seconds in front, in
        ``time_zone`` (an IANA name). Fixed minutes and hours are wall-clock times: a time that daylight saving skips is
        due right after the gap, a time that occurs twice is due once.
        interval: instead of ``cron``; at least one second, from due time to due time.
        client_input: the input of every run. A run has the id ``{schedule_id}:{due time}`` and is a sub-orchestration
        of the schedule.
        overlap: how to treat due times that pass while the previous run has not ended, or while no host runs. ``skip``
        drops them; ``queue`` starts them in order, one after the other, up to 100 of them.
        start_at: a datetime with a time zone, the earliest due time. None: now for ``cron``, one interval from now for
        ``interval``.
        version: the version of the orchestrator for every run. None: each run has the version that a new start would
        have.

        Raises InvalidInputError (bad cron, interval or time zone; an input that does not fit),
        UnknownOrchestratorError, InvalidInstanceIdError, InstanceAlreadyExistsError if there is such a schedule.
        """
        instance_id = _instance_of(schedule_id)
        check_instance_id(instance_id + RUN_SUFFIX)
        definition = self._client._registry.orchestrator(name_of(orchestrator), version)
        data = self._client._converter.to_json(client_input, "the input")
        if definition.takes(data):
            self._client._converter.from_json(data, definition.input_type)
        if overlap not in get_args(Overlap):
            raise InvalidInputError(f"overlap must be 'skip' or 'queue', not {overlap!r}")
        if (problem := problem_of_moment(start_at)) is not None:
            raise InvalidInputError(f"start_at={start_at!r} {problem}")
        now = self._client._clock.now()
        first = now if start_at is None else max(in_utc(start_at), now)
        if first.year >= LAST.year:
            raise InvalidInputError(_NO_DATE)
        match cron, interval:
            case str(), None:
                due = parse_cron(cron, time_zone).next_after(first - timedelta(microseconds=1))
            case None, timedelta():
                if interval < SHORTEST:
                    raise InvalidInputError(f"the interval of a schedule must be at least one second, not {interval}")
                due = first if start_at is not None else Interval(interval).next_after(first)
                due = due.replace(microsecond=0)
            case _:
                raise InvalidInputError(
                    "a schedule needs either cron= (a string) or interval= (a datetime.timedelta), "
                    f"not cron={cron!r} and interval={interval!r}"
                )
        if due >= LAST:
            raise InvalidInputError(_NO_DATE)
        state = ScheduleState(
            schedule_id=schedule_id,
            orchestrator=definition.name,
            overlap=overlap,
            due=due.isoformat(),
            cron=cron,
            every=None if interval is None else interval.total_seconds(),
            time_zone=time_zone,
            input=data,
            version=version,
        )
        try:
            await self._client.start_new(SCHEDULE_NAME, instance_id, state.stored())
        except InstanceAlreadyExistsError as error:
            if not error.status or not RuntimeStatus(error.status).is_terminal:
                raise
            await self._client.start_new(SCHEDULE_NAME, instance_id, state.stored(), if_exists="restart_if_done")

    async def get_schedule(self, schedule_id: str) -> ScheduleStatus:
        """The state of a schedule. InstanceNotFoundError if there is none of this id."""
        status = await self._client.get_status(_instance_of(schedule_id))
        if status.name != SCHEDULE_NAME or status.is_terminal:
            raise InstanceNotFoundError(_instance_of(schedule_id))
        return _shown(status)

    async def list_schedules(self) -> list[ScheduleStatus]:
        """Every schedule of the hub, newest first."""
        found: list[ScheduleStatus] = []
        token: str | None = None
        while True:
            page = await self._client.list_instances(
                runtime_status=_LIVE, instance_id_prefix=SCHEDULE_PREFIX, page_size=1000, continuation_token=token
            )
            for listed in page.instances:
                try:
                    status = await self._client.get_status(listed.instance_id)
                except UNREADABLE as error:  # the other schedules are listed all the same
                    logger.warning("schedule '%s' is not listed: %s", listed.instance_id, error)
                    continue
                if status.name == SCHEDULE_NAME and not status.is_terminal:  # any instance may have such an id
                    found.append(_shown(status))
            token = page.continuation_token
            if token is None:
                return found

    async def pause_schedule(self, schedule_id: str, reason: str = "") -> None:
        """Start no runs until ``resume_schedule``; due times until then are dropped. A current run continues.

        Raises InstanceNotFoundError, as the other methods do.
        """
        await self.get_schedule(schedule_id)  # any instance may have such an id
        await self._client.raise_event(_instance_of(schedule_id), CONTROL, {"do": "pause", "reason": reason})

    async def resume_schedule(self, schedule_id: str) -> None:
        """Start runs again, from the next due time on."""
        await self.get_schedule(schedule_id)
        await self._client.raise_event(_instance_of(schedule_id), CONTROL, {"do": "resume"})

    async def trigger_schedule(self, schedule_id: str) -> str:
        """Start a run now, even while paused, and return its instance id.

        The schedule starts the run a moment later: ``wait_for_completion`` waits for the start, ``get_status`` does
        not. ``overlap`` applies: with ``skip`` the run is dropped while another run has not ended (there will be no
        such instance).
        """
        await self.get_schedule(schedule_id)
        now = self._client._clock.now()
        run = f"{run_id(schedule_id, now)}-{now.microsecond:06}"
        await self._client.raise_event(_instance_of(schedule_id), CONTROL, {"do": "trigger", "run": run})
        return TriggeredRun(run)

    async def delete_schedule(self, schedule_id: str) -> None:
        """Delete a schedule. A current run continues. Raises InstanceNotFoundError."""
        instance_id = _instance_of(schedule_id)
        await self.get_schedule(schedule_id)
        await self._client.terminate(instance_id, "deleted", recursive=False)
        await self._client.wait_for_completion(instance_id, DELETE_PATIENCE)
        await self._client.purge_instance_history(instance_id)


def _instance_of(schedule_id: str) -> str:
    """The id of the instance that runs this schedule. InvalidInstanceIdError."""
    if not isinstance(schedule_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInstanceIdError(f"the id of a schedule must be a string, not {schedule_id!r}; use str(...)")
    return SCHEDULE_PREFIX + schedule_id


def _shown(status: OrchestrationStatus) -> ScheduleStatus:
    data: dict[str, Any] = dict(status.custom_status or status.input_)
    running: str | None = data.pop("running", None)
    state = ScheduleState(**data)
    last = state.last or (None, None, None)
    return ScheduleStatus(
        schedule_id=state.schedule_id,
        orchestrator=state.orchestrator,
        cron=state.cron,
        interval=None if state.every is None else timedelta(seconds=state.every),
        time_zone=state.time_zone,
        overlap=state.overlap,
        is_paused=state.paused,
        pause_reason=state.reason,
        next_due=None if state.paused else state.next_due,
        running=running,
        waiting=tuple(run for run, _, _ in state.waiting),
        last_instance_id=last[0],
        last_due=None if last[1] is None else datetime.fromisoformat(last[1]),
        last_failed=last[2],
        created_time=status.created_time,
        version=state.version,
    )
