"""Every time that can be said is stored and read back as it was, however far from today."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import example, given
from hypothesis import strategies as st

from durable_core import RetryPolicy
from durable_core.engine.events import TimerCreated, from_array, to_array
from durable_core.hub.times import from_iso, iso
from durable_core.moments import LAST, LAST_SECONDS, after, from_epoch, in_utc, seconds_of

ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES)
LENGTHS = st.timedeltas(min_value=timedelta(0))
NOW = datetime(2025, 1, 31, 12, 0, 0, 123457, UTC)


def check(moment: datetime) -> None:
    assert moment.utcoffset() == timedelta(0)
    assert moment <= LAST
    event = from_array(json.loads(json.dumps(to_array(TimerCreated(1, moment)))))
    assert event == TimerCreated(1, moment)
    assert from_iso(iso(moment)) == moment
    assert from_epoch(moment.timestamp()) == moment


@given(MOMENTS)
@example(datetime.max.replace(tzinfo=UTC))
@example(datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))))
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))))
@example(datetime(2242, 3, 16, 12, 56, 31, 999999, UTC))
@example(datetime(1697, 10, 17, 11, 3, 27, 999999, UTC))
def test_a_time_is_read_as_it_was_stored(moment: datetime) -> None:
    check(in_utc(moment))
    assert abs(in_utc(moment) - moment) < timedelta(days=1) or moment > LAST


@given(LENGTHS)
@example(timedelta.max)
@example(LAST - NOW)
@example(LAST - NOW + timedelta(microseconds=1))
def test_a_time_limit_of_any_length_ends_at_a_time_that_can_be_stored(length: timedelta) -> None:
    check(after(NOW, length))
    assert seconds_of(length) <= LAST_SECONDS
    stored = after(NOW, seconds_of(length))
    check(stored)
    assert abs(stored - after(NOW, length)) <= timedelta(seconds=1)


@given(LENGTHS, LENGTHS, st.floats(1, 1e308), st.integers(1, 10), st.floats(0, 1))
@example(timedelta.max, timedelta.max, 1.0, 1, 0.0)
def test_a_retry_policy_of_any_intervals_has_a_next_attempt(
    first: timedelta, longest: timedelta, backoff: float, attempt: int, jitter: float
) -> None:
    policy = RetryPolicy(first_interval=first, max_interval=longest, backoff=backoff, jitter=jitter)
    check(after(NOW, policy.delay_after(attempt, 0.5)))
