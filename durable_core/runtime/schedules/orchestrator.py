"""The orchestrator behind every schedule: one generation per run, for ever.

All that a schedule is and has yet to do is in its input, so every generation begins with a short history. The next due
time is computed at the end of a generation and recorded as the next one's input: a cron library or time zone database
of another version changes what comes, never what was. While a run goes, the schedule waits for nothing but its end;
what fell due in between is looked at then.

Each run is a sub-orchestration whose id holds the due time: however often a crash repeats the call, it starts once.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from ...engine.context import Orchestration, OrchestrationContext
from ...engine.tasks import Task
from ...models import JSON
from ...registry import OrchestratorDefinition
from .cron import Cron, Interval

SCHEDULE_NAME = "durable.schedule"
SCHEDULE_PREFIX = f"{SCHEDULE_NAME}:"
CONTROL = "durable.schedule.control"
MAX_WAITING = 100
"""Runs that may wait for the one before them; what falls due beyond is dropped."""

Overlap = Literal["skip", "queue"]


@dataclass(slots=True, kw_only=True)
class ScheduleState:
    """Input of a generation. Times are ISO 8601 texts in UTC, ``every`` is in seconds.

    version: of the orchestrator; None: that which a new start takes, when the run begins.
    waiting: runs to come before the next due one, each [instance id, due time, whether it was asked for by hand].
    last: the run that ended last, [instance id, due time, whether it failed].
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

    def stored(self) -> dict[str, Any]:
        """What ``ScheduleState(**data)`` is made of. Without a version as ever: older hosts know no such field."""
        data = asdict(self)
        if self.version is None:
            del data["version"]
        return data

    @property
    def timing(self) -> Cron | Interval:
        return Interval(timedelta(seconds=self.every)) if self.every else Cron(self.cron or "", self.time_zone)

    @property
    def next_due(self) -> datetime:
        return datetime.fromisoformat(self.due)

    @property
    def may_run(self) -> bool:
        """Whether a run waits that may begin: while paused, only one asked for by hand."""
        return bool(self.waiting) and (not self.paused or self.waiting[0][2])

    def shown(self, running: str | None) -> JSON:
        """What the status of the schedule is made of."""
        state = self.stored()
        del state["input"]
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
                if self.next_due <= now:
                    self.due = self.timing.next_in_step(self.next_due, now).isoformat()
            case {"do": "trigger", "run": str(run)} if (
                self.run_fits(run) and len(self.waiting) < MAX_WAITING and not (running and self.overlap == "skip")
            ):
                self.waiting.insert(0 if self.paused else len(self.waiting), (run, now.isoformat(), True))
            case _:
                return  # resumed twice, or skipped, or none of ours

    def run_fits(self, run: str) -> bool:
        """Whether this is the id of a run of this schedule."""
        return re.fullmatch(re.escape(self.schedule_id) + r":\d{8}T\d{6}Z-\d{6}", run) is not None

    def catch_up(self, now: datetime, *, ran: bool) -> None:
        """Skip or queue the due times that have passed. ``ran``: a run was active meanwhile."""
        if self.paused:
            return
        take = MAX_WAITING - len(self.waiting)
        if self.overlap == "skip":
            take = 0 if ran else min(take, 1)
        timing = self.timing
        while take > 0 and self.next_due <= now:
            self.waiting.append((run_id(self.schedule_id, self.next_due), self.due, False))
            self.due = timing.next_after(self.next_due).isoformat()
            take -= 1
        if self.next_due <= now:
            self.due = timing.next_in_step(self.next_due, now).isoformat()


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
    state.catch_up(ctx.current_utc_datetime, ran=ran)
    ctx.continue_as_new(state.stored())


def _wait(ctx: OrchestrationContext, state: ScheduleState) -> Generator[Task[Any], Any, None]:
    """Wait until the next run is due, or a request has arrived."""
    control = ctx.wait_for_external_event(CONTROL)
    if state.paused:
        state.obey((yield control), ctx.current_utc_datetime, running=False)
        return
    timer = ctx.create_timer(state.next_due)
    yield ctx.task_any([control, timer])
    if control.is_completed:
        timer.cancel()
        state.obey(control.result, ctx.current_utc_datetime, running=False)
    state.catch_up(ctx.current_utc_datetime, ran=False)


def _run(ctx: OrchestrationContext, state: ScheduleState) -> Generator[Task[Any], Any, None]:
    """Start the next run and wait for its end."""
    instance_id, due, _ = state.waiting.pop(0)
    run = ctx.call_sub_orchestrator(state.orchestrator, state.input, instance_id, state.version)
    while not run.is_completed:
        ctx.set_custom_status(state.shown(instance_id))
        control = ctx.wait_for_external_event(CONTROL)
        yield ctx.task_any([run, control])
        if control.is_completed:
            state.obey(control.result, ctx.current_utc_datetime, running=True)
    state.last = (instance_id, due, run.is_faulted)


SCHEDULE = OrchestratorDefinition(
    name=SCHEDULE_NAME, version="", fn=_schedule, input_type=dict[str, Any], location="durable_core"
)
