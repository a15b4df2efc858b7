"""Clocks under all kinds of names."""

import datetime as dates
import time
import time as clock
from datetime import UTC, date, datetime
from datetime import datetime as dt
from time import monotonic, time as wall

import pandas as pd

import durable_core
import durable_core as dc
from durable_core import orchestrator as orch

now = datetime.now
unix = time.time


@orch
def by_alias(ctx):
    if dt.now(UTC).hour < 12:  # expect: DC101
        yield from ctx.call_activity("morning")
    if dates.datetime.utcnow().hour < 12:  # expect: DC101
        yield from ctx.call_activity("morning")
    if date.today().day == 1 or wall() > 1e9:  # expect: DC101, DC101
        yield from ctx.call_activity("first")
    started = unix()  # expect: DC101
    stamp = now(UTC)  # expect: DC101
    yield from ctx.call_activity("note", [started, stamp, pd.Timestamp.now()])  # expect: DC101


@durable_core.orchestrator
def through_the_package(ctx, zone: str = "UTC"):
    first = clock.localtime()  # expect: DC101
    second = clock.strftime("%Y")  # expect: DC101
    third = clock.gmtime()  # expect: DC101
    fourth = clock.localtime(5)  # expect: DC103
    fifth = datetime.fromtimestamp(5)  # expect: DC103
    sixth = ctx.current_utc_datetime.astimezone()  # expect: DC103
    seventh = datetime.now(UTC).date()  # expect: DC101
    yield from ctx.call_activity("note", [first, second, third, fourth, fifth, sixth, seventh, time.tzname])  # expect: DC103


@dc.orchestrator(name="watch", version="2")
def stopwatch(ctx):
    began = monotonic()  # expect: DC102
    yield from ctx.call_activity("work")
    yield from ctx.call_activity("note", time.perf_counter() - began)  # expect: DC102


@orch
def in_corners(ctx, names: list[str]):
    order = sorted(names, key=lambda name: time.time())  # expect: DC101
    later = [time.time_ns() for _ in order]  # expect: DC101
    yield from ctx.wait_condition(lambda: datetime.now(UTC).hour > 8)  # expect: DC101
    stamps = list(map(date.fromtimestamp, [1.0]))  # expect: DC103
    newest = max(names, default=None, key=lambda name, at=time.time(): at)  # expect: DC101
    text = f"{datetime.now():%H:%M} {later}"  # expect: DC101
    if (moment := time.time()) > 5:  # expect: DC101
        yield from ctx.call_activity("note", [moment, text, newest, stamps])
    ctx.set_query_handler("age", lambda: time.time())  # expect: DC101

    def on_ping(_):
        nonlocal moment
        moment = time.time()  # expect: DC101

    ctx.on_event("Ping", on_ping)
    yield from ctx.run("first", lambda made=time.time(): made)  # expect: DC101


class Timetable:
    time = "noon"

    def stamp(self) -> float:
        return time.time()  # expect: DC101


@orch
def hidden_by_no_class(ctx):
    table = Timetable()
    yield from ctx.call_activity("note", [table.time, table.stamp()])


def plain(ctx):
    yield from ctx.create_timer(datetime.now(UTC))  # expect: DC101


marked = durable_core.orchestrator(plain)
