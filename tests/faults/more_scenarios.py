"""Scenarios for the seeded runs: management requests, lives that follow each other, large values, long histories."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, RetryPolicy, activity
from durable_core import orchestrator as orchestrator_
from durable_core.errors import InstanceCompletedError
from durable_core.models import RuntimeStatus
from durable_core.testing.simulation import World

from .scenarios import Effects, Scenario, make_registry, result, simple

LARGE = 70 * 1024
HUGE = 700 * 1024
ROLLING = 40 * 1024


def noise(size: int, salt: int = 0) -> str:
    """Text that does not compress to nothing, the same every time."""
    number = 88172645463325252 + salt
    letters: list[str] = []
    for _ in range(size // 8):
        number ^= (number << 13) & 0xFFFFFFFFFFFFFFFF
        number ^= number >> 7
        number ^= (number << 17) & 0xFFFFFFFFFFFFFFFF
        letters.append(f"{number & 0xFFFFFFFF:08x}")
    return "".join(letters)


def full_registry(effects: Effects) -> Registry:
    @activity
    def add_one(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return number + 1

    @activity
    def grow(ctx: ActivityContext, size: int) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return noise(size)

    @orchestrator_
    def count(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        value = 0
        for _ in range(steps):
            value = yield from ctx.call_activity(add_one, value)
        return value

    @orchestrator_
    def grandparent(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        results = yield from ctx.task_all([ctx.call_sub_orchestrator("parent", 2) for _ in range(width)])
        return sum(results)

    @orchestrator_
    def collect(ctx: OrchestrationContext, number: int) -> Orchestration[list[str]]:
        found: list[str] = []
        for _ in range(number):
            value = yield from ctx.wait_for_external_event("Item", str)
            found.append(value)
            yield from ctx.call_activity(add_one, 1)
        return found

    @orchestrator_
    def third_time(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(add_one, 1)
        if not ctx.instance_id.endswith(".3"):
            raise ValueError("not yet")
        return ctx.instance_id[-1]

    @orchestrator_
    def insists(ctx: OrchestrationContext, seconds: int) -> Orchestration[str]:
        policy = RetryPolicy(max_attempts=4, first_interval=timedelta(seconds=seconds), backoff=1.0)
        last = yield from ctx.call_sub_orchestrator(third_time, None, retry=policy)
        return last

    @orchestrator_
    def heavy(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        event = yield from ctx.wait_for_external_event("Weight", str)
        grown = yield from ctx.call_activity(grow, HUGE)
        queued = yield from ctx.call_activity(grow, LARGE, inline=False)
        child = yield from ctx.call_sub_orchestrator(echo, text)
        assert child == text
        return "".join([text, event, grown, queued])

    @orchestrator_
    def rolls(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
        """Results so large that the log is rolled into chunk rows on the way."""
        size = 0
        for _ in range(steps):
            text = yield from ctx.call_activity(grow, ROLLING)
            size += len(text)
        return size

    @orchestrator_
    def echo(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        yield from ctx.call_activity(add_one, 1)
        return text

    @orchestrator_
    def tell(ctx: OrchestrationContext, target: str) -> Orchestration[int]:
        for number in (1, 2, 3):
            ctx.send_event(target, "Item", str(number))
            yield from ctx.call_activity(add_one, number)
        return 3

    registry = make_registry(effects)
    return registry.add(add_one, grow, count, grandparent, collect, third_time, insists, heavy, rolls, echo, tell)


async def _terminated(world: World) -> Any:
    await world.client.start_new("queued_chain", "one", 6)
    await asyncio.sleep(1)
    with suppress(InstanceCompletedError):
        await world.client.terminate("one", "stop")
    return await result(world, "one") in ("stop", 64)


async def _suspended(world: World) -> Any:
    await world.client.start_new("waits", "one")
    await world.client.suspend("one", "hold on")
    await world.client.raise_event("one", "Go", "a")
    await asyncio.sleep(120)
    await world.client.raise_event("one", "Go", "b")
    while (status := await world.client.get_status("one")).runtime_status is not RuntimeStatus.SUSPENDED:
        assert not status.is_terminal
        await asyncio.sleep(20)
    await world.client.resume("one")
    return await result(world, "one")


async def _purged(world: World) -> Any:
    await world.client.start_new("queued_chain", "one", 2)
    await result(world, "one", look_every=0.5)
    assert await world.client.purge_instance_history("one") == 1
    await world.client.start_new("queued_chain", "one", 3)
    return await result(world, "one")


async def _purged_parent(world: World) -> Any:
    """The children of the first life have other ids than those of the second."""
    outcome: Any = None
    for _ in range(2):
        await world.client.start_new("parent", "one", 2)
        outcome = await result(world, "one", look_every=0.5)
        assert await world.client.purge_instance_history("one") == 1
    return outcome


async def _restarted(world: World) -> Any:
    await world.client.start_new("queued_chain", "one", 2)
    await result(world, "one", look_every=0.5)
    await world.client.start_new("queued_chain", "one", 3, if_exists="restart_if_done")
    return await result(world, "one")


async def _two_senders(world: World) -> Any:
    await world.client.start_new("collect", "one", 6)

    async def send(sender: str) -> None:
        for number in range(3):
            await world.client.raise_event("one", "item", f"{sender}{number}")

    await asyncio.gather(send("a"), send("b"))
    found: list[str] = await result(world, "one")
    return [[text for text in found if text[0] == sender] for sender in "ab"]


async def _many_events(world: World) -> Any:
    """More than one commit can consume."""
    await world.client.start_new("collect", "one", 120)
    await asyncio.gather(*[world.client.raise_event("one", "item", f"{n}") for n in range(120)])
    return sorted(await result(world, "one"), key=int) == [str(n) for n in range(120)]


async def _heavy(world: World) -> Any:
    await world.client.start_new("heavy", "one", noise(LARGE, 1))
    await world.client.raise_event("one", "Weight", noise(HUGE, 2))
    return await result(world, "one") == noise(LARGE, 1) + noise(HUGE, 2) + noise(HUGE) + noise(LARGE)


async def _rebuilt(world: World) -> Any:
    await world.client.start_new("parent", "one", 2)
    await world.client.start_new("race", "two", 2)
    await asyncio.sleep(1)
    for name in world.outside.hub.names.queues:
        await world.storage.queue(name).clear()
    await asyncio.sleep(60)
    await world.outside.recover(full=True)
    return [await result(world, "one"), await result(world, "two")]


async def _long_timer(world: World) -> Any:
    await world.client.start_new("race", "one", 14 * 24)
    return await result(world, "one", timedelta(days=16), look_every=6 * 3600)


async def _rolled(world: World) -> Any:
    await world.client.start_new("rolls", "one", 15)
    outcome = await result(world, "one")
    instance = await world.outside.hub.instances.get("one")
    assert instance is not None
    assert instance.base > 0, "the log was rolled"
    return outcome


async def _told(world: World) -> Any:
    await world.client.start_new("collect", "one", 3)
    await world.client.start_new("tell", "two", "one")
    return [await result(world, "one"), await result(world, "two")]


CHEAP = [
    Scenario("terminate in flight", _terminated, True),
    Scenario("suspend and resume", _suspended, ["a", "b"]),
    Scenario("purge and start anew", _purged, 8),
    Scenario("purge a parent and start anew", _purged_parent, 8),
    Scenario("restart if done", _restarted, 8),
    simple("nested sub-orchestrations", "grandparent", 2, 16),
    Scenario("two senders", _two_senders, [["a0", "a1", "a2"], ["b0", "b1", "b2"]]),
    simple("retried sub-orchestration", "insists", 20, "3"),
    simple("retried sub-orchestration, long wait", "insists", 1500, "3"),
    Scenario("queues purged, recovered", _rebuilt, [8, "timeout"]),
    Scenario("event from an orchestrator", _told, [["1", "2", "3"], 3]),
]
COSTLY = [
    Scenario("more events than a commit holds", _many_events, True),
    Scenario("large values", _heavy, True),
    Scenario("timer of 14 days", _long_timer, "timeout"),
    Scenario("rolled log", _rolled, 15 * ROLLING),
    simple("wide fan-out", "fan", 300, sum(range(300)) * 4),
    simple("long chain", "count", 300, 300),
]
