"""The part of the client that creates, reads, pauses, resumes, triggers and deletes schedules.

A schedule is an instance of a built-in orchestrator (``schedules/orchestrator.py``), so it is as durable as any other
instance; this module starts it, sends it events and reads its status.
"""

# pyright: reportPrivateUsage=false
# The methods are part of the client, whose parts they use.

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, cast, get_args, overload

from ...engine.context import OrchestrationContext
from ...engine.tasks import Branch
from ...errors import (
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
    ScheduleAlreadyExistsError,
)
from ...instance_ids import TriggeredRun
from ...lazy_dataclass import dataclass
from ...models import JSON, OrchestrationStatus, RuntimeStatus
from ...moments import in_utc, problem_of_moment
from ..listing import UNREADABLE
from .backfill import (
    BACKFILL_NAME,
    BACKFILL_PREFIX,
    EARLIEST,
    MOST_RUNS,
    BackfillPreview,
    BackfillState,
    first_due,
    preview_of,
)
from .orchestrator import CONTROL, SCHEDULE_NAME, SCHEDULE_PREFIX, UPDATE, Overlap, ScheduleState, run_id
from .plan import IfScheduleExists, ScheduleOptions, instance_of, planned

if TYPE_CHECKING:
    from ..client import DurableClient

logger = logging.getLogger("durable_core.runtime")

DELETE_PATIENCE = 30.0  # seconds

X = TypeVar("X")

