"""What is measured below the host: a replay from cold, and the floor that the store itself sets."""

from __future__ import annotations

import sqlite3
import statistics
import sys
import time
import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from durable_core import Registry
from durable_core.converter import Converter
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.runtime.app import DurableApp
from durable_core.runtime.client import DurableClient
from durable_core.runtime.turn.cached import definition_for, info_of, replayed
from durable_core.settings import Settings
from durable_core.storage.ports import Storage

from .workloads import Figures, result_of

ROUNDS = 5  # replays of the same history, of which the median counts
FLOOR_TABLE = "BenchmarkFloor"
_ROW = {"data": "x" * 300}  # about what a step of a chain commits


async def replay_chain(client: DurableClient, events: int) -> Figures:
    """W8: an instance of a chain with so many events, read from the store and replayed, as by a host that is new."""
    return await _replay(client, "chain", events)


async def replay_fan_out(client: DurableClient, events: int) -> Figures:
    """The same of a fan-out."""
    return await _replay(client, "fan", events)


async def _replay(client: DurableClient, orchestrator: str, events: int) -> Figures:
    instance_id = await client.start_new(orchestrator, None, events // 2)  # a call and its result are two events
    await result_of(client, instance_id)
    registry: Registry = sys.modules["function_app"].registry
    reads: list[float] = []
    replays: list[float] = []
    async with _storage() as storage:
        settings = Settings.from_environment()
        app = DurableApp(registry, settings, storage)
        for _ in range(ROUNDS):
            began = time.perf_counter()
            instance = (await app.hub.instances.load(instance_id)).instance
            if instance is None:
                raise RuntimeError(f"instance '{instance_id}' is not in the store")
            segments = await app.hub.instances.history(instance)
            read = time.perf_counter()
            definition = definition_for(app.registry, instance.name, instance.version)
            converter = Converter(settings.max_payload)
            replayed(definition, info_of(instance, ""), converter, segments, guard=settings.guard).close()
            replays.append((time.perf_counter() - read) * 1000)
            reads.append((read - began) * 1000)
            if (found := sum(len(segment.events) for segment in segments)) < events:
                raise RuntimeError(f"only {found} events were replayed")
        await app.close()
    totals = [read + replay for read, replay in zip(reads, replays, strict=True)]
    median = statistics.median
    return {"wall_ms": median(totals), "read_ms": median(reads), "replay_ms": median(replays), "n": events}


async def floor(client: DurableClient, writes: int) -> Figures:
    """What one durable write costs at the least, one after another, in ms (median): no orchestration can be below.

    ``merge_ms``: at the table port. ``transaction_ms``: in a bare SQLite file with the embedded store's pragmas.
    """
    async with _storage() as storage:
        await storage.create((FLOOR_TABLE,), ())
        table, partition = storage.table(FLOOR_TABLE), uuid.uuid4().hex
        await table.insert(partition, "row", {"n": 0, **_ROW})
        took: list[float] = []
        for number in range(writes):
            began = time.perf_counter()
            await table.merge(partition, "row", {"n": number, **_ROW})
            took.append((time.perf_counter() - began) * 1000)
    figures: Figures = {"merge_ms": statistics.median(took), "n": writes}
    settings = Settings.from_environment()
    if settings.is_embedded:
        figures["transaction_ms"] = _transaction_ms(Path(settings.store).with_name("floor.db"), writes)
    return figures


def _transaction_ms(path: Path, writes: int) -> float:
    took: list[float] = []
    with closing(sqlite3.connect(path, isolation_level=None)) as con:
        con.execute("PRAGMA journal_mode = WAL")
        con.execute("PRAGMA synchronous = FULL")
        con.execute("CREATE TABLE IF NOT EXISTS t (k INTEGER PRIMARY KEY, v TEXT) WITHOUT ROWID")
        con.execute("INSERT OR REPLACE INTO t VALUES (1, '')")
        for number in range(writes):
            began = time.perf_counter()
            con.execute("BEGIN IMMEDIATE")
            con.execute("UPDATE t SET v = ? WHERE k = 1", (f"{number}{_ROW['data']}",))
            con.execute("COMMIT")
            took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


@asynccontextmanager
async def _storage() -> AsyncGenerator[Storage]:
    """The storage of the host in this process."""
    storage = acquire_storage(Settings.from_environment())
    try:
        yield storage
    finally:
        await release_storage(storage)
