"""A history of a hundred thousand events loads, and its replay costs no more per event than that of a short one."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.engine.events import Event, ExecutionStarted, TaskCompleted, TaskScheduled
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Commit
from durable_core.models import RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.runtime.turn.decision import entry_of
from durable_core.settings import Settings
from durable_core.storage.ports import Storage
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import running

WIDTH = 50  # activities at once: a hundred events per commit
LONG = 1000  # rounds
BORN = datetime(2030, 1, 1, tzinfo=UTC)
LINEAR = 3.0  # times as much per event, at most: what is quadratic would be ten times as much


@activity
def double(number: int) -> int:
    return 2 * number


@orchestrator
def rounds(ctx: OrchestrationContext, count: int) -> Orchestration[int]:
    total = 0
    for _ in range(count):
        total += sum((yield from ctx.task_all([ctx.call_activity(double, n) for n in range(WIDTH)])))
    yield ctx.wait_for_external_event("finish")
    return total


async def write(app: DurableApp, instance_id: str, count: int) -> int:
    """The history that such an instance would have, up to its last event; returns how many events that is."""
    fresh = Instance(
        instance_id=instance_id,
        execution_id=f"{count:016x}",
        name="rounds",
        version="",
        status=RuntimeStatus.PENDING,
        created=BORN,
        updated=BORN,
        input=str(count),
    )
    await app.hub.catalog.open(entry_of(fresh))
    instance = await app.hub.instances.create(fresh)
    written = 0
    for number in range(count + 1):
        events: list[Event] = [] if number else [ExecutionStarted("rounds", "", count)]
        first = (number - 1) * WIDTH + 1
        if number:
            events.extend(TaskCompleted(first + n, 2 * n) for n in range(WIDTH))
        if number < count:
            events.extend(TaskScheduled(first + WIDTH + n, "double", n) for n in range(WIDTH))
        at = BORN + timedelta(seconds=number)
        commit = Commit(
            commit_id=f"c{number}",
            timestamp=at,
            events=tuple(events),
            status=RuntimeStatus.RUNNING,
            dispatched=number,
            build=fresh.build,
        )
        instance = await app.hub.instances.commit(instance, commit)
        written += len(events)
    return written


@pytest.fixture
async def storage(tmp_path: Path) -> AsyncGenerator[Storage]:
    opened = SqliteStorage(str(tmp_path / "hub.db"))
    yield opened
    await opened.close()


@pytest.mark.timeout(900)
async def test_a_history_of_100_000_events_is_read_replayed_and_gone_on_with(storage: Storage) -> None:
    async with running(Registry().add(double, rounds), Settings(warm_cache=0), storage) as app:
        costs: dict[int, float] = {}
        for count in (LONG // 10, LONG):
            name = f"of-{count}"
            events = await write(app, name, count)
            began = time.process_time()
            await app.client.raise_event(name, "finish")
            ended = await app.client.wait_for_completion(name, 600)
            costs[count] = (time.process_time() - began) / events
            assert ended.output == count * sum(2 * n for n in range(WIDTH)), ended
            shown = (await app.client.get_status(name, show_history=True)).history_events
            assert shown is not None
            assert len([e for e in shown if e["EventType"] in ("TaskCompleted", "TaskScheduled")]) == 2 * WIDTH * count
        assert costs[LONG] < LINEAR * costs[LONG // 10], costs
        print(f"per event: {', '.join(f'{2 * WIDTH * n}: {cost * 1e6:.0f} us' for n, cost in costs.items())}")
