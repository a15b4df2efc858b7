"""What instances cost that only wait: memory of their host, the rate of their starts, the latency of an event."""

from __future__ import annotations

import asyncio
import os
import time
import uuid
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from durable_core import Registry
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.ports import Queue

from ..host_process import Driver, running_host_process
from ..machine import MIB, Meter, memory_mb, quiet_machine
from ..results import ENGINE, Line
from ..stores import RESULTS, fresh_store
from ..workloads import WARM_UP, bounded, check, latencies

NUMBERS = (0, 1_000, 10_000, 100_000)
EVENTS = 100  # of which the median counts
PORTION = 1_000  # starts between two words about how far it is
LOOK = 0.05  # seconds between looks at the control queue
ALREADY_WAITING = 0.02  # seconds after which the request that waits for the result is at the host
REST = 3.0  # seconds


async def measure(instances: int, tell: Callable[[str], None], quiet: float, results: Path = RESULTS) -> Line:
    """One host process on an empty embedded store, and so many instances that wait; each started by a request of its
    own. Then some of them, evenly chosen, get their event one after another.

    With 0 instances each event goes to one that has just begun to wait, and is the only one there is.
    """
    with fresh_store("sqlite", results) as store:
        async with running_host_process(store.folder) as driver, _control_queue() as queue:
            run, pid = uuid.uuid4().hex[:8], driver.host.pid
            await _events(driver, queue, [f"{run}-first{number}" for number in range(WARM_UP)], started=False)
            await asyncio.sleep(REST)
            await quiet_machine(quiet)
            at_first = memory_mb(pid)["rss"]
            meter = Meter({"host": pid, "driver": os.getpid()})
            ids = [f"{run}-{number}" for number in range(instances)]
            began = time.perf_counter()
            for done in range(0, instances, PORTION):
                tell(f"idle {done:,} of {instances:,}")
                await bounded(driver.start("waiter", None, each) for each in ids[done : done + PORTION])
            accepted = time.perf_counter() - began
            await _until_empty(queue)
            settled = time.perf_counter() - began
            cpu = meter.cpu_s()["host"]
            await asyncio.sleep(REST)
            resting = memory_mb(pid)["rss"]
            tell(f"idle {instances:,}: events")
            chosen = ids[:: max(1, instances // EVENTS)][:EVENTS] or [f"{run}-only{n}" for n in range(EVENTS)]
            took = await _events(driver, queue, chosen, started=bool(instances))
            line: Line = {
                "engine": ENGINE,
                "variant": "sqlite",
                "w": "idle-waiting",
                "instances": instances,
                "rss_mb": resting,
                "grown_mb": resting - at_first,
                **latencies(took),
                "file_mb": sum(path.stat().st_size for path in store.folder.glob("durable.db*")) / MIB,
                "foreign_cores": meter.foreign_cores(),
            }
            if instances:
                line |= {
                    "bytes_each": (resting - at_first) * MIB / instances,
                    "accepted_per_s": instances / accepted,
                    "started_per_s": instances / settled,
                    "cpu_ms_each": cpu * 1000 / instances,
                }
            return line


async def _events(driver: Driver, queue: Queue, ids: list[str], *, started: bool) -> list[float]:
    """Milliseconds from the event to the output of its instance, each."""
    took: list[float] = []
    for number, instance_id in enumerate(ids):
        if not started:
            await driver.start("waiter", None, instance_id)
            await _until_empty(queue)
        waiting = asyncio.create_task(driver.result(driver.status_uri(instance_id)))
        await asyncio.sleep(ALREADY_WAITING)
        began = time.perf_counter()
        await driver.raise_event(instance_id, "go", number)
        check(await waiting, number)
        took.append((time.perf_counter() - began) * 1000)
    return took


async def _until_empty(queue: Queue) -> None:
    """Until every start has been dealt with: the instances wait."""
    while await queue.count():  # noqa: ASYNC110  it is another process that empties it
        await asyncio.sleep(LOOK)


@asynccontextmanager
async def _control_queue() -> AsyncGenerator[Queue]:
    settings = Settings.from_environment()
    storage = acquire_storage(settings)
    try:
        [name] = DurableApp.queue_names(settings, Registry()).control
        yield storage.queue(name)
    finally:
        await release_storage(storage)
