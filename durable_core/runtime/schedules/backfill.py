"""The built-in orchestrator ``durable.schedule.backfill``: the runs of a schedule that were due in a past period.

It is an instance of its own, so the schedule goes on meanwhile. Each run has the id that the schedule gives to it, and
an id is started once: a run that the schedule, or another backfill, has started is passed over. It continues as new
after each hundred runs, so its history stays short; the due times of a generation are in its input, as with schedules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from ...definitions import OrchestratorDefinition
from ...engine.context import Orchestration, OrchestrationContext
from ...engine.tasks import Task
from ...lazy_dataclass import dataclass
from ...models import JSON
from .cron import Cron, Interval
from .orchestrator import is_there_already, run_id

BACKFILL_NAME = "durable.schedule.backfill"
BACKFILL_PREFIX = f"{BACKFILL_NAME}:"
RUNS_OF_A_GENERATION = 100
MOST_RUNS = 10_000
"""Due times of one backfill."""
COUNTED_AT_ONCE = 200  # due times
EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)


@dataclass(slots=True, kw_only=True)
class BackfillState:
    """Input of a generation. Times are ISO 8601 texts in UTC, ``every`` is in seconds.

    due: the due times of this generation. until: the last moment of the period. at_once: how many runs may go at once.
    started, failed, present: of the generations before; ``failed`` of those that were started.
    """

    schedule_id: str
    orchestrator: str
    version: str | None
    input: JSON
    cron: str | None
    every: float | None
    time_zone: str
    due: list[str]
    until: str
    at_once: int = 1
    started: int = 0
    failed: int = 0
    present: int = 0

    @property
    def timing(self) -> Cron | Interval:
        return Interval(timedelta(seconds=self.every)) if self.every else Cron(self.cron or "", self.time_zone)

    @property
    def shown(self) -> dict[str, Any]:
        return {"started": self.started, "failed": self.failed, "alreadyThere": self.present}

    def take(self, first: datetime) -> None:
        """Take the due times of the next generation, from this one on."""
        last, due, timing = datetime.fromisoformat(self.until), first, self.timing
        self.due = []
        while due <= last and len(self.due) < RUNS_OF_A_GENERATION:
            self.due.append(due.isoformat())
            due = timing.next_after(due)


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillPreview:
    """The due times of a period, of which a backfill would start the runs that are not there already.

    runs: how many these are; of more than 10,000 only 10,000 are counted, and is_complete is False: a backfill starts
        no more. first, last: of those that are counted, in UTC; None if there are none.
    """

    runs: int
    is_complete: bool
    first: datetime | None
    last: datetime | None


async def preview_of(state: BackfillState, first: datetime) -> BackfillPreview:
    """Count the due times from ``first`` on: one by one, as a cron expression knows only the next."""
    until, timing, runs, due = datetime.fromisoformat(state.until), state.timing, 0, first
    last: datetime | None = None
    while due <= until and runs < MOST_RUNS:
        runs, last, due = runs + 1, due, timing.next_after(due)
        if runs % COUNTED_AT_ONCE == 0:
            await asyncio.sleep(0)  # others of this process go on meanwhile
    found = None if last is None else first
    return BackfillPreview(runs=runs, is_complete=due > until, first=found, last=last)


def first_due(timing: Cron | Interval, known: datetime, start: datetime) -> datetime:
    """The first due time at ``start`` or later; ``known``: a due time of the schedule."""
    start = start.astimezone(UTC)
    if isinstance(timing, Interval):
        return known - timing.every * ((known - start) // timing.every)
    return timing.next_after(start - timedelta(microseconds=1))


def _backfill(ctx: OrchestrationContext, data: dict[str, Any]) -> Orchestration[dict[str, Any]]:
    state = BackfillState(**data)
    ctx.set_custom_status(state.shown)

    if not state.due:
        return state.shown
    under_way: list[Task[Any]] = []
    for due in state.due:
        if len(under_way) >= state.at_once:
            yield from _wait_for_one(ctx, state, under_way)
        instance_id = run_id(state.schedule_id, datetime.fromisoformat(due))
        under_way.append(ctx.call_sub_orchestrator(state.orchestrator, state.input, instance_id, state.version))
    while under_way:
        yield from _wait_for_one(ctx, state, under_way)
    state.take(state.timing.next_after(datetime.fromisoformat(state.due[-1])))
    ctx.continue_as_new(asdict(state))
    return state.shown


def _wait_for_one(
    ctx: OrchestrationContext, state: BackfillState, under_way: list[Task[Any]]
) -> Generator[Task[Any], Any, None]:
    """Wait until one of these runs ends, and count it."""
    ended = yield from ctx.task_any(under_way)
    under_way.remove(ended)
    if is_there_already(ended):
        state.present += 1
    else:
        state.started += 1
        state.failed += ended.is_faulted
    ctx.set_custom_status(state.shown)


BACKFILL = OrchestratorDefinition(
    name=BACKFILL_NAME, version="", fn=_backfill, input_type=dict[str, Any], location="durable_core"
)
