"""A limit of whole orchestrations: each waits for its slot before its code begins, and every end gives it back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from durable_core import Debounce, Deduplicate, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.engine.events import ExecutionStarted
from durable_core.errors import (
    InstanceCompletedError,
    InvalidInputError,
    OperationRefusedError,
    RegistrationError,
    UnknownQueryError,
    UnknownUpdateError,
)
from durable_core.limits import Limit
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
PACED = Limit(name="paced", rate=2, per=timedelta(seconds=60))


def make_registry(floor: Floor) -> Registry:
    @activity
    async def work(key: str) -> str:
        floor.enter(key, key)
        await asyncio.sleep(5)
        floor.leave(key)
        return key

    @activity(limit=TWO)
    async def of_two(key: str) -> str:
        return key

    @activity(limit=PACED)
    async def of_paced(key: str) -> str:
        return key

    @orchestrator(limit=TWO)
    def job(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
        if not ctx.is_replaying:
            floor.order.append(f"began {ctx.instance_id}")
        yield from ctx.call_activity(work, "job")
        if what == "fail":
            raise ValueError("it fails")
        if what == "wait":
            yield from ctx.wait_for_external_event("Go")
        return what

    @orchestrator(limit=TWO)
    async def coroutine(ctx: OrchestrationContext, what: str) -> str:
        done: str = await ctx.call_activity("work", "job")
        return done

    @orchestrator(limit=BY_TENANT)
    def of_tenant(ctx: OrchestrationContext, input_: dict[str, Any]) -> Orchestration[str]:
        tenant: str = input_["tenant"]
        return (yield from ctx.call_activity(work, tenant))

    @orchestrator(limit=TWO)
    def turns(ctx: OrchestrationContext, left: int) -> Orchestration[str]:
        yield from ctx.call_activity(work, "job")
        if left:
            ctx.continue_as_new(left - 1)
        return "turned"

    @orchestrator(limit=TWO)
    def nested(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
        if what == "activity":
            yield from ctx.call_activity(of_two, "x")
        yield from ctx.slot(TWO)
        return "never"

    @orchestrator(limit=PACED)
    def paced(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(of_paced, "x")  # a rate holds nobody back for ever
        with (yield from ctx.slot(TWO)):
            return "done"

    @orchestrator
    def parent(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        return (yield from ctx.task_all([ctx.call_sub_orchestrator("job", f"{number}") for number in range(4)]))

    return Registry().add(work, of_two, of_paced, job, coroutine, of_tenant, turns, nested, paced, parent)


simulate = partial(on_a_floor, make_registry)


def _began(floor: Floor) -> list[str]:
    return [each.removeprefix("began ") for each in floor.order if each.startswith("began ")]


async def _jobs(world: World, floor: Floor) -> Any:
    for number in range(5):
        given = TWO if number == 3 else None
        await world.client.start_new("job" if number % 2 else "coroutine", f"j{number}", "ok", limit=given)
    await world.client.start_new("parent", "p")
    outputs = [(await world.client.wait_for_completion(f"j{number}", 900)).output for number in range(5)]
    outputs.append((await world.client.wait_for_completion("p", 900)).output)
    await all_given_back(world)
    return outputs


async def _ends(world: World, floor: Floor) -> Any:
    """Every end of one that holds a slot, or waits for one, and of a later generation."""
    client = world.client
    await client.start_new("job", "terminated", "wait")
    await client.start_new("job", "cancelled", "wait")
    await asyncio.sleep(10)
    await client.start_new("job", "no longer", "ok")
    await client.start_new("job", "not at all", "ok")
    await client.start_new("job", "failed", "fail")
    await client.start_new("turns", "turns", 3)
    await client.start_new("turns", "endless", 10**6)
    await client.start_new("job", "too late", "ok", timeout=timedelta(seconds=1))
    await asyncio.sleep(10)
    await client.terminate("no longer")
    await client.cancel("not at all")
    await client.terminate("terminated")
    await client.cancel("cancelled")
    await asyncio.sleep(40)
    await client.terminate("endless")
    names = ("terminated", "cancelled", "no longer", "not at all", "failed", "turns", "endless", "too late")
    ended = [str((await client.wait_for_completion(name, 900)).runtime_status) for name in names]
    await all_given_back(world)
    return ended


JOBS = [*("job", "ok", "job", "ok", "job"), ["0", "1", "2", "3"]]
ENDED = ["Terminated", "Canceled", "Terminated", "Canceled", "Failed", "Completed", "Terminated", "Failed"]
SCENARIOS = [(_jobs, JOBS), (_ends, ENDED)]


@pytest.mark.parametrize("cache", ["warm", "cold"])
@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
def test_a_limit_holds_and_every_end_gives_back(drive: Any, expected: Any, cache: str) -> None:
    floor = Floor()
    outcome, world = simulate(drive, floor=floor, settings=Settings(warm_cache=0) if cache == "cold" else None)
    assert outcome == expected
    assert not world.failures
    assert floor.most["job"] == 2


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(("drive", "expected"), SCENARIOS)
def test_a_fault_at_any_storage_operation_changes_no_outcome(
    drive: Any, expected: Any, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: simulate(drive, plan), fault, expected, totals, receipts=False, at_most=4)


@pytest.mark.parametrize("hosts", [2, 3])
def test_it_holds_over_several_hosts_and_for_each_key(hosts: int) -> None:
    async def drive(world: World, floor: Floor) -> None:
        names = [f"{tenant}{number}" for number in range(3) for tenant in "xyz"]
        for name in names:
            await world.client.start_new("of_tenant", name, {"tenant": name[0]})
        for name in names:
            assert (await world.client.wait_for_completion(name, 900)).output == name[0]
        assert all(floor.most[tenant] == 1 for tenant in "xyz")
        await all_given_back(world)

    simulate(drive, hosts=hosts)


def test_the_slot_goes_on_through_continue_as_new_and_others_wait_meanwhile() -> None:
    async def drive(world: World, floor: Floor) -> None:
        client = world.client
        for name in "ab":
            await client.start_new("turns", name, 4)
        await asyncio.sleep(1)
        await client.start_new("job", "c", "ok")
        held = (await gates(world))["two"]
        since = [place[5] for place in held["holders"]]
        await asyncio.sleep(11)  # they are in a later generation
        state = (await gates(world))["two"]
        assert [place[5] for place in state["holders"]] == since
        assert [place[1][0] for place in state["waiting"]] == ["c"]
        row = await world.outside.hub.instances.read("a")
        assert row is not None
        assert (row.generation > 0, row.format) == (True, 5)
        told = await client.explain("c")
        assert "slot of limit 'two'" in told.sentence
        assert "'a'" in told.sentence or "'b'" in told.sentence
        assert (await client.get_status("c")).runtime_status is RuntimeStatus.RUNNING
        for name in "abc":
            assert (await client.wait_for_completion(name, 900)).runtime_status is RuntimeStatus.COMPLETED
        assert _began(floor) == ["c"]
        await all_given_back(world)

    for settings in (Settings(), Settings(warm_cache=0)):
        simulate(drive, settings=settings)


def _pages(limit: Limit | None = None) -> Registry:
    @orchestrator(limit=limit)
    def free(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("Go")
        if what == "again":
            ctx.continue_as_new("ok")
        return what

    return Registry().add(free)


def test_a_start_gives_a_limit_which_holds_over_generations_and_goes_before_that_of_the_code() -> None:
    limit = Limit(name="given", concurrency=1, key=lambda what: "k" if what else "", priority=lambda what: len(what))

    async def drive(world: World) -> None:
        client = world.client
        await client.start_new("free", "a", "again", limit=limit)
        await client.start_new("free", "b", "ok", limit=limit)
        await asyncio.sleep(5)
        await client.start_new("free", "c", "longer", limit=limit)
        await asyncio.sleep(5)
        state = await gates(world)
        assert list(state) == ["given:k"]
        assert [place[1][0] for place in state["given:k"]["holders"]] == ["a"]
        assert [place[3] for place in state["given:k"]["waiting"]] == [2, 6]
        row = await world.outside.hub.instances.get("b")
        assert row is not None
        assert row.format == 5
        for _ in range(2):
            await client.raise_event("a", "Go")
            await asyncio.sleep(5)
        assert (await client.wait_for_completion("a", 60)).output == "ok"
        for name in "cb":
            assert [place[1][0] for place in (await gates(world))["given:k"]["holders"]] == [name]
            await client.raise_event(name, "Go")
            await client.wait_for_completion(name, 60)
        await all_given_back(world)
        again = await client.restart("b")
        await asyncio.sleep(5)
        assert list(await gates(world)) == ["given:k"]
        await client.terminate(again)
        await all_given_back(world)

    for code in (None, TWO):
        for settings in (Settings(), Settings(warm_cache=0)):
            world = World(_pages(code), settings=settings)
            world.run(drive)
            assert not world.errors, world.errors


def _with_handlers() -> Registry:
    @orchestrator
    def asked(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
        notes: list[str] = []
        ctx.set_query_handler("notes", lambda: notes)
        ctx.set_update_handler("note", notes.append)
        yield from ctx.wait_condition(lambda: bool(notes))
        return notes[0]

    @orchestrator
    def without(ctx: OrchestrationContext) -> Orchestration[None]:
        with (yield from ctx.slot(Limit(name="given", concurrency=1))):
            yield from ctx.wait_for_external_event("Go")

    return Registry().add(asked, without)


@pytest.mark.parametrize("cache", [0, None])
def test_an_update_waits_for_the_slot_and_a_query_says_what_is_waited_for(cache: int | None) -> None:
    limit = Limit(name="given", concurrency=1)
    reason = "has not begun yet: it waits for a slot of limit 'given'"

    async def drive(world: World) -> None:
        client = world.client
        for name in "ab":
            await client.start_new("asked", name, name, limit=limit)
            await asyncio.sleep(5)
        with pytest.raises(OperationRefusedError, match=reason):
            await client.update("b", "note", "early", timeout=3)
        with pytest.raises(OperationRefusedError, match=reason):
            await client.query("b", "notes")
        waiting = asyncio.create_task(client.update("b", "note", "second", update_id="u"))
        wrong = asyncio.create_task(client.update("b", "no such", timeout=60))
        await asyncio.sleep(20)
        await client.start_new("without", "w")
        await asyncio.sleep(5)
        for sent in (client.update("a", "no such"), client.update("w", "note", timeout=60)):
            with pytest.raises(UnknownUpdateError):
                await asyncio.wait_for(sent, 1)  # it has begun: there is no such handler
        assert not waiting.done() and not wrong.done()
        await client.update("a", "note", "first")
        await waiting
        with pytest.raises((UnknownUpdateError, InstanceCompletedError)):
            await wrong
        assert await client.update("b", "note", "again", update_id="u") is None
        assert (await client.wait_for_completion("b", 60)).output == "second"
        await client.start_new("asked", "c", "c", limit=limit)
        await asyncio.sleep(5)
        late = asyncio.create_task(client.update("c", "note", "third"))
        await asyncio.sleep(1)
        await client.terminate("c")
        with pytest.raises(InstanceCompletedError):
            await late
        with pytest.raises(UnknownQueryError):
            await client.query("c", "notes")
        await client.raise_event("w", "Go")
        await all_given_back(world)

    world = World(_with_handlers(), settings=Settings() if cache is None else Settings(warm_cache=cache))
    world.run(drive)
    assert not world.errors, world.errors


def test_a_debounced_start_has_the_limit_of_the_last_input_and_what_is_no_limit_is_refused() -> None:
    limit = Limit(name="given", concurrency=1, key=lambda what: what)

    async def drive(world: World) -> None:
        client = world.client
        debounce = Debounce(key="k", period=timedelta(seconds=10))
        one = ""
        for given in (limit, None, limit):
            for what in ("x", "y"):
                one = await client.start_new("free", client_input=what, debounce=debounce, limit=given)
        await asyncio.sleep(30)
        assert list(await gates(world)) == ["given:y"]
        await client.start_new("free", client_input="z", debounce=debounce, limit=limit)
        two = await client.start_new("free", client_input="z", debounce=debounce)
        await asyncio.sleep(30)
        assert list(await gates(world)) == ["given:y"]
        for each in (one, two):
            await client.raise_event(each, "Go")
            assert (await client.wait_for_completion(each, 60)).runtime_status is RuntimeStatus.COMPLETED
        await all_given_back(world)
        wrong: Any = "two"
        for once in (None, Deduplicate(key="k", window=timedelta(hours=1))):
            with pytest.raises(InvalidInputError, match="must be a Limit"):
                await client.start_new("free", client_input="x", limit=wrong, deduplicate=once)
            bad = Limit(name="l", concurrency=1, key=lambda _: None)
            with pytest.raises(InvalidInputError, match="the key of limit 'l' must be a text"):
                await client.start_new("free", client_input="x", limit=bad, deduplicate=once)

    world = World(_pages())
    world.run(drive)
    assert not world.errors, world.errors


def test_events_are_kept_and_a_suspended_one_waits_on() -> None:
    async def drive(world: World, floor: Floor) -> None:
        client = world.client
        for name in ("a", "b"):
            await client.start_new("job", name, "wait")
        await asyncio.sleep(10)
        await client.start_new("job", "c", "wait")
        await client.raise_event("c", "Go")
        await client.suspend("c")
        await client.raise_event("a", "Go")
        await asyncio.sleep(30)
        assert _began(floor) == ["a", "b"]
        await client.resume("c")
        assert (await client.wait_for_completion("c", 900)).output == "wait"
        await client.terminate("b")
        await all_given_back(world)

    simulate(drive)


@pytest.mark.parametrize("what", ["activity", "slot"])
def test_a_call_that_would_wait_for_its_own_orchestration_is_refused(what: str) -> None:
    async def drive(world: World, floor: Floor) -> None:
        await world.client.start_new("nested", "n", what)
        status = await world.client.wait_for_completion("n", 60)
        assert status.failure is not None
        assert "holds a slot of limit 'two' for its whole run" in status.failure.message
        assert "test_limits_of_orchestrations.py" in status.failure.line
        await world.client.start_new("paced", "p")
        assert (await world.client.wait_for_completion("p", 300)).output == "done"
        await all_given_back(world)

    simulate(drive)


def test_a_key_that_is_no_text_and_an_input_that_does_not_fit_fail_the_instance() -> None:
    @orchestrator(limit=Limit(name="l", concurrency=1, key=lambda input_: input_ / 2))
    def halves(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        yield from ctx.task_all([])
        return number

    async def drive(world: World) -> None:
        await world.client.start_new("halves", "h", 3)
        status = await world.client.wait_for_completion("h", 60)
        assert status.failure is not None
        assert "the key of limit 'l' must be a text" in status.failure.message
        assert await gates(world) == {}

    World(Registry().add(halves)).run(drive)
    with pytest.raises(RegistrationError, match="must be a Limit"):
        orchestrator(limit="two")(halves)  # type: ignore[call-overload]


def test_a_rewind_and_a_fork_are_refused_in_every_generation() -> None:
    async def drive(world: World, floor: Floor) -> None:
        client = world.client
        await client.start_new("job", "f", "fail")
        await client.wait_for_completion("f", 600)
        await client.start_new("turns", "t", 100)
        await asyncio.sleep(13)
        await client.terminate("t")
        await client.wait_for_completion("t", 600)
        for name in "ft":
            with pytest.raises(OperationRefusedError, match="held a slot of a limit"):
                await client.rewind(name)
        with pytest.raises(OperationRefusedError, match="slot of a limit"):
            await client.fork("t", until_failure=True)
        assert (await client.wait_for_completion(await client.restart("f"), 600)).runtime_status == "Failed"
        await all_given_back(world)

    simulate(drive)


# ---------------------------------------------------------------- code that changes while instances wait or run


def _with(limit: Limit | None, floor: Floor) -> Registry:
    @activity
    async def work(number: int) -> int:
        floor.enter("work", number)
        await asyncio.sleep(20)
        floor.leave("work")
        return number

    @orchestrator(limit=limit)
    def job(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
        yield from ctx.call_activity(work, left)
        if left:
            ctx.continue_as_new(left - 1)
        return left

    return Registry().add(work, job)


@pytest.mark.parametrize(
    ("before", "after"),
    [(None, TWO), (TWO, None), (TWO, Limit(name="other", concurrency=1)), (TWO, Limit(name="two", concurrency=4))],
)
def test_an_instance_goes_on_as_it_has_begun_when_the_limit_changes(before: Limit | None, after: Limit | None) -> None:
    floor = Floor()
    world = World(_with(before, floor), settings=Settings(warm_cache=0))

    async def drive(world: World) -> None:
        for name in "abcd":
            await world.client.start_new("job", name, 2)
        await asyncio.sleep(30)
        await stop_all_hosts(world)
        world.add_host(_with(after, floor), build="another")
        for name in "abcd":
            assert (await world.client.wait_for_completion(name, 3600)).output == 0
        await all_given_back(world)

    world.run(drive)
    assert not world.errors, world.errors


def test_the_history_of_a_later_generation_says_which_slot_it_holds() -> None:
    async def drive(world: World, floor: Floor) -> None:
        await world.client.start_new("turns", "a", 2)
        await asyncio.sleep(8)
        row = await world.outside.hub.instances.read("a")
        assert row is not None
        history = await world.outside.hub.instances.history(row)
        started = history[0].events[0]
        assert isinstance(started, ExecutionStarted)
        assert started.slot == ["@durable.gate@two", f"{row.execution_id}.0.run"]
        await world.client.wait_for_completion("a", 600)
        await all_given_back(world)

    simulate(drive)
