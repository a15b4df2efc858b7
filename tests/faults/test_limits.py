"""Limits hold over all hosts: never more at once than permitted, nobody is forgotten, and every end gives back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.entities import EntityId
from durable_core.errors import OperationRefusedError, OrchestratorCodeError
from durable_core.limits import GATE, Limit
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault
from durable_core.testing.simulation import World
from tests.support.totals import Totals
from tests.support.worlds import stop_all_hosts

from .exhaustive import strike_each
from .limits import Floor, all_given_back, gates, on_a_floor

TWO = Limit(name="two", concurrency=2)
BY_TENANT = Limit(name="tenants", concurrency=1, key=lambda input_: input_["tenant"])
SOME = Limit(name="some", concurrency=2)
ONE = Limit(name="one", concurrency=1)


def make_registry(floor: Floor) -> Registry:
    @activity(limit=TWO)
    async def work(number: int) -> int:
        floor.enter("work", number)
        try:
            await asyncio.sleep(5)
        finally:
            floor.leave("work")
        return number * 10

    @activity(limit=BY_TENANT)
    async def serve(input_: dict[str, Any]) -> str:
        floor.enter(input_["tenant"], input_)
        try:
            await asyncio.sleep(5)
        finally:
            floor.leave(input_["tenant"])
        return input_["tenant"]

    @activity(limit=TWO, retry=RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1)))
    async def refuse(_: int) -> None:
        raise ValueError("no")

    @orchestrator
    def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        values = yield from ctx.task_all([ctx.call_activity(work, number) for number in range(width)])
        return sum(values)

    @orchestrator
    def tenants(ctx: OrchestrationContext, names: str) -> Orchestration[list[str]]:
        return (yield from ctx.task_all([ctx.call_activity("serve", {"tenant": name}) for name in names]))

    @orchestrator
    def failing(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(refuse, 1)

    @orchestrator
    def holds(ctx: OrchestrationContext, seconds: float) -> Orchestration[str]:
        with (yield from ctx.slot(SOME)):
            floor.enter("holds", ctx.instance_id) if not ctx.is_replaying else None
            yield ctx.create_timer(timedelta(seconds=seconds))
            floor.leave("holds") if not ctx.is_replaying else None
        return "held"

    @orchestrator
    def in_turns(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
        yield from ctx.slot(SOME)
        yield ctx.create_timer(timedelta(seconds=1))
        if left:
            ctx.continue_as_new(left - 1)  # which gives the slot back
        return left

    return Registry().add(work, serve, refuse, fan, tenants, failing, holds, in_turns)


simulate = partial(on_a_floor, make_registry)


async def _fans(world: World, floor: Floor) -> Any:
    """Two instances, of four calls each, of which two may go at once over both."""
    for name in "ab":
        await world.client.start_new("fan", name, 4)
    outputs = [(await world.client.wait_for_completion(name, 600)).output for name in "ab"]
    await all_given_back(world)
    return outputs


async def _keys(world: World, floor: Floor) -> Any:
    await world.client.start_new("tenants", "t", "xxyzx")
    output = (await world.client.wait_for_completion("t", 600)).output
    await all_given_back(world)
    return output


async def _ends(world: World, floor: Floor) -> Any:
    """Every way to end with a slot, or while waiting for one, gives it back to who waits."""
    client = world.client
    await client.start_new("holds", "terminated", 86_400)
    await client.start_new("holds", "cancelled", 86_400)
    await asyncio.sleep(5)
    await client.start_new("holds", "waits", 86_400)
    await client.start_new("failing", "failed")
    await client.start_new("in_turns", "turns", 2)
    await asyncio.sleep(5)
    await client.terminate("waits", "no longer")
    await client.terminate("terminated", "enough")
    await client.cancel("cancelled", "enough")
    await client.start_new("holds", "next", 1)
    ended = [
        (await client.wait_for_completion(name, 600)).runtime_status
        for name in ("terminated", "cancelled", "waits", "failed", "turns", "next")
    ]
    await all_given_back(world)
    return [str(status) for status in ended]


ENDED = ["Terminated", "Canceled", "Terminated", "Failed", "Completed", "Completed"]
SCENARIOS = [(_fans, [60, 60]), (_keys, list("xxyzx")), (_ends, ENDED)]


@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
def test_a_limit_holds_and_everything_is_given_back(drive: Any, expected: Any, cache: str) -> None:
    floor = Floor()
    outcome, world = simulate(drive, floor=floor, settings=Settings(warm_cache=0) if cache == "cold" else None)
    assert outcome == expected
    assert not world.failures
    del floor.most["holds"]  # one that is terminated does not say that it leaves
    assert all(number <= 2 for number in floor.most.values()), floor.most
    assert all(floor.most[tenant] <= 1 for tenant in "xyz")


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
def test_a_fault_at_any_storage_operation_changes_no_outcome(
    drive: Any, expected: Any, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: simulate(drive, plan), fault, expected, totals, receipts=False, at_most=4)


@pytest.mark.parametrize("hosts", [2, 3])
def test_it_holds_over_several_hosts(hosts: int) -> None:
    async def drive(world: World, floor: Floor) -> None:
        for number in range(6):
            await world.client.start_new("fan", f"i{number}", 5)
        for number in range(6):
            assert (await world.client.wait_for_completion(f"i{number}", 3600)).output == 100
        assert floor.most["work"] == 2
        await all_given_back(world)

    simulate(drive, hosts=hosts)


def test_a_purge_of_all_queues_loses_no_request_and_no_grant() -> None:
    async def drive(world: World, floor: Floor) -> None:
        await world.client.start_new("fan", "a", 5)
        for _ in range(8):
            await asyncio.sleep(2.5)
            for name in world.outside.hub.names.queues:
                await world.storage.queue(name).clear()
            await world.client.recover()
        assert (await world.client.wait_for_completion("a", 3600)).output == 100
        await all_given_back(world)

    simulate(drive)


def test_a_gate_says_who_holds_and_who_waits() -> None:
    async def drive(world: World, floor: Floor) -> None:
        for name in "abc":
            await world.client.start_new("holds", name, 600)
            await asyncio.sleep(1)
        state = (await gates(world))["some"]
        assert [place[1][0] for place in state["holders"]] == ["a", "b"]
        assert [place[1][0] for place in state["waiting"]] == ["c"]
        told = await world.client.explain("c")
        assert "slot of limit 'some'" in told.sentence
        assert "held by 'a'" in told.sentence or "'a'" in told.sentence
        assert await world.client.read_entity(EntityId(GATE, "some")) is not None

    simulate(drive)


def test_many_waits_for_one_limit_are_told_once_with_their_number() -> None:
    async def drive(world: World, floor: Floor) -> None:
        await world.client.start_new("fan", "a", 6)
        await asyncio.sleep(3)
        told = await world.client.explain("a")
        assert told.cause == "activity"
        assert "a slot of limit 'two' (4 times)" in told.sentence, told.sentence
        assert (await world.client.wait_for_completion("a", 600)).output == 150

    simulate(drive)


def test_an_orchestration_that_waits_for_its_own_slot_is_explained() -> None:
    @activity(limit=ONE)
    async def needs(_: None) -> None: ...

    @orchestrator
    def waits_for_itself(ctx: OrchestrationContext) -> Orchestration[None]:
        with (yield from ctx.slot(ONE)):
            yield from ctx.call_activity(needs, None)

    async def drive(world: World) -> None:
        await world.client.start_new("waits_for_itself", "a")
        await asyncio.sleep(60)
        told = await world.client.explain("a")
        assert "the longest by 'a'" in told.sentence
        assert "it waits for ever: terminate it (`durable_core terminate a`)" in told.action
        await world.client.terminate("a")
        await all_given_back(world)

    World(Registry().add(needs, waits_for_itself)).run(drive)


# ---------------------------------------------------------------- code that changes while instances wait


def _with(limit: Limit | None, floor: Floor) -> Registry:
    """The same orchestrator; its activity has this limit."""

    @activity(name="work", limit=limit)
    async def work(number: int) -> int:
        floor.enter("work", number)
        await asyncio.sleep(20)
        floor.leave("work")
        return number

    @orchestrator
    def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
        return sum((yield from ctx.task_all([ctx.call_activity("work", number) for number in range(width)])))

    return Registry().add(work, fan)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (None, TWO),
        (TWO, None),
        (TWO, Limit(name="other", concurrency=1, rate=5)),
        (TWO, Limit(name="two", concurrency=4)),
    ],
)
def test_an_instance_goes_on_as_it_has_begun_when_the_limit_of_its_activity_changes(
    before: Limit | None, after: Limit | None
) -> None:
    floor = Floor()
    world = World(_with(before, floor), settings=Settings(warm_cache=0))

    async def drive(world: World) -> None:
        await world.client.start_new("fan", "a", 5)
        await asyncio.sleep(10)
        await stop_all_hosts(world)
        world.add_host(_with(after, floor), build="another")
        assert (await world.client.wait_for_completion("a", 3600)).output == 10
        await world.client.start_new("fan", "b", 3)
        assert (await world.client.wait_for_completion("b", 3600)).output == 3
        await all_given_back(world)

    world.run(drive)
    assert not world.errors, world.errors


# ---------------------------------------------------------------- what cannot go on


def test_a_rewind_and_a_fork_to_where_a_slot_is_held_are_refused_and_a_restart_goes() -> None:
    async def drive(world: World, floor: Floor) -> None:
        client = world.client
        await client.start_new("failing", "f")
        assert (await client.wait_for_completion("f", 600)).runtime_status is RuntimeStatus.FAILED
        with pytest.raises(OperationRefusedError, match="held a slot of a limit"):
            await client.rewind("f")
        with pytest.raises(OperationRefusedError, match="slot of a limit"):
            await client.fork("f", until_task=2)
        again = await client.restart("f")
        assert (await client.wait_for_completion(again, 600)).runtime_status is RuntimeStatus.FAILED

    simulate(drive)


def test_a_second_slot_beside_the_first_and_what_is_no_limit_are_refused() -> None:
    @orchestrator
    def nested(ctx: OrchestrationContext) -> Orchestration[str]:
        said: list[str] = []
        with (yield from ctx.slot(TWO, "a")) as slot:
            for wrong in (lambda: ctx.slot(SOME), lambda: ctx.slot("two")):  # type: ignore[arg-type]
                try:
                    wrong()
                except OrchestratorCodeError as error:
                    said.append(str(error))
            slot.release()
            with (yield from ctx.slot(SOME, "b", group="g", priority=3)):
                pass
        return " ".join(said)

    @orchestrator
    def withdrawn(ctx: OrchestrationContext) -> Orchestration[str]:
        first = ctx.slot(ONE)
        yield from first
        return "held"

    @orchestrator
    def impatient(ctx: OrchestrationContext) -> Orchestration[str]:
        asked, timer = ctx.slot(ONE), ctx.create_timer(timedelta(seconds=5))
        winner = yield from ctx.task_any([asked, timer])
        if winner is timer:
            asked.cancel()
        yield ctx.create_timer(timedelta(seconds=30))
        return "late" if winner is timer else "in time"

    async def drive(world: World) -> None:
        client = world.client
        await client.start_new("nested", "n")
        output = (await client.wait_for_completion("n", 60)).output
        assert "another slot is held" in output
        assert "takes a Limit, not 'two'" in output
        await client.start_new("impatient", "i1")
        await asyncio.sleep(1)
        await client.start_new("impatient", "i2")
        assert (await client.wait_for_completion("i1", 600)).output == "in time"
        assert (await client.wait_for_completion("i2", 600)).output == "late"
        await all_given_back(world)

    world = World(Registry().add(nested, withdrawn, impatient))
    world.run(drive)
    assert not world.errors, world.errors


@pytest.mark.parametrize("key", [None, 1.5, ["a"], True])
def test_a_key_that_is_no_text_fails_the_call_with_its_line(key: Any) -> None:
    @activity(limit=Limit(name="l", concurrency=1, key=lambda _: key))
    def work(_: int) -> None: ...

    @orchestrator
    def calls(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(work, 1)

    async def drive(world: World) -> None:
        await world.client.start_new("calls", "c")
        status = await world.client.wait_for_completion("c", 60)
        assert status.failure is not None
        assert "the key of limit 'l' must be a text" in status.failure.message
        assert "test_limits.py" in status.failure.line

    World(Registry().add(work, calls)).run(drive)


def test_the_rate_is_that_of_all_hosts_and_waiting_costs_nothing() -> None:
    begun: list[float] = []
    limit = Limit(name="api", rate=3, per=timedelta(seconds=60))

    @activity(limit=limit)
    async def ask(_: int) -> None:
        begun.append(world.loop.time())

    @orchestrator
    def asks(ctx: OrchestrationContext, width: int) -> Orchestration[None]:
        yield from ctx.task_all([ctx.call_activity(ask, number) for number in range(width)])

    async def drive(world: World) -> tuple[int, int]:
        for name in "ab":
            await world.client.start_new("asks", name, 6)
        await asyncio.sleep(10)
        first = world.counted.counts
        await asyncio.sleep(45)
        idle = world.counted.counts - first
        for name in "ab":
            await world.client.wait_for_completion(name, 3600)
        await asyncio.sleep(200)
        assert await gates(world) == {}
        return idle.total, len(begun)

    world = World(Registry().add(ask, asks), hosts=2, counting=True)
    idle, number = world.run(drive)
    assert (idle, number) == (0, 12)
    for first, fourth in zip(begun, begun[3:], strict=False):
        assert fourth - first >= 59
    assert begun[-1] - begun[0] < 200


def test_branches_call_activities_with_a_limit_side_by_side() -> None:
    floor = Floor()

    @activity(limit=ONE)
    async def work(number: int) -> int:
        floor.enter("work", number)
        await asyncio.sleep(3)
        floor.leave("work")
        return number

    @orchestrator
    def branches(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        def branch(number: int) -> Orchestration[int]:
            first = yield from ctx.call_activity(work, number)
            return (yield from ctx.call_activity(work, first + 10))

        return (yield from ctx.task_all([branch(number) for number in range(3)]))

    async def drive(world: World) -> None:
        await world.client.start_new("branches", "b")
        assert (await world.client.wait_for_completion("b", 600)).output == [10, 11, 12]
        assert floor.most["work"] == 1
        await all_given_back(world)

    for cache in (Settings(), Settings(warm_cache=0)):
        world = World(Registry().add(work, branches), settings=cache)
        world.run(drive)
        assert not world.errors, world.errors
