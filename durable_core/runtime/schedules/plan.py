"""What a schedule is to do, as people give it: checked, and made into the state with which a schedule begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, TypedDict, get_args

from ...converter import Converter
from ...errors import InvalidInputError, InvalidInstanceIdError
from ...instance_ids import check_instance_id
from ...models import JSON
from ...moments import LAST, in_utc, problem_of_moment, problem_of_time
from ...registry import Registry
from .cron import SHORTEST, Interval, parse_cron
from .orchestrator import SCHEDULE_PREFIX, Overlap, ScheduleState

RUN_SUFFIX = ":20300101T000000Z-00000000"
SHORTEST_CATCH_UP = timedelta(seconds=10)
"""As in Temporal. With less, a run that is begun a little late would be dropped."""

_NO_DATE = "the first run would be due in the year 9999, or later: give an earlier start_at, or a shorter interval"

IfScheduleExists = Literal["error", "update", "ignore"]


class ScheduleTiming(TypedDict, total=False):
    """When a schedule starts its runs: see ``create_schedule``."""

    cron: str | None
    interval: timedelta | None
    time_zone: str
    overlap: Overlap
    start_at: datetime | None
    version: str | None
    jitter: timedelta | None
    catch_up: timedelta | None


class ScheduleOptions(ScheduleTiming, total=False):
    """The options of ``create_schedule``, which are the same for an orchestrator given as a function or by name."""

    if_exists: IfScheduleExists
    headers: Mapping[str, JSON] | None


def instance_of(schedule_id: str) -> str:
    """The id of the instance that runs this schedule. InvalidInstanceIdError."""
    if not isinstance(schedule_id, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidInstanceIdError(f"the id of a schedule must be a string, not {schedule_id!r}; use str(...)")
    return SCHEDULE_PREFIX + schedule_id


def planned(
    registry: Registry,
    converter: Converter,
    now: datetime,
    schedule_id: str,
    orchestrator: Callable[..., Any] | str,
    client_input: object,
    *,
    cron: str | None = None,
    interval: timedelta | None = None,
    time_zone: str = "UTC",
    overlap: Overlap = "skip",
    start_at: datetime | None = None,
    version: str | None = None,
    jitter: timedelta | None = None,
    catch_up: timedelta | None = None,
    declared: bool = False,
) -> ScheduleState:
    """The state with which such a schedule begins. Raises what ``create_schedule`` raises for what it is given."""
    check_instance_id(instance_of(schedule_id) + RUN_SUFFIX)
    definition = registry.orchestrator_called(orchestrator, version)
    data = converter.to_json(client_input, "the input")
    if definition.takes(data):
        converter.from_json(data, definition.input_type)
    if overlap not in get_args(Overlap):
        raise InvalidInputError(f"overlap must be 'skip' or 'queue', not {overlap!r}")
    _check_spans(interval, jitter, catch_up)
    return ScheduleState(
        schedule_id=schedule_id,
        orchestrator=definition.name,
        overlap=overlap,
        due=_first_due(cron, interval, time_zone, start_at, now).isoformat(),
        cron=cron,
        every=None if interval is None else interval.total_seconds(),
        time_zone=time_zone,
        input=data,
        version=version,
        jitter=None if jitter is None else jitter.total_seconds(),
        catch_up=None if catch_up is None else catch_up.total_seconds(),
        declared=declared,
    )


def _check_spans(interval: timedelta | None, jitter: timedelta | None, catch_up: timedelta | None) -> None:
    for name, given in (("jitter", jitter), ("catch_up", catch_up)):
        if (problem := problem_of_time(given)) is not None:
            raise InvalidInputError(f"{name}={given!r} {problem}")
    if jitter is not None and isinstance(interval, timedelta) and jitter >= interval:
        raise InvalidInputError(f"the jitter ({jitter}) must be shorter than the interval ({interval})")
    if catch_up is not None and catch_up < SHORTEST_CATCH_UP:
        raise InvalidInputError(
            f"catch_up must be at least {SHORTEST_CATCH_UP.seconds} seconds, not {catch_up}: a run that begins a "
            "little late would be dropped"
        )


def _first_due(
    cron: str | None, interval: timedelta | None, time_zone: str, start_at: datetime | None, now: datetime
) -> datetime:
    if (problem := problem_of_moment(start_at)) is not None:
        raise InvalidInputError(f"start_at={start_at!r} {problem}")
    first = now if start_at is None else max(in_utc(start_at), now)
    if first.year >= LAST.year:
        raise InvalidInputError(_NO_DATE)
    match cron, interval:
        case str(), None:
            due = parse_cron(cron, time_zone).next_after(first - timedelta(microseconds=1))
        case None, timedelta():
            if interval < SHORTEST:
                raise InvalidInputError(f"the interval of a schedule must be at least one second, not {interval}")
            due = first if start_at is not None else Interval(interval).next_after(first)
            due = due.replace(microsecond=0)
        case _:
            raise InvalidInputError(
                "a schedule needs either cron= (a string) or interval= (a datetime.timedelta), "
                f"not cron={cron!r} and interval={interval!r}"
            )
    if due >= LAST:
        raise InvalidInputError(_NO_DATE)
    return due