_LIVE = tuple(status for status in RuntimeStatus if not status.is_terminal)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleStatus:
    """The state of a schedule. Times are UTC.

    next_due: the due time of the next run; None while it is paused.
    running: instance id of the current run; None if there is none.
    waiting: instance ids of runs that fell due during the current run, and start after it.
    version: of the orchestrator in every run; None: each run takes the version that a new start takes at its time.
    last_instance_id, last_due, last_failed: of the run that ended last; None if there was none.
    next_start: when the next run begins: its due time and its part of the jitter. None while the schedule is paused.
    missed: how many due times were dropped because they were further back than ``catch_up``; of one outage at most 100
        are counted.
    is_declared: whether the app's code declares the schedule (``@schedule``).
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
    jitter: timedelta | None = None
    catch_up: timedelta | None = None
    next_start: datetime | None = None
    missed: int = 0
    is_declared: bool = False


class ScheduleClient:
    """The schedules of a ``DurableClient``, which is the one class that inherits from this one."""

    @property
    def _client(self) -> DurableClient:
        return cast("DurableClient", self)

    @overload
    async def create_schedule(
        self,
        schedule_id: str,
        orchestrator: str,
        *,
        client_input: object = None,
        **options: Unpack[ScheduleOptions],
    ) -> None: ...
    @overload
    async def create_schedule(
        self,
        schedule_id: str,
        orchestrator: Callable[[OrchestrationContext], Branch[Any]],
        *,
        client_input: object = None,
        **options: Unpack[ScheduleOptions],
    ) -> None: ...
    @overload
    async def create_schedule(
        self,
        schedule_id: str,
        orchestrator: Callable[[OrchestrationContext, X], Branch[Any]],
        *,
        client_input: X,
        **options: Unpack[ScheduleOptions],
    ) -> None: ...
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
        jitter: timedelta | None = None,
        catch_up: timedelta | None = None,
        if_exists: IfScheduleExists = "error",
        headers: Mapping[str, JSON] | None = None,
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
        jitter: each run begins later than it is due, by a part of this time that follows from the schedule's id and the
        due time; shorter than ``interval``. It keeps many schedules of one time apart.
        catch_up: how far back a missed due time may be that is still run, after an outage or behind a long run; at
        least 10 seconds, as in Temporal. Those further back are dropped and counted (``missed``). None: no limit.
        if_exists: what to do if there is a schedule of this id. ``error`` raises ScheduleAlreadyExistsError, ``ignore``
        leaves it as it is; ``update`` changes it to these options: a current run and those that wait go on, a pause
        stays, and a due time that it waits for stays unless the timing has changed or ``start_at`` is given.
        headers: of every run, as of ``start_new``. They are those with which the schedule was made: an update keeps
        them.

        Raises InvalidInputError (bad cron, interval, time zone or another option; an input that does not fit),
        UnknownOrchestratorError, InvalidInstanceIdError, ScheduleAlreadyExistsError, OperationRefusedError (the update
        of a schedule that the code declares: change it there).
        """
        if if_exists not in get_args(IfScheduleExists):
            known = ", ".join(get_args(IfScheduleExists))
            raise InvalidInputError(f"if_exists must be one of {known}, not {if_exists!r}")
        state = planned(
            self._client._registry,
            self._client._converter,
            self._client._clock.now(),
            schedule_id,
            orchestrator,
            client_input,
            cron=cron,
            interval=interval,
            time_zone=time_zone,
            overlap=overlap,
            start_at=start_at,
            version=version,
            jitter=jitter,
            catch_up=catch_up,
        )
        await self._begin_schedule(state, if_exists, is_due_then=start_at is not None, headers=headers)

    async def _begin_schedule(
        self,
        state: ScheduleState,
        if_exists: IfScheduleExists,
        *,
        is_due_then: bool = False,
        is_there: bool = False,
        headers: Mapping[str, JSON] | None = None,
    ) -> None:
        """Create a schedule, or do with the present one what ``if_exists`` says.

        is_due_then: the next due time of an updated schedule is that of ``state``, also if its timing is the same.
        is_there: whether it is worth looking before it is created.
        """
        instance_id = instance_of(state.schedule_id)
        while True:
            if not is_there:
                started = await self._client._starts.begin(
                    SCHEDULE_NAME,
                    instance_id,
                    state.stored(),
                    version=state.code_version,
                    headers=headers,
                    if_exists="restart_if_done",
                )
                if started.is_new or if_exists == "ignore":
                    return
            is_there = False
            try:
                status = await self._schedule_instance(state.schedule_id)
            except InstanceNotFoundError:
                present = await self._client.get_status(instance_id, show_input=False)
                if present and not present.is_terminal:  # no schedule, but an instance that somebody has named so
                    raise InstanceAlreadyExistsError(instance_id, str(present.runtime_status)) from None
                continue  # deleted since, or ended: the id is free
            if if_exists == "error":
                raise ScheduleAlreadyExistsError(state.schedule_id, instance_id, str(status.runtime_status))
            present = state_of(status)
            if present.declared and not state.declared:
                raise OperationRefusedError(
                    instance_id,
                    f"the schedule '{state.schedule_id}' is declared in the app's code (@schedule): change it there, "
                    "or remove it there and delete_schedule it",
                )
            if present.plan == state.plan and not is_due_then and not present.waits_for_its_code:
                return
            event = {"plan": state.plan, "due": state.due, "from": is_due_then}
            with suppress(InstanceNotFoundError, InstanceCompletedError, ExecutionGoneError):
                await self._client.raise_event(instance_id, UPDATE, event, execution_id=status.execution_id)
                return

    async def _schedule_instance(self, schedule_id: str, *, show_headers: bool = False) -> OrchestrationStatus:
        status = await self._client.get_status(instance_of(schedule_id), show_headers=show_headers)
        if status.name != SCHEDULE_NAME or status.is_terminal:
            raise InstanceNotFoundError(instance_of(schedule_id))
        return status

    async def get_schedule(self, schedule_id: str) -> ScheduleStatus:
        """The state of a schedule. InstanceNotFoundError if there is none of this id."""
        return _shown(await self._schedule_instance(schedule_id))

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
        await self._client.raise_event(instance_of(schedule_id), CONTROL, {"do": "pause", "reason": reason})

    async def resume_schedule(self, schedule_id: str) -> None:
        """Start runs again, from the next due time on."""
        await self.get_schedule(schedule_id)
        await self._client.raise_event(instance_of(schedule_id), CONTROL, {"do": "resume"})

    async def trigger_schedule(self, schedule_id: str) -> str:
        """Start a run now, even while paused, and return its instance id.

        The schedule starts the run a moment later: ``wait_for_completion`` waits for the start, ``get_status`` does
        not. ``overlap`` applies: with ``skip`` the run is dropped while another run has not ended (there will be no
        such instance).
        """
        await self.get_schedule(schedule_id)
        now = self._client._clock.now()
        run = f"{run_id(schedule_id, now)}-{now.microsecond:06}"
        await self._client.raise_event(instance_of(schedule_id), CONTROL, {"do": "trigger", "run": run})
        return TriggeredRun(run)

    async def synchronize_schedules(self) -> None:
        """Bring the schedules of the hub in line with those that this app's code declares (``@schedule``).

        A host does that when it starts; call this only where there is no host, such as in a test. Raises
        RegistrationError for a declaration that cannot work.
        """
        from .sync import synchronize

        await synchronize(self._client)

    async def backfill_schedule(
        self, schedule_id: str, start: datetime, end: datetime, *, max_concurrency: int = 1
    ) -> str:
        """Start the runs that were due from ``start`` to ``end`` (both included), and return the id of the backfill.

        The runs have the headers of the schedule.

        The backfill is an instance of its own: ``wait_for_completion`` waits for it, its custom status and its output
        count the runs (``started``, ``failed``, ``alreadyThere``), and to cancel or terminate it ends the current runs.
        A run whose id an instance has is passed over, so each is started once, however often its period is backfilled.
        The schedule goes on meanwhile, and may be paused. As in Temporal, jitter and ``overlap`` do not apply.

        start, end: datetimes with a time zone. Due times that have not passed are the schedule's own. A period with
        more than 10,000 due times is refused; ``preview_backfill`` counts them.
        max_concurrency: how many of the runs may go at once.
        Raises InstanceNotFoundError, InvalidInputError.
        """
        state, headers, found = await self._counted_backfill(schedule_id, start, end, max_concurrency)
        if not found.is_complete:
            raise InvalidInputError(
                f"schedule '{schedule_id}' has more than {MOST_RUNS:,} due times in this period, and one backfill "
                f"starts at most so many: the first {MOST_RUNS:,} are those until {found.last}; split the period "
                "there; nothing was started"
            )
        if found.first is not None:
            state.take(found.first)
        instance_id = f"{BACKFILL_PREFIX}{schedule_id}:{self._client._hub.ids.ulid(self._client._clock.now())}"
        return await self._client.start_new(BACKFILL_NAME, instance_id, asdict(state), headers=headers)

    async def preview_backfill(self, schedule_id: str, start: datetime, end: datetime) -> BackfillPreview:
        """How many due times of a schedule a backfill of this period would go through. Nothing is started.

        Runs that are there already are counted, too. Raises InstanceNotFoundError, InvalidInputError.
        """
        return (await self._counted_backfill(schedule_id, start, end, 1))[2]

    async def _counted_backfill(
        self, schedule_id: str, start: datetime, end: datetime, max_concurrency: int
    ) -> tuple[BackfillState, Mapping[str, JSON] | None, BackfillPreview]:
        """The backfill, its headers, and how many due times it has. InstanceNotFoundError, InvalidInputError."""
        for name, moment in (("start", start), ("end", end)):
            if moment is None or (problem := problem_of_moment(moment)) is not None:  # pyright: ignore[reportUnnecessaryComparison]
                problem = problem_of_moment(moment) or "is needed"
                raise InvalidInputError(f"{name}={moment!r} {problem}")
        if end < start:
            raise InvalidInputError(f"the period of a backfill ends ({end}) before it begins ({start})")
        if start < EARLIEST:
            raise InvalidInputError(f"the period of a backfill begins in {EARLIEST.year} or later, not at {start}")
        if type(max_concurrency) is not int or max_concurrency < 1:
            raise InvalidInputError(f"max_concurrency must be a whole number, at least 1, not {max_concurrency!r}")
        schedule = await self._schedule_instance(schedule_id, show_headers=True)
        state = state_of(schedule)
        until = min(in_utc(end), self._client._clock.now())
        if not state.paused:  # else it drops the due times that have passed when it is resumed
            until = min(until, state.next_due - timedelta(microseconds=1))
        backfill = BackfillState(
            schedule_id=schedule_id,
            orchestrator=state.orchestrator,
            version=state.version,
            input=state.input,
            cron=state.cron,
            every=state.every,
            time_zone=state.time_zone,
            due=[],
            until=until.isoformat(),
            at_once=max_concurrency,
        )
        found = await preview_of(backfill, first_due(state.timing, state.next_due, in_utc(start)))
        return backfill, schedule.headers, found

    async def delete_schedule(self, schedule_id: str) -> None:
        """Delete a schedule. A current run continues. Raises InstanceNotFoundError."""
        instance_id = instance_of(schedule_id)
        await self.get_schedule(schedule_id)
        await self._client.terminate(instance_id, "deleted", recursive=False)
        await self._client.wait_for_completion(instance_id, DELETE_PATIENCE)
        await self._client.purge_instance_history(instance_id)


def state_of(status: OrchestrationStatus) -> ScheduleState:
    """What the status of a schedule's instance says of the schedule. What older hosts do not know is in its input."""
    data: dict[str, Any] = {**_dict(status.input_), **_dict(status.custom_status)}
    data.pop("running", None)
    return ScheduleState(**data)


def _dict(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value or {})


def _shown(status: OrchestrationStatus) -> ScheduleStatus:
    running: str | None = _dict(status.custom_status).get("running")
    state = state_of(status)
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
        jitter=None if state.jitter is None else timedelta(seconds=state.jitter),
        catch_up=None if state.catch_up is None else timedelta(seconds=state.catch_up),
        next_start=None if state.paused else state.next_start,
        missed=state.missed,
        is_declared=state.declared,
    )
