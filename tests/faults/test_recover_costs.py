"""What recovery costs on a hub of idle instances: pages of the catalogue, not operations per instance.

``DURABLE_SOAK`` makes it a hundred thousand of them.
"""

from __future__ import annotations

import os
import time
import tracemalloc
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.engine.events import ExecutionStarted, TimerCreated
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Commit
from durable_core.models import RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.runtime.at_once import run_some_at_once
from durable_core.runtime.clock import SystemClock
from durable_core.runtime.turn.decision import entry_of
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.ports import Storage
from durable_core.storage.sqlite import SqliteStorage

COUNT = 100_000 if "DURABLE_SOAK" in os.environ else 4_000
AGE = timedelta(days=1)
PAGE = 1000
MEMORY = 24 * 1024 * 1024  # bytes, whatever the number of instances


@orchestrator
def idle(ctx: OrchestrationContext) -> Orchestration[None]:
    yield ctx.create_timer(timedelta(days=400))


async def make_idle(app: DurableApp, count: int, status: RuntimeStatus) -> None:
    """Instances that wait for a timer, as their hosts would have left them a day ago."""
    hub, born = app.hub, SystemClock().now() - AGE

    async def one(number: int) -> None:
        at = born + timedelta(milliseconds=number)
        fresh = Instance(
            instance_id=f"idle-{number}",
            execution_id=f"x{number:07}",
            name="idle",
            version="",
            status=RuntimeStatus.PENDING,
            created=at,
            updated=at,
            input="null",
        )
        await hub.catalog.open(entry_of(fresh))
        written = await hub.instances.create(fresh)
        events = (ExecutionStarted("idle", ""), TimerCreated(1, at + timedelta(days=400)))
        commit = Commit(commit_id=f"c{number:07}", timestamp=at, events=events, status=status, dispatched=-1, build="b")
        await hub.catalog.note(entry_of(await hub.instances.commit(written, commit)))

    for at in range(0, count, 1000):
        await run_some_at_once(one(number) for number in range(at, min(at + 1000, count)))


@pytest.fixture
async def counted(tmp_path: Path) -> AsyncGenerator[tuple[DurableApp, CountingStorage, Storage]]:
    """An app, what counts its operations, and the store below that."""
    inner = SqliteStorage(str(tmp_path / "hub.db") if "DURABLE_SOAK" in os.environ else ":memory:")
    storage = CountingStorage(inner)
    app = await DurableApp.open(Registry().add(idle), Settings(), storage)
    yield app, storage, inner
    await app.close()
    await storage.close()


@pytest.mark.timeout(1800)
async def test_recovery_reads_idle_instances_by_the_page_and_keeps_none_of_them(
    counted: tuple[DurableApp, CountingStorage, Storage],
) -> None:
    app, storage, uncounted = counted
    await make_idle(app, COUNT, RuntimeStatus.RUNNING)
    pages = COUNT // PAGE + 2
    told: list[str] = []
    for full in (False, True):
        storage.reset()
        began = time.monotonic()
        report = await app.recover(full=full)
        took = time.monotonic() - began
        assert report.open_instances == COUNT
        assert report.woken_up == (COUNT if full else 0)
        used = storage.counts
        assert used.total <= pages + report.woken_up + 10, used
        storage.reset()
        bare = DurableApp(Registry(), Settings(), uncounted)
        tracemalloc.start()
        await bare.recover(full=full)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await bare.close()
        assert peak < MEMORY, f"{peak} bytes for {COUNT} instances"
        told.append(f"{'full' if full else 'quick'}: {used.total} operations, {took:.1f} s, {peak / 1e6:.1f} MB")
    print(f"{COUNT} idle instances, {'; '.join(told)}")


async def test_suspended_instances_cost_a_round_of_the_timer_no_more_than_others(
    counted: tuple[DurableApp, CountingStorage, Storage],
) -> None:
    app, storage, _ = counted
    await make_idle(app, 2000, RuntimeStatus.SUSPENDED)
    storage.reset()
    report = await app.recover()
    assert report.open_instances == 2000
    assert storage.counts.total < 20, storage.counts
