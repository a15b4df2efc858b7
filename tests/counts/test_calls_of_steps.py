"""The processor's work for a step on the embedded store: calls of the product's functions. They may only go down.

Counted on the thread of the event loop, where all of it runs but the wait for the disk. asyncio's own calls are left
out: how many there are depends on how writes come together. A count varies by a few per cent, as batches differ.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import durable_core
from durable_core import Registry
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.live_app import running
from tests.support.programs import registry_of

from .python_calls import counting

PRODUCT = str(Path(durable_core.__file__).parent)
PATIENCE = 60.0
MOST_OF_A_STEP = 190
MOST_TOGETHER = 242
MOST_OF_AN_INSTANCE = 920


def make_registry() -> Registry:
    async def add_one(number: int) -> int:
        return number + 1

    async def add_one_soon(number: int) -> int:
        return number + 1

    return registry_of(durable_core.activity(add_one), durable_core.activity(short=True)(add_one_soon))


async def run(app: DurableApp, steps: int, instances: int = 1) -> None:
    ids = await asyncio.gather(*[app.client.start_new("chain", None, steps) for _ in range(instances)])
    statuses = await asyncio.gather(*[app.client.wait_for_completion(each, PATIENCE) for each in ids])
    assert [status.output for status in statuses] == [steps] * instances


async def calls(path: Path, *, steps: int, instances: int = 1) -> int:
    """Calls for so many chains at once, after others that warmed up what is made at its first use."""
    storage = SqliteStorage(str(path))
    async with running(make_registry(), Settings(), storage) as app:
        await run(app, steps, instances)
        with counting(PRODUCT) as counted:
            await run(app, steps, instances)
    await storage.close()
    return counted.number


async def test_a_step_of_a_chain_takes_few_calls(tmp_path: Path) -> None:
    short, long = await calls(tmp_path / "a.db", steps=10), await calls(tmp_path / "b.db", steps=110)
    assert 0 < long - short <= 100 * MOST_OF_A_STEP, f"{(long - short) / 100:.1f} calls for a step"


async def test_a_start_and_an_end_with_one_step_take_few_calls(tmp_path: Path) -> None:
    counted = await calls(tmp_path / "a.db", steps=1)
    assert 0 < counted <= MOST_OF_AN_INSTANCE, f"{counted} calls"


async def test_chains_that_run_together_take_few_calls(tmp_path: Path) -> None:
    counted = await calls(tmp_path / "a.db", steps=10, instances=20)
    assert 0 < counted <= 200 * MOST_TOGETHER, f"{counted / 200:.1f} calls for a step, its share of the start included"
