"""Who waits for the end of an instance is told of it: without a read if this process ends it, and of no other end."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.instance_ids import execution_of
from durable_core.models import OrchestrationStatus, RuntimeStatus
from durable_core.runtime.client import DurableClient
from durable_core.runtime.completion import LONGEST_POLL
from durable_core.testing.simulation import World
from tests.support.programs import make_registry

from .programs import count

REST = 60.0
HOSTS_READS = 1  # of the inbox, by the host that the event's wake-up wakes
LARGE = "x" * 300_000  # more than a row holds: its parts lie in rows of their own


def registry_of_ends() -> Registry:
    @activity
    def broken(text: str) -> str:
        raise ValueError(text)

    @orchestrator
    def completes(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        ctx.set_custom_status({"at": "the end"})
        yield from ctx.wait_for_external_event("go")
        return text

    @orchestrator
    def fails(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("go")
        result = yield from ctx.call_activity(broken, text)
        return result

    return Registry().add(broken, completes, fails)


async def go(client: DurableClient) -> None:
    await client.raise_event("i", "go")


async def cancel(client: DurableClient) -> None:
    await client.cancel("i", "no more need")


async def terminate(client: DurableClient) -> None:
    await client.terminate("i", "at once")


def table_reads(world: World) -> int:
    counts = world.counted.counts
    return counts["table.get"] + counts["table.read_range"]


@pytest.mark.parametrize("program", ["chain", "short_fan"])
def test_who_started_an_instance_waits_for_its_end_without_a_read(program: str) -> None:
    async def wait(world: World) -> tuple[OrchestrationStatus, int]:
        await asyncio.sleep(REST)
        before = world.counted.counts
        started = await world.client.start_new(program, "i0", 3)
        status = await world.client.wait_for_completion(started, REST)
        await asyncio.sleep(REST)
        return status, (world.counted.counts - before).total

    status, operations = World(make_registry(), counting=True).run(wait)
    assert status.runtime_status is RuntimeStatus.COMPLETED
    assert operations == count(program, 3).all.total, "as many as without anybody who waits"


def test_who_knows_only_the_id_looks_once() -> None:
    async def wait(world: World) -> int:
        client = world.client
        await client.start_new("completes", "i", "done")
        await asyncio.sleep(REST)
        idle = table_reads(world)
        waiting = asyncio.create_task(client.wait_for_completion("i", REST))
        await asyncio.sleep(0.05)  # virtual: before its first poll
        looked = table_reads(world) - idle
        await client.raise_event("i", "go")
        before_the_end = table_reads(world)
        assert (await waiting).output == "done"
        assert table_reads(world) == before_the_end + HOSTS_READS
        return looked

    assert World(registry_of_ends(), counting=True).run(wait) == 1


@pytest.mark.parametrize(
    ("program", "text", "end", "ended"),
    [
        ("completes", "done", go, RuntimeStatus.COMPLETED),
        ("completes", LARGE, go, RuntimeStatus.COMPLETED),
        ("completes", "", cancel, RuntimeStatus.CANCELED),
        ("completes", "", terminate, RuntimeStatus.TERMINATED),
        ("fails", "it broke", go, RuntimeStatus.FAILED),
    ],
    ids=["completed", "with a large output", "canceled", "terminated", "failed"],
)
def test_what_a_waiter_is_told_is_what_a_read_shows(
    program: str, text: str, end: Callable[[DurableClient], Awaitable[None]], ended: RuntimeStatus
) -> None:
    async def wait(world: World) -> tuple[OrchestrationStatus, OrchestrationStatus]:
        client = world.client
        await client.start_new(program, "i", text, tags={"of": "a test"})
        waiting = asyncio.create_task(client.wait_for_completion("i", REST))
        await asyncio.sleep(1.0)
        await end(client)
        told = await waiting
        return told, await client.get_status("i")

    told, read = World(registry_of_ends()).run(wait)
    assert told == read
    assert told.runtime_status is ended


@pytest.mark.parametrize("text", ["first", LARGE], ids=["small", "large"])
def test_an_end_is_not_taken_for_that_of_an_execution_started_after_it(text: str) -> None:
    """The id ends, is started again, and ends again: each waiter gets the end of what it waited for."""

    async def wait(world: World) -> list[OrchestrationStatus]:
        client = world.client
        told: list[OrchestrationStatus] = []
        for output in (text, "second"):
            started = await client.start_new("completes", "i", output, if_exists="restart_if_done")
            by_id = asyncio.create_task(client.wait_for_completion("i", REST))
            by_start = asyncio.create_task(client.wait_for_completion(started, REST))
            await asyncio.sleep(1.0)
            assert not by_id.done()
            assert not by_start.done()
            await client.raise_event("i", "go")
            told += [await by_id, await by_start]
        return told

    told = World(registry_of_ends()).run(wait)
    assert [status.output for status in told] == [text, text, "second", "second"]
    assert len({status.execution_id for status in told}) == 2


def test_nobody_waits_for_an_execution_that_another_one_has_replaced() -> None:
    async def wait(world: World) -> tuple[OrchestrationStatus, str, float]:
        client = world.client
        first = await client.start_new("completes", "i", "first")
        await client.raise_event("i", "go")
        await client.wait_for_completion(first, REST)
        second = await client.start_new("completes", "i", "second", if_exists="restart_if_done")
        began = world.loop.time()
        status = await client.wait_for_completion(first, REST)
        return status, execution_of(second), world.loop.time() - began

    status, second, took = World(registry_of_ends()).run(wait)
    assert status.execution_id == second
    assert not status.is_terminal
    assert took == 0.0


def test_an_end_that_came_before_the_waiting_is_found() -> None:
    async def wait(world: World) -> tuple[OrchestrationStatus, float]:
        client = world.client
        started = await client.start_new("chain", "i", 1)
        await asyncio.sleep(REST)
        began = world.loop.time()
        return await client.wait_for_completion(started, REST), world.loop.time() - began

    status, took = World(make_registry()).run(wait)
    assert status.output == 1
    assert took == 0.0


def test_nobody_waits_for_longer_than_was_asked() -> None:
    async def wait(world: World) -> list[tuple[OrchestrationStatus, float]]:
        client = world.client
        started = await client.start_new("completes", "i", "")
        found: list[tuple[OrchestrationStatus, float]] = []
        for timeout in (0.0, 0.05, 5.0):
            began = world.loop.time()
            found.append((await client.wait_for_completion(started, timeout), world.loop.time() - began))
        return found

    for (status, took), most in zip(World(registry_of_ends()).run(wait), (0.01, 0.06, 5.01), strict=True):
        assert status.runtime_status in (RuntimeStatus.PENDING, RuntimeStatus.RUNNING)
        assert took <= most


def test_nobody_looks_at_an_instance_while_this_process_runs_a_step_of_it() -> None:
    """The polls are for ends that another process may bring."""

    @activity
    async def long(seconds: float) -> str:
        await asyncio.sleep(seconds)
        return "done"

    @orchestrator
    def one_step(ctx: OrchestrationContext, seconds: float) -> Orchestration[str]:
        result = yield from ctx.call_activity(long, seconds)
        return result

    async def wait(world: World) -> tuple[OrchestrationStatus, int]:
        # Inside the host, as a request that waits is.
        client = world.hosts[0].app.client
        started = await client.start_new("one_step", "i", 0.9)
        await asyncio.sleep(0.1)
        before = table_reads(world)
        status = await client.wait_for_completion(started, REST)
        return status, table_reads(world) - before

    status, reads = World(Registry().add(long, one_step), counting=True).run(wait)
    assert status.output == "done"
    assert reads == 0


@pytest.mark.parametrize(("warm", "most"), [(True, 60), (False, 110)])
def test_many_who_wait_read_no_more_often_than_the_store_can_bear(warm: bool, most: int) -> None:
    """Reads in a second of 500 callers, once the first impatience is over."""
    callers, seconds = 500, 30

    async def wait(world: World) -> float:
        client = world.hosts[0].app.client if warm else world.client  # the latter's process runs no host
        client.longest_poll = LONGEST_POLL
        ids = [await client.start_new("completes", f"i{number}", "") for number in range(callers)]
        await asyncio.sleep(5)
        waiting = [asyncio.ensure_future(client.wait_for_completion(each, 60)) for each in ids]
        await asyncio.sleep(12)
        before = table_reads(world)
        await asyncio.sleep(seconds)
        found = (table_reads(world) - before) / seconds
        for each in waiting:
            each.cancel()
        return found

    assert World(registry_of_ends(), counting=True).run(wait) <= most
