"""``kill -9`` of hosts at seeded moments while many instances run: nothing is lost, little is done twice.

Every run of an activity leaves a line in a log. At the end every activity has at least one line, every result is in
history once, and no more lines are doubled than there was in flight at the kills. ``DURABLE_SOAK=1`` or more runs 500
instances per case and kills more often.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from durable_core.testing.azurite import Azurite
from tests.faults.oracle import check_history
from tests.support.busy_hub import BusyHub, completed
from tests.support.hosts import free_port
from tests.support.totals import Totals

SOAK = "DURABLE_SOAK" in os.environ
ACTIVITIES = 7  # of each instance, its child's included
IN_FLIGHT = 6  # messages of one queue in the hands of one host: batchSize + newBatchThreshold of the app's host.json
FAN = 3  # the most activities that one message may lead to
INLINE = 8  # activities that may run inline in one process


@dataclass(frozen=True)
class Case:
    store: str
    roles: tuple[str, ...]
    instances: int
    kills: int
    cold: bool = False

    def __str__(self) -> str:
        shape = "control and work apart" if "work" in self.roles else f"{len(self.roles)} hosts"
        return f"{self.store}, {shape}{', cold' if self.cold else ''}"


APART = ("control", "work", "control", "work")
EMBEDDED = [
    Case("embedded", ("",) * 2, 80, 4),
    Case("embedded", ("",) * 4, 80, 5),
    Case("embedded", ("",) * 2, 40, 3, cold=True),
    Case("embedded", APART, 40, 3),
]
AZURITE = [
    Case("azurite", ("",) * 3, 24, 2),
    Case("azurite", APART, 12, 2, cold=True),
]


@pytest.fixture
async def session() -> AsyncGenerator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True, limit=8)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60)) as opened:
        yield opened


async def play(hub: BusyHub, case: Case, session: aiohttp.ClientSession, azurite: Azurite | None) -> dict[str, int]:
    """Start the instances, kill hosts while they run, wait for the end and count."""
    instances = 500 if SOAK else case.instances
    kills = 3 * case.kills if SOAK else case.kills
    draw = random.Random(str(case))
    total = ACTIVITIES * instances
    moments = sorted(draw.randrange(1, total * 3 // 4) for _ in range(kills))
    names = [f"busy-{n}" for n in range(instances)]

    async def start_all() -> None:
        await asyncio.gather(*(hub.start_instance(session, "busy", name, n) for n, name in enumerate(names)))

    async with hub.app() as app:
        starting = asyncio.create_task(start_all())
        for number, moment in enumerate(moments):
            await hub.until(lambda moment=moment: len(hub.runs) >= moment)
            await hub.kill(draw.choice(hub.hosts))
            if azurite is not None and number == len(moments) // 2:  # the store itself goes away, and comes back
                await asyncio.to_thread(azurite.stop)
                await asyncio.sleep(1)
                await asyncio.to_thread(azurite.start)
        await starting
        status = completed(await hub.until_all_ended(app.client))
        recorded = Counter[str]()
        for name in status:
            full = await app.client.get_status(name, show_history=True, show_history_output=True)
            assert full.history_events is not None
            check_history(full.history_events)
            if name in names:
                assert full.output == names.index(name) * 1 + 7, full
            ends = Counter(e["TaskId"] for e in full.history_events if e["EventType"] == "TaskCompleted")
            assert set(ends.values()) == {1}
            recorded.update(f"{full.execution_id}-0-{task}" for task in ends)
        assert len(status) == 2 * instances, "each with its child"
        assert len(recorded) == total
        runs = Counter(run.key for run in hub.runs)
        assert recorded.keys() == runs.keys(), "every activity has run, and none that nobody called"
        duplicates = runs.total() - total
        bound = hub.kills * (IN_FLIGHT + IN_FLIGHT * FAN + INLINE)
        assert duplicates <= bound, f"{duplicates} runs too many; {bound} could be in flight at {hub.kills} kills"
        for queue in app.hub.names.poison_queues:
            assert await hub.count(queue) == 0
        return {"kills": hub.kills, "instances": instances, "activities": total, "run_twice": duplicates}


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("case", EMBEDDED + AZURITE, ids=str)
async def test_nothing_is_lost_and_little_done_twice_when_hosts_are_killed(
    case: Case, tmp_path: Path, session: aiohttp.ClientSession, totals: Totals
) -> None:
    ports = (free_port(), free_port(), free_port())  # it is stopped and started again
    azurite = Azurite(tmp_path / "azurite", ports).start() if case.store == "azurite" else None
    try:
        hub = BusyHub(tmp_path / "hosts", case.roles, azurite=azurite, cold=case.cold)
        try:
            hub.start()
            totals.add(f"kill -9 ({case.store})", **await play(hub, case, session, azurite))
        finally:
            hub.stop()
    finally:
        if azurite is not None:
            azurite.stop()


@dataclass(frozen=True)
class WindowCase:
    """Instances of the app's three windows of work, and how many hosts are killed and stand still meanwhile."""

    store: str
    roles: tuple[str, ...]
    calls: int
    kills: int
    standstills: int
    lease: float

    def __str__(self) -> str:
        return f"{self.store}, {len(self.roles)} hosts"


WINDOW = 8  # open calls of one instance, as in the app
WINDOWS = ("lazy_window", "window_by_hand", "window_in_batches")
WINDOW_CASES = [
    WindowCase("embedded", ("",), 400, 2, 1, 4.0),
    WindowCase("embedded", ("",) * 2, 400, 2, 2, 4.0),
    WindowCase("azurite", ("",) * 2, 64, 1, 1, 8.0),
]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("case", WINDOW_CASES, ids=str)
async def test_a_window_of_work_runs_few_calls_twice_when_hosts_are_killed_or_stand_still(
    case: WindowCase, tmp_path: Path, session: aiohttp.ClientSession, totals: Totals
) -> None:
    azurite = Azurite(tmp_path / "azurite").start() if case.store == "azurite" else None
    hub = BusyHub(tmp_path / "hosts", case.roles, azurite=azurite, lease=case.lease)
    draw = random.Random(str(case))
    total = len(WINDOWS) * case.calls
    faults = [hub.kill] * case.kills + [hub.stand_still] * case.standstills
    draw.shuffle(faults)
    try:
        hub.start()
        for name in WINDOWS:
            await hub.start_instance(session, name, name, case.calls)
        async with hub.app() as app:
            for number, fault in enumerate(faults, start=1):
                moment = total * number // (len(faults) + 2)
                await hub.until(lambda moment=moment: len(hub.runs) >= moment)
                await fault(draw.choice(hub.hosts))
            assert completed(await hub.until_all_ended(app.client)).keys() == set(WINDOWS)
            outputs = [(await app.client.get_status(name)).output for name in WINDOWS]
        assert outputs == [case.calls] * len(WINDOWS)
        runs = Counter(run.key for run in hub.runs)
        assert len(runs) == total
        bound = 3 * WINDOW * len(WINDOWS) * hub.kills
        doubles = runs.total() - total
        assert doubles <= bound, f"{doubles} runs too many of {total}; {hub.kills} faults allow {bound}"
        totals.add(f"windows ({case.store})", faults=hub.kills, activities=total, run_twice=doubles)
    finally:
        hub.stop()
        if azurite is not None:
            azurite.stop()
