"""When a schedule is due: cron expressions in a time zone, and fixed intervals. Pure: the time is always given.

Fields are those of cron: minute, hour, day of the month, month, weekday; a sixth one in front holds seconds. If both
days are given, either of them will do, as in cron.

Daylight saving: an expression that names minutes and hours is about the wall clock. What falls into the skipped hour is
due when that hour would have begun, at the first moment after it; what falls into the doubled hour is due once, the
first time. One with ``*`` for its minute or hour is about time that passes: it goes through the doubled hour twice.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from ...errors import InvalidInputError
from ...lazy_dataclass import dataclass
from ...moments import after

SHORTEST = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Cron:
    """``expression`` in the time zone of this IANA name."""

    expression: str
    time_zone: str

    def next_after(self, moment: datetime) -> datetime:
        """The first due time later than this moment (aware), in UTC. StopIteration if there is none for 50 years."""
        zone = ZoneInfo(self.time_zone)
        fields = self.expression.split()
        minute, hour = fields[-5], fields[-4]
        if "*" in (minute[:1], hour[:1]):
            return next(CronSim(self._six(fields), moment.astimezone(zone))).astimezone(UTC)
        for wall in CronSim(self.expression, moment.astimezone(zone).replace(tzinfo=None)):
            due = _as_utc(wall, zone)
            if due > moment:  # not so in the second pass of a doubled hour
                return due
        raise StopIteration  # pragma: no cover  (CronSim raises it)

    def next_in_step(self, due: datetime, now: datetime) -> datetime:
        """The first due time later than ``now``, of the series that ``due`` belongs to."""
        return self.next_after(now)

    @staticmethod
    def _six(fields: list[str]) -> str:
        """With seconds: CronSim then leaves daylight saving to us."""
        return " ".join(fields if len(fields) == 6 else ["0", *fields])


@dataclass(frozen=True, slots=True)
class Interval:
    """Due again that long after the last due time, however long the run took."""

    every: timedelta

    def next_after(self, moment: datetime) -> datetime:
        return after(moment, self.every)

    def next_in_step(self, due: datetime, now: datetime) -> datetime:
        return due + self.every * ((now - due) // self.every + 1)


def parse_cron(expression: str, time_zone: str) -> Cron:
    """InvalidInputError for an expression that cannot be read or is never due, and for an unknown time zone."""
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidInputError(
            f"there is no time zone '{time_zone}'; use an IANA name such as 'Europe/Berlin', or 'UTC'"
        ) from error
    try:
        cron = Cron(expression, time_zone)
        CronSim(expression, datetime(2024, 1, 1, tzinfo=UTC))
        cron.next_after(datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise InvalidInputError(
            f"'{expression}' is not a valid cron expression ({error}); use five fields (minute, hour, day, month, "
            "weekday), "
            "or six with seconds in front"
        ) from error
    except StopIteration:
        raise InvalidInputError(f"the cron expression '{expression}' is never due") from None
    return cron


def _as_utc(wall: datetime, zone: ZoneInfo) -> datetime:
    due = wall.replace(tzinfo=zone)
    if _exists(due):
        return due.astimezone(UTC)
    after = wall.replace(second=0)
    while not _exists(after.replace(tzinfo=zone)):
        after += timedelta(minutes=1)
    return after.replace(tzinfo=zone).astimezone(UTC)


def _exists(moment: datetime) -> bool:
    return moment == moment.astimezone(UTC).astimezone(moment.tzinfo)
