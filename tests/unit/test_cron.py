"""When schedules are due: cron, time zones, daylight saving."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from durable_core.errors import InvalidInputError
from durable_core.runtime.schedules.cron import Interval, parse_cron


def dues(expression: str, zone: str, start: str, count: int) -> list[str]:
    """Due times in UTC, without the seconds that are zero."""
    cron, moment = parse_cron(expression, zone), datetime.fromisoformat(start).replace(tzinfo=UTC)
    found: list[str] = []
    for _ in range(count):
        moment = cron.next_after(moment)
        found.append(moment.strftime("%m-%d %H:%M:%S").removesuffix(":00"))
    return found


def test_five_fields_begin_with_the_minute_and_six_with_the_second() -> None:
    assert dues("30 6 * * *", "UTC", "2030-01-01", 2) == ["01-01 06:30", "01-02 06:30"]
    assert dues("15 30 6 * * *", "UTC", "2030-01-01", 2) == ["01-01 06:30:15", "01-02 06:30:15"]
    assert dues("*/20 * * * * *", "UTC", "2030-01-01", 3) == ["01-01 00:00:20", "01-01 00:00:40", "01-01 00:01"]


def test_times_are_those_of_the_time_zone() -> None:
    assert dues("0 9 * * MON-FRI", "America/New_York", "2030-01-04T12:00", 2) == ["01-04 14:00", "01-07 14:00"]
    assert dues("0 9 1 * *", "Asia/Kolkata", "2030-01-15", 2) == ["02-01 03:30", "03-01 03:30"]


def test_either_day_will_do_when_both_are_given_as_in_cron() -> None:
    assert dues("0 0 13 * FRI", "UTC", "2030-01-08", 3) == ["01-11 00:00", "01-13 00:00", "01-18 00:00"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_in_the_skipped_hour_is_due_right_after_the_gap(expression: str) -> None:
    # Berlin skips 02:00 to 03:00 on 2030-03-31: 03:00 is 01:00 UTC
    assert dues(expression, "Europe/Berlin", "2030-03-29T12:00", 3) == ["03-30 01:30", "03-31 01:00", "04-01 00:30"]


@pytest.mark.parametrize("expression", ["30 2 * * *", "0 30 2 * * *"])
def test_a_time_in_the_doubled_hour_is_due_once(expression: str) -> None:
    # Berlin goes through 02:00 to 03:00 twice on 2030-10-27
    assert dues(expression, "Europe/Berlin", "2030-10-26T12:00", 2) == ["10-27 00:30", "10-28 01:30"]
    between = "2030-10-27T01:10"  # 02:10, the second time
    assert dues(expression, "Europe/Berlin", between, 1) == ["10-28 01:30"]


@pytest.mark.parametrize("expression", ["*/30 * * * *", "0 */30 * * * *"])
def test_what_passes_with_time_goes_through_the_doubled_hour_twice(expression: str) -> None:
    found = dues(expression, "Europe/Berlin", "2030-10-26T23:45", 5)
    assert found == ["10-27 00:00", "10-27 00:30", "10-27 01:00", "10-27 01:30", "10-27 02:00"]


def test_hourly_runs_stay_an_hour_apart_over_a_change_of_clocks() -> None:
    cron, moment = parse_cron("0 * * * *", "Europe/Berlin"), datetime(2030, 3, 30, 22, tzinfo=UTC)
    found: list[datetime] = []
    for _ in range(6):
        moment = cron.next_after(moment)
        found.append(moment)
    assert {later - earlier for earlier, later in pairwise(found)} == {timedelta(hours=1)}


def test_an_interval_keeps_its_step_however_late_it_is_looked_at() -> None:
    due = datetime(2030, 1, 1, tzinfo=UTC)
    every = Interval(timedelta(minutes=7))
    assert every.next_in_step(due, due + timedelta(minutes=15)) == due + timedelta(minutes=21)
    assert every.next_in_step(due, due + timedelta(minutes=14)) == due + timedelta(minutes=21)


@pytest.mark.parametrize(
    ("expression", "zone", "hint"),
    [
        ("", "UTC", "five fields"),
        ("* * *", "UTC", "five fields"),
        ("61 * * * *", "UTC", "Bad minute"),
        ("every day", "UTC", "five fields"),
        ("0 0 31 2 *", "UTC", "Bad day-of-month"),
        ("0 0 30 2 MON#1", "Mars/Olympus", "no time zone 'Mars/Olympus'"),
        ("0 0 * * *", "../etc/passwd", "no time zone"),
        ("0 0 * * *", "", "no time zone"),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_hint(expression: str, zone: str, hint: str) -> None:
    with pytest.raises(InvalidInputError, match=hint):
        parse_cron(expression, zone)
