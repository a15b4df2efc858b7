"""The orchestrator behind every schedule: one generation per run, for ever.

All that a schedule is and has yet to do is in its input, so every generation begins with a short history. The next due
time is computed at the end of a generation and recorded as the next one's input: a cron library or time zone database
of another version changes what comes, never what was. While a run goes, the schedule waits for nothing but its end;
what fell due in between is looked at then.

Each run is a sub-orchestration whose id holds the due time: however often a crash repeats the call, it starts once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Generator
from dataclasses import asdict, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast, get_args

from ...definitions import SCHEDULE_NAME, OrchestratorDefinition
from ...engine.context import Orchestration, OrchestrationContext
from ...engine.tasks import Task
from ...errors import InstanceAlreadyExistsError, InvalidInputError, TaskFailedError
from ...lazy_dataclass import dataclass
from ...models import JSON, type_name
from ...moments import LAST_SECONDS, after
from .cron import SHORTEST, Cron, Interval, parse_cron

SCHEDULE_PREFIX = f"{SCHEDULE_NAME}:"
CONTROL = "durable.schedule.control"
UPDATE = "durable.schedule.update"
"""Not ``CONTROL``: an older host would take an update for data that means nothing, and drop it. It never waits for this
name, so the event is kept for a host that knows it."""
WITH_MORE = "2"
"""Version of ``durable.schedule`` while the state has a field of ``_MORE``, which an older host could not read: it
leaves the instance to newer hosts."""
NOT_DECLARED = "no longer declared with @schedule in the app's code"
"""The reason of a pause that ends when the code declares the schedule again."""
MAX_WAITING = 100
"""Runs that may wait for the one before them; what falls due beyond is dropped."""

Overlap = Literal["skip", "queue"]

_MORE: dict[str, Any] = {"jitter": None, "catch_up": None, "declared": False, "missed": 0}
"""Fields that the first version did not have, which are stored when they are not these values."""

_PLAN = ("orchestrator", "overlap", "cron", "every", "time_zone", "input", "version", "jitter", "catch_up", "declared")
"""What a schedule is to do. The other fields are what it has done, and what people have asked of it."""

_TIMES_OF_A_LATE_RUN = 100
"""Due times that are looked at one by one to find the next one that is not late."""


@dataclass(slots=True, kw_only=True)
class ScheduleState:
    """Input of a generation. Times are ISO 8601 texts in UTC, ``every`` is in seconds.

    version: of the orchestrator; None: that which a new start takes, when the run begins.
    waiting: runs to come before the next due one, each [instance id, due time, whether it was asked for by hand].
    last: the run that ended last, [instance id, due time, whether it failed].
    jitter, catch_up: in seconds. declared: whether the app's code declares the schedule.
    missed: how many due times were dropped because they were further back than ``catch_up``.
    """

    schedule_id: str
    orchestrator: str
    overlap: Overlap
    due: str
    cron: str | None = None
    every: float | None = None
    time_zone: str = "UTC"
    input: JSON = None
    paused: bool = False
    reason: str = ""
    waiting: list[tuple[str, str, bool]] = field(default_factory=list[tuple[str, str, bool]])
    last: tuple[str, str, bool] | None = None
    version: str | None = None
    jitter: float | None = None
    catch_up: float | None = None
    declared: bool = False
    missed: int = 0

    def stored(self) -> dict[str, Any]:
        """What ``ScheduleState(**data)`` is made of. Without the fields that are not used: older hosts do not know
        them."""
        data = asdict(self)
        if self.version is None:
            del data["version"]
        for name, unused in _MORE.items():
            if data[name] == unused:
                del data[name]
        return data

    @property
    def code_version(self) -> str:
        """The version of ``durable.schedule`` that can read this state."""
        return WITH_MORE if any(getattr(self, name) != unused for name, unused in _MORE.items()) else ""

    @property
    def plan(self) -> dict[str, Any]:
        """What the schedule is to do: equal for two schedules that differ only in what they have done."""
        return {name: getattr(self, name) for name in _PLAN}

    @property
    def timing(self) -> Cron | Interval:
        return Interval(timedelta(seconds=self.every)) if self.every else Cron(self.cron or "", self.time_zone)

    @property
    def next_due(self) -> datetime:
        return datetime.fromisoformat(self.due)

    @property
    def next_start(self) -> datetime:
        """When the run of the next due time begins."""
        return after(self.next_due, self._jitter_of(self.due))

    def _jitter_of(self, due: str) -> timedelta:
        """By how much the run of this due time is delayed: the same however often it is asked for, on every host."""
        if self.jitter is None:
            return timedelta(0)
        digest = hashlib.sha256(f"{self.schedule_id}\0{due}".encode()).digest()
        return timedelta(seconds=self.jitter * int.from_bytes(digest[:6], "big") / 2**48)

    @property
    def may_run(self) -> bool:
        """Whether a run waits that may begin: while paused, only one asked for by hand."""
        return bool(self.waiting) and (not self.paused or self.waiting[0][2])

    @property
    def waits_for_its_code(self) -> bool:
        """Whether it is paused because no code declared it."""
        return self.paused and self.reason == NOT_DECLARED

    def shown(self, running: str | None) -> JSON:
        """What the status of the schedule is made of."""
        state = self.stored()
        for name in ("input", *_MORE):  # an older client could not read a status with more fields; the input has them
            state.pop(name, None)
        return {**state, "running": running}

    def obey(self, request: JSON, now: datetime, *, running: bool) -> None:
        """Handle an event of ``pause_schedule``, ``resume_schedule`` or ``trigger_schedule``.

        Any other data, which every sender of events can send, is ignored.
        """
        match request:
            case {"do": "pause", "reason": str(reason)}:
                self.paused, self.reason = True, reason
            case {"do": "resume"} if self.paused:
                self.paused, self.reason = False, ""
                self._pass_over(now)
            case {"do": "trigger", "run": str(run)} if (
                self.run_fits(run) and len(self.waiting) < MAX_WAITING and not (running and self.overlap == "skip")
            ):
                self.waiting.insert(0 if self.paused else len(self.waiting), (run, now.isoformat(), True))
            case _:
                return  # resumed twice, or skipped, or none of ours

    def update(self, request: JSON, now: datetime) -> None:
        """Handle an event of ``create_schedule(if_exists="update")``. Any other data is ignored.

        A due time that the schedule waits for is kept unless the timing has changed, or a first due time was asked for.
        """
        match request:
            case {"plan": dict(), "due": str(due), "from": bool(is_asked_for)}:
                plan = cast("dict[str, Any]", request["plan"])
            case _:
                return
        if set(plan) != set(_PLAN) or not _is_sound(plan, due):
            return
        new = replace(self, **plan)
        moved = new.timing != self.timing
        for name in _PLAN:
            setattr(self, name, plan[name])
        if moved or is_asked_for:
            self.due = due
        if self.declared and self.waits_for_its_code:
            self.paused, self.reason = False, ""
            self._pass_over(now)

    def run_fits(self, run: str) -> bool:
        """Whether this is the id of a run of this schedule."""
        return re.fullmatch(re.escape(self.schedule_id) + r":\d{8}T\d{6}Z-\d{6}", run) is not None

    def catch_up_with(self, now: datetime, *, ran: bool) -> None:
        """Skip or queue the due times that have passed. ``ran``: a run was active meanwhile."""
        if self.paused:
            return
        take = MAX_WAITING - len(self.waiting)
        if self.overlap == "skip":
            take = 0 if ran else min(take, 1)
        if take > 0:
            self._drop_missed(now)
        timing = self.timing
        while take > 0 and self.next_start <= now:
            self.waiting.append((run_id(self.schedule_id, self.next_due), self.due, False))
            self.due = timing.next_after(self.next_due).isoformat()
            take -= 1
        self._pass_over(now)

    def _pass_over(self, now: datetime) -> None:
        """Go on to the first due time whose run has not been due to begin."""
        for _ in range(_TIMES_OF_A_LATE_RUN):  # with jitter, the runs of several due times may be yet to begin
            if self.next_start > now:
                return
            self.due = self.timing.next_in_step(self.next_due, self._earliest(now)).isoformat()
        if self.next_start <= now:
            self.due = self.timing.next_in_step(self.next_due, now).isoformat()

    def _earliest(self, now: datetime) -> datetime:
        """No run of a due time up to this one is yet to begin."""
        return now if self.jitter is None else max(self.next_due, now - timedelta(seconds=self.jitter))

    def _drop_missed(self, now: datetime) -> None:
        """Drop the due times that are further back than ``catch_up``, and count them, up to a bound."""
        if self.catch_up is None:
            return
        limit = now - timedelta(seconds=self.catch_up)
        for _ in range(_TIMES_OF_A_LATE_RUN):
            if self.next_start >= limit:
                return
            self.missed += 1
            self.due = self.timing.next_after(self.next_due).isoformat()
        if self.next_start < limit:
            self.due = self.timing.next_in_step(self.next_due, limit).isoformat()


def _is_sound(plan: dict[str, Any], due: str) -> bool:
    """Whether a schedule can do what this event asks for: everybody who may send events can send one."""
    every, cron, zone = plan["every"], plan["cron"], plan["time_zone"]
    try:
        is_timed = datetime.fromisoformat(due).utcoffset() is not None
        parse_cron(cron if every is None else "* * * * *", zone)
    except (ValueError, TypeError, AttributeError, InvalidInputError):
        return False
    return (
        is_timed
        and isinstance(plan["orchestrator"], str)
        and plan["overlap"] in get_args(Overlap)
        and isinstance(plan["version"], str | None)
        and isinstance(plan["declared"], bool)
        and (every is None or (_is_span(every) and every >= SHORTEST.total_seconds() and cron is None))
        and all(plan[name] is None or _is_span(plan[name]) for name in ("jitter", "catch_up"))
    )


def _is_span(seconds: object) -> bool:
    return isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < LAST_SECONDS


def run_id(schedule_id: str, due: datetime) -> str:
    return f"{schedule_id}:{due:%Y%m%dT%H%M%SZ}"


def _schedule(ctx: OrchestrationContext, data: dict[str, Any]) -> Orchestration[None]:
    state = ScheduleState(**data)
    ctx.set_custom_status(state.shown(None))
    if not state.may_run:
        yield from _wait(ctx, state)
    ran = state.may_run
    if ran:
        yield from _run(ctx, state)
    state.catch_up_with(ctx.current_utc_datetime, ran=ran)
    version = None if state.code_version == ctx.version else state.code_version
    ctx.continue_as_new(state.stored(), version=version)


def _wait(ctx: OrchestrationContext, state: ScheduleState) -> Generator[Task[Any], Any, None]:
    """Wait until the next run is due, or a request has arrived."""
    control, update = ctx.wait_for_external_event(CONTROL), ctx.wait_for_external_event(UPDATE)
    if state.paused:
        yield ctx.task_any([control, update])
        _obey(ctx, state, control, update, running=False)
        return
    timer = ctx.create_timer(state.next_start)
    yield ctx.task_any([control, update, timer])
    if control.is_completed or update.is_completed:
        timer.cancel()
        _obey(ctx, state, control, update, running=False)
    state.catch_up_with(ctx.current_utc_datetime, ran=False)


def _obey(
    ctx: OrchestrationContext, state: ScheduleState, control: Task[Any], update: Task[Any], *, running: bool
) -> None:
    now = ctx.current_utc_datetime
    if control.is_completed:
        state.obey(control.result, now, running=running)
    if update.is_completed:
        state.update(update.result, now)


def _run(ctx: OrchestrationContext, state: ScheduleState) -> Generator[Task[Any], Any, None]:
    """Start the next run and wait for its end."""
    instance_id, due, _ = state.waiting.pop(0)
    run = ctx.call_sub_orchestrator(state.orchestrator, state.input, instance_id, state.version)
    while not run.is_completed:
        ctx.set_custom_status(state.shown(instance_id))
        control, update = ctx.wait_for_external_event(CONTROL), ctx.wait_for_external_event(UPDATE)
        yield ctx.task_any([run, control, update])
        _obey(ctx, state, control, update, running=True)
    state.last = (instance_id, due, run.is_faulted and not is_there_already(run))


def is_there_already(run: Task[Any]) -> bool:
    """Whether a run was not started because an instance has its id: a backfill has started it."""
    try:
        run.get_result()
    except TaskFailedError as error:
        return error.failure.type == type_name(InstanceAlreadyExistsError)
    return False


def _definition(version: str) -> OrchestratorDefinition:
    return OrchestratorDefinition(
        name=SCHEDULE_NAME, version=version, fn=_schedule, input_type=dict[str, Any], location="durable_core"
    )


SCHEDULES = (_definition(""), _definition(WITH_MORE))
