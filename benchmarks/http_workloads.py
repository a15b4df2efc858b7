"""What is measured on a host process from outside, over HTTP; also with that process killed, and at rest."""

from __future__ import annotations

import asyncio
import time
import uuid
from pathlib import Path

from .host_process import Driver
from .machine import cpu_seconds, memory_mb
from .workloads import STEPS, WARM_UP, Figures, check, latencies, rates

_LOOK = 0.005  # seconds between looks at how many lines there are
_REST = 3.0  # seconds after which a host that has started is idle


async def latency(driver: Driver, runs: int) -> Figures:
    """W1h: one orchestration of one activity, by one request that waits for its result; one after another."""
    for _ in range(WARM_UP):
        await driver.call("one", 0)
    took: list[float] = []
    for number in range(runs):
        began = time.perf_counter()
        check(await driver.call("one", number), number)
        took.append((time.perf_counter() - began) * 1000)
    return latencies(took)


async def throughput(driver: Driver, instances: int) -> Figures:
    """W2h: many chains, started by a request each; then a request each of the status URI waits for the result."""
    keys = _keys(instances)
    began = time.perf_counter()
    status_uris = await asyncio.gather(*[driver.start("chain", STEPS, key) for key in keys])
    started = time.perf_counter() - began
    results = await asyncio.gather(*map(driver.result, status_uris))
    wall = time.perf_counter() - began
    check(results, [STEPS] * instances)
    return rates(instances, wall, started)


async def crash(driver: Driver, instances: int) -> Figures:
    """W7: chains whose activities each leave a line; at half of the lines the host is killed and started again.

    Whoever had no answer to a start by then asks again with the same key.
    """
    path = driver.folder / f"lines-{uuid.uuid4().hex[:8]}"
    path.touch()
    inputs = {key: [str(path), key, STEPS] for key in _keys(instances)}
    half = instances * STEPS // 2

    async def run(key: str) -> object:
        return await driver.result(await driver.start("noting_chain", inputs[key], key))

    began = time.perf_counter()
    running = asyncio.gather(*map(run, inputs), return_exceptions=True)
    while (at_kill := len(_lines(path))) < half and not running.done():  # noqa: ASYNC110  the lines come from outside
        await asyncio.sleep(_LOOK)
    driver.host.kill9()
    killed = time.perf_counter()
    driver.host.start()
    results = await running
    ended = time.perf_counter()
    lines = _lines(path)
    path.unlink()
    return {
        "wall_s": ended - began,
        "after_kill_s": ended - killed,
        "lines_at_kill": at_kill,
        "executions": len(lines),
        "dups": len(lines) - len(set(lines)),
        "missing": instances * STEPS - len(set(lines)),
        "not_completed": sum(result != STEPS for result in results),
    }


async def idle(driver: Driver, seconds: int) -> Figures:
    """What a host takes that has run one instance and rests: memory, and CPU over so many seconds."""
    check(await driver.call("one", 1), 1)
    await asyncio.sleep(_REST)
    pid = driver.host.pid
    before, began = cpu_seconds([pid]), time.perf_counter()
    await asyncio.sleep(seconds)
    share = (cpu_seconds([pid]) - before) / (time.perf_counter() - began)
    return {"mem_mb": {"host": memory_mb(pid)}, "cpu_pct": {"host": round(share * 100, 2)}}


def _keys(instances: int) -> list[str]:
    run = uuid.uuid4().hex[:8]
    return [f"{run}-{number}" for number in range(instances)]


def _lines(path: Path) -> list[str]:
    return path.read_text().split()
