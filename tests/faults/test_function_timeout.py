"""What takes longer than the host lets a function run: it is warned of, and shown when it is set aside."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.settings import Settings
from durable_core.testing.simulation import LEASE, World

from .scenarios import result

TIMEOUT = LEASE * 2 / 3
RUNS: Counter[str] = Counter()


@activity
async def takes(call: tuple[str, float]) -> str:
    name, seconds = call
    RUNS[name] += 1
    await asyncio.sleep(seconds)
    return name


@orchestrator
def one(ctx: OrchestrationContext, call: tuple[float, bool]) -> Orchestration[str]:
    seconds, inline = call
    return (yield from ctx.call_activity(takes, (ctx.instance_id, seconds), inline=inline))


@pytest.mark.parametrize("inline", [True, False], ids=["inline", "by_message"])
def test_an_activity_that_nears_the_function_timeout_is_warned_of_and_one_that_exceeds_it_is_set_aside_with_the_cause(
    inline: bool, caplog: pytest.LogCaptureFixture
) -> None:
    RUNS.clear()

    async def drive(world: World) -> str:
        for name, share in (("short", 0.5), ("near", 0.9)):
            await world.client.start_new("one", name, (share * TIMEOUT, inline))
            assert await result(world, name) == name
        assert RUNS == {"short": 1, "near": 1}
        assert not world.overruns
        warnings = [record.getMessage() for record in caplog.records if "functionTimeout" in record.getMessage()]
        assert [("'near'" in each, "runs 'takes'" in each) for each in warnings] == [(True, True)]
        await world.client.start_new("one", "over", (1.5 * TIMEOUT, inline))
        while not (status := await world.client.get_status("over")).stuck_reason:
            assert not status.is_terminal
            await asyncio.sleep(60)
        return status.stuck_reason or ""

    world = World(Registry().add(takes, one), settings=Settings(function_timeout=TIMEOUT))
    with caplog.at_level("WARNING"):
        reason = world.run(drive)
    assert world.overruns
    assert f"takes longer than functionTimeout lets it ({TIMEOUT:g} s)" in reason
