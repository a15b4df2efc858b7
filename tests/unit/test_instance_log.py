"""The log lines about instances: one for each start and end, and no more than a limit in each second."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime, timedelta

import pytest

from durable_core.engine.events import ContinueAsNew, ExecutionCompleted, ExecutionTerminated
from durable_core.hub.instance_row import Instance
from durable_core.models import FailureDetails, RuntimeStatus
from durable_core.runtime import instance_log
from durable_core.runtime.instance_log import LINES_PER_SECOND, InstanceLog
from tests.support.http_client import eventually

START = datetime(2030, 1, 1, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.time = START

    def now(self) -> datetime:
        return self.time


def instance(instance_id: str = "o-1", version: str = "", *, at: datetime = START) -> Instance:
    return Instance(
        instance_id=instance_id,
        execution_id=f"e-{instance_id}",
        name="order",
        version=version,
        status=RuntimeStatus.PENDING,
        input="null",
        created=at,
        updated=at,
    )


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, instance_log.logger.name)
    return caplog


async def test_a_line_names_the_instance_its_code_its_status_and_its_duration(lines: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    log = InstanceLog(clock)
    one = instance(version="2")
    clock.time += timedelta(seconds=2.5)
    log.turned(one, None)
    log.turned(one.but(seq=3), ContinueAsNew(None, False))
    log.turned(one.but(seq=3), ExecutionCompleted("Completed", 7))
    failure = FailureDetails("shop.OutOfStock", "secret", line="shop/order.py:7")
    log.turned(instance("o-2").but(seq=1), ExecutionCompleted("Failed", None, failure))
    log.turned(instance("o-3").but(seq=1), ExecutionTerminated("no"))
    log.ended(instance("o-4"), "Terminated")
    assert lines.messages == [
        "started: o-1 (order 2)",
        "ended: o-1 (order 2) Completed after 2.5 s",
        "ended: o-2 (order) Failed after 2.5 s with OutOfStock at shop/order.py:7",
        "ended: o-3 (order) Terminated after 2.5 s",
        "ended: o-4 (order) Terminated after 2.5 s",
    ]
    assert [record.levelname for record in lines.records] == ["INFO", "INFO", "WARNING", "INFO", "INFO"]


async def test_an_instance_that_began_before_the_process_goes_on_once(lines: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    clock.time += timedelta(seconds=1)
    log = InstanceLog(clock)
    old = instance().but(seq=2)
    log.revived(old)
    log.revived(old)
    log.revived(instance("waits"))  # it has not begun yet
    log.revived(instance("new", at=clock.time).but(seq=2))
    assert lines.messages == ["goes on after a restart: o-1 (order)"]


async def test_a_thousand_instances_in_a_second_are_counted(
    lines: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = InstanceLog(Clock())
    loop = asyncio.get_running_loop()
    now = loop.time()
    monkeypatch.setattr(loop, "time", lambda: now)
    for number in range(1_000):
        log.turned(instance(str(number)), ExecutionCompleted("Completed", None))
    assert len(lines.messages) == LINES_PER_SECOND
    monkeypatch.undo()
    await eventually(lambda: len(lines.messages) > LINES_PER_SECOND)
    assert lines.messages[-1] == "and within the same second: 990 ended, 990 started"
    log.turned(instance("later"), None)
    assert lines.messages[-1] == "started: later (order)"
