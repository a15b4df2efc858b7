"""What looks like a clock and is none."""

from __future__ import annotations

import calendar
import time as clock
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as time_of_day
from zoneinfo import ZoneInfo

from durable_core import Orchestration, OrchestrationContext, orchestrator

OPENED = datetime.now(UTC)  # at import; nothing of an orchestrator's reads it
OPENING = time_of_day(8, 30)


@dataclass
class Clock:
    offset: timedelta = timedelta(0)

    def now(self, start: datetime) -> datetime:
        return start + self.offset

    def time(self) -> int:
        return 5


@dataclass
class Appointment:
    at: datetime
    made: datetime = field(default_factory=lambda: datetime(2020, 1, 1, tzinfo=UTC))


@dataclass
class Stamped:
    text: str
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@orchestrator
def defaults_that_are_given(ctx: OrchestrationContext, text: str) -> Orchestration[None]:
    first = Stamped(text=text, at=ctx.current_utc_datetime)
    second = Stamped(text, ctx.current_utc_datetime)
    values = {"text": text, "at": ctx.current_utc_datetime}
    third = Stamped(**values)
    yield from ctx.call_activity("store", [first, second, third])


@orchestrator
def fixed_dates(ctx: OrchestrationContext, day: str) -> Orchestration[str]:
    start = datetime(2020, 1, 1, tzinfo=UTC)
    parsed = datetime.fromisoformat(day)
    other = datetime.strptime(day, "%Y-%m-%d")
    from_number = datetime.fromtimestamp(1_700_000_000, UTC)
    noon = datetime.combine(parsed.date(), time_of_day(12), tzinfo=UTC)
    berlin = noon.astimezone(ZoneInfo("Europe/Berlin"))
    earliest = min(start, from_number, datetime.max.replace(tzinfo=UTC))
    days = calendar.monthrange(other.year, other.month)[1]
    stamp = ctx.current_utc_datetime.timestamp()
    text = clock.strftime("%Y", clock.gmtime(stamp))
    yield from ctx.create_timer(ctx.current_utc_datetime + timedelta(days=days))
    return f"{berlin:%H:%M} {earliest} {text} {date(2020, 1, 1).today}"


@orchestrator
def own_clock(ctx: OrchestrationContext, minutes: int) -> Orchestration[datetime]:
    clock = Clock(timedelta(minutes=minutes))
    time = clock.time()
    now = clock.now(ctx.current_utc_datetime)
    datetime = now  # the name means a value from here on, as it does for all of this function
    yield from ctx.create_timer(timedelta(minutes=time))
    return datetime.replace(tzinfo=UTC)


@orchestrator
def parameter_called_time(ctx: OrchestrationContext, time: Clock) -> Orchestration[int]:
    def monotonic() -> int:
        return time.time()

    yield from ctx.call_activity("note", Appointment(at=ctx.current_utc_datetime))
    return monotonic()


@orchestrator
def measured_by_history(ctx: OrchestrationContext) -> Orchestration[float]:
    began = ctx.current_utc_datetime
    now = ctx.current_utc_datetime
    while now - began < timedelta(hours=1):
        yield from ctx.create_timer(timedelta(minutes=5))
        now = ctx.current_utc_datetime
    return (now - began).total_seconds()
