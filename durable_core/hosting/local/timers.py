"""Timer triggers: six-field NCRONTAB and TimeSpan schedules, and the loop that runs a timer function.

Times are UTC, as in Azure without WEBSITE_TIME_ZONE. Knows an ``invoke`` callable and nothing of functions.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from cronsim import CronSim, CronSimError

from ...errors import ConfigurationError
from ...host_json import parse_time_span
from ...lazy_dataclass import dataclass
from .invoker import InvocationFailedError

STARTUP_DELAY = 2.0
"""Seconds after the start at which the local host runs every timer once."""

_FIELD = re.compile(r"[0-9*,/-]|JAN|FEB|MAR|APR|MAY|JUN|JUL|AUG|SEP|OCT|NOV|DEC|SUN|MON|TUE|WED|THU|FRI|SAT", re.I)


class Schedule(Protocol):
    """When a timer is due."""

    def next_after(self, moment: datetime) -> datetime:
        """The first due time later than this moment, both in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class TimeSpanSchedule:
    """A TimeSpan: due again that long after the last time."""

    every: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return moment + self.every


@dataclass(frozen=True, slots=True)
class NcrontabSchedule:
    """An NCRONTAB expression: five fields, or six with the seconds first."""

    expression: str

    def next_after(self, moment: datetime) -> datetime:
        fields = self.expression.split()
        if fields[-3] == "*" or fields[-1] == "*":
            return _next(self.expression, moment)
        # NCRONTAB wants the day of the month AND the weekday; cron takes either. So: the first moment of both.
        by_day, by_weekday = " ".join([*fields[:-1], "*"]), " ".join([*fields[:-3], "*", *fields[-2:]])
        one, other = _next(by_day, moment), _next(by_weekday, moment)
        while one != other:
            if one < other:
                one = _next(by_day, other - timedelta(seconds=1))
            else:
                other = _next(by_weekday, one - timedelta(seconds=1))
        return one


def _next(expression: str, moment: datetime) -> datetime:
    return next(CronSim(expression, moment))


def parse_schedule(text: str) -> Schedule:
    """ConfigurationError if the text is neither an NCRONTAB expression nor a TimeSpan."""
    seconds = parse_time_span(text)
    if seconds:
        return TimeSpanSchedule(timedelta(seconds=seconds))
    fields = text.split()
    if len(fields) not in (5, 6) or _FIELD.sub("", "".join(fields)):
        raise ConfigurationError(f"schedule '{text}' is neither a six-field NCRONTAB expression nor a TimeSpan")
    schedule = NcrontabSchedule(text)
    try:
        schedule.next_after(datetime(2024, 1, 1, tzinfo=UTC))
    except (CronSimError, StopIteration) as error:
        raise ConfigurationError(f"schedule '{text}' is not a valid NCRONTAB expression, or is never due") from error
    return schedule


@dataclass(frozen=True, slots=True)
class TimerFiring:
    """The values of a TimerRequest. ``past_due``: the run is late."""

    past_due: bool
    last: datetime | None
    due: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class TimerListener:
    """Runs one timer, never two of its runs at once."""

    def __init__(
        self,
        schedule: Schedule,
        invoke: Callable[[TimerFiring], Awaitable[object]],
        *,
        startup_delay: float = STARTUP_DELAY,
        now: Callable[[], datetime] = _utc_now,
        longest_sleep: float = 60.0,
    ) -> None:
        """``startup_delay`` is in seconds: the first run, whatever the schedule says.

        ``longest_sleep``, in seconds, bounds the time between two looks at the clock.
        """
        self._schedule, self._invoke = schedule, invoke
        self._startup_delay, self._now = startup_delay, now
        self._longest_sleep = longest_sleep
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Start no more runs; ``run`` returns when the one in progress has ended."""
        self._stopping.set()

    async def run(self) -> None:
        """Wait and invoke until ``stop``."""
        started = self._now()
        first = due = started + timedelta(seconds=self._startup_delay)
        last: datetime | None = None
        while await self._reached(due):
            # Due times that passed while the last run went on, or the machine slept, make one late run, as in Azure.
            past_due = due is not first and self._now() - due > timedelta(seconds=1)
            with contextlib.suppress(InvocationFailedError):  # it is logged, and the timer goes on
                await self._invoke(TimerFiring(past_due=past_due, last=last, due=due))
            last = due
            due = self._schedule.next_after(self._now() if past_due or due is first else due)

    async def _reached(self, due: datetime) -> bool:
        """Wait for the due time; False if stopped. In slices, because a laptop's sleep stops the loop's clock."""
        while not self._stopping.is_set() and (left := (due - self._now()).total_seconds()) > 0:
            try:
                async with asyncio.timeout(min(left, self._longest_sleep)):
                    await self._stopping.wait()
            except TimeoutError:
                pass
        return not self._stopping.is_set()
