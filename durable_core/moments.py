"""Points in time: checks of times that users give, and times as they are stored, up to the year 9999.

A stored time is a float: seconds since 1970, exact to the microsecond. More than 272 years from 1970 a float cannot
tell microseconds apart, so such a time is rounded to whole seconds as soon as it is made: the time that is read is
equal to the time that was written.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

LAST = datetime(9999, 12, 31, tzinfo=UTC)
"""The last moment that can be stored. A time limit that would end later than this never ends."""

LAST_SECONDS = LAST.timestamp()

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT_FROM, _EXACT_UNTIL = _EPOCH - timedelta(seconds=2**33), _EPOCH + timedelta(seconds=2**33)
_FIRST = datetime.min.replace(tzinfo=UTC)
_FAR = 2**31  # seconds since 1970 that the functions of every platform accept


def after(moment: datetime, delay: timedelta | float) -> datetime:
    """The moment in UTC that is ``delay`` (a timedelta, or seconds) later; at most ``LAST``."""
    try:
        later = moment + (delay if isinstance(delay, timedelta) else timedelta(seconds=delay))
    except OverflowError:
        return LAST
    return later if later < _EXACT_UNTIL else _kept(later)


def in_utc(moment: datetime) -> datetime:
    """An aware time in UTC, as it is stored: from the year 1 to ``LAST``."""
    try:
        there = moment.astimezone(UTC)
    except OverflowError:  # the first and the last hours of datetime's range, in another time zone
        return _FIRST if moment.year == 1 else LAST
    return there if _EXACT_FROM < there < _EXACT_UNTIL else _kept(there)


def from_epoch(seconds: float) -> datetime:
    """The UTC time of so many seconds since 1970; at most ``LAST``. ValueError or OverflowError if it is no date."""
    if 0 <= seconds < _FAR:
        return datetime.fromtimestamp(seconds, UTC)
    return LAST if LAST_SECONDS <= seconds < math.inf else _EPOCH + timedelta(0, seconds)


def seconds_of(limit: timedelta) -> float:
    """A length of time in seconds, as it is stored; at most ``LAST_SECONDS``."""
    return min(limit.total_seconds(), LAST_SECONDS)


def problem_of_moment(value: object) -> str | None:
    """What is wrong with a time at which something is to start; None if it is valid."""
    if value is None or (isinstance(value, datetime) and value.utcoffset() is not None):
        return None
    return (
        "must be a datetime with a time zone, such as datetime(..., tzinfo=UTC) or datetime.now(UTC) + "
        "timedelta(hours=1)"
    )


def problem_of_time(value: object) -> str | None:
    """What is wrong with a timeout; None if it is valid."""
    if value is None:
        return None
    if not isinstance(value, timedelta):
        return "must be a datetime.timedelta such as timedelta(seconds=30)"
    return None if value > timedelta(0) else "must be positive"


def _kept(moment: datetime) -> datetime:
    return min(moment.replace(microsecond=0), LAST)
