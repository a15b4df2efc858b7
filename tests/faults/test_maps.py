"""A map runs each of its items and ends as its policy says, whatever fails meanwhile; nothing of it is left running."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast

import pytest

from durable_core import (
    ActivityContext,
    AtLeast,
    Interceptor,
    Limit,
    MapFailedError,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
    RetryPolicy,
    Task,
    TaskFailedError,
    Tolerate,
)
from durable_core import activity as activity_
from durable_core import orchestrator as orchestrator_
from durable_core.engine.mapping import batch as batches
from durable_core.errors import DurableError
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from durable_core.testing.virtual_time import START
from tests.support.totals import Totals
from tests.support.worlds import stop_all_hosts

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, make_registry, result

GATED = Limit(name="gated", concurrency=2, key=lambda job: job["tenant"])
OPTIONS: dict[str, tuple[int, int | None]] = {"direct": (2, None), "in batches": (4, 3), "one at a time": (1, 3)}


@dataclass
class Asked:
    """What is mapped, with the two numbers of ``OPTIONS``."""

    items: list[Any]
    width: int
    size: int | None


def registry_of(effects: Effects) -> Registry:
    @activity_
    def worked(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        effects.tries[str(number)] += 1
        if effects.broken and number % 10 == 7:
            raise ValueError(f"{number} is broken")
        return number * 10

    @activity_
    async def slow(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        await asyncio.sleep(15 if number else 1)
        return number

    @activity_(limit=GATED)
    def gated(ctx: ActivityContext, job: dict[str, Any]) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return f"{job['tenant']}{job['at']}"

    @orchestrator_
    def below(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        if number:
            yield from ctx.wait_for_external_event("Never")
        return (yield from ctx.call_activity(worked, number))

    @orchestrator_
    def all_of(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        return (yield from ctx.map(worked, asked.items, max_concurrency=asked.width, batch_size=asked.size))

    @orchestrator_
    def lazily(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        return (
            yield from ctx.map(
                worked, (number for number in asked.items), max_concurrency=asked.width, batch_size=asked.size
            )
        )

    @orchestrator_
    def settled(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        retry = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))
        found = yield from ctx.map(
            worked, asked.items, policy="all_settled", retry=retry, max_concurrency=asked.width, batch_size=asked.size
        )
        return [found.values, sorted(found.errors)]

    @orchestrator_
    def tolerant(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        try:
            found = yield from ctx.map(
                worked, asked.items, policy=Tolerate(count=1), max_concurrency=asked.width, batch_size=asked.size
            )
        except MapFailedError as error:
            return [str(error.failure.message), error.is_caused_by(ValueError)]
        return [found.values, sorted(found.errors)]

    @orchestrator_
    def enough(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        found = yield from ctx.map(
            slow, asked.items, policy=AtLeast(1), max_concurrency=asked.width, batch_size=asked.size
        )
        return len(found.values)  # after a fault another one may be the first

    @orchestrator_
    def with_children(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        found = yield from ctx.map(
            below, asked.items, policy=AtLeast(1), max_concurrency=asked.width, batch_size=asked.size
        )
        return found.values

    @orchestrator_
    def with_slots(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        return (yield from ctx.map(gated, asked.items, max_concurrency=asked.width, batch_size=asked.size))

    @orchestrator_
    def over_generations(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        sums = yield from ctx.map(worked, asked.items, max_concurrency=asked.width, batch_size=asked.size)
        if sum(sums) < 1000:
            ctx.continue_as_new(Asked([sum(sums), 1], asked.width, asked.size))
        return sum(sums)

    functions = (worked, slow, gated, below, all_of, lazily, settled, tolerant, enough, with_children, with_slots)
    return make_registry(effects).add(*functions, over_generations)


SCENARIOS: dict[str, tuple[str, Any, Any]] = {
    "all": ("all_of", [1, 2, 3, 4, 5, 6, 8], [10, 20, 30, 40, 50, 60, 80]),
    "lazily": ("lazily", [1, 2, 3, 4], [10, 20, 30, 40]),
    "settled": ("settled", [6, 7, 8, 17, 9], [[60, 80, 90], [1, 3]]),
    "tolerant": ("tolerant", [7, 1, 2, 3, 4, 5], [[10, 20, 30, 40, 50], [0]]),
    "intolerant": ("tolerant", [7, 17, 27, 1], None),
    "enough": ("enough", [0, 1, 2, 3, 4, 5, 6], 1),
    "children": ("with_children", [0, 1, 2, 3, 4], [0]),
    "slots": (
        "with_slots",
        [{"tenant": t, "at": n} for n in range(3) for t in "ab"],
        ["a0", "b0", "a1", "b1", "a2", "b2"],
    ),
    "generations": ("over_generations", [1, 2, 3], 6110),
}


def drive(scenario: str, how: str) -> Callable[[World], Awaitable[Any]]:
    name, items, _ = SCENARIOS[scenario]

    async def drive(world: World) -> Any:
        await world.client.start_new(name, "one", Asked(items, *OPTIONS[how]))
        outcome = await result(world, "one", look_every=5)
        await asyncio.sleep(4000)  # what was left behind would still run, or be stuck
        others = [each for each in await world.client.get_status_all() if each.instance_id != "one"]
        assert all(each.is_terminal for each in others), [(each.name, each.runtime_status) for each in others]
        return outcome

    return drive


def run(scenario: str, how: str, plan: FaultPlan) -> tuple[Any, World]:
    effects = Effects()
    world = World(registry_of(effects))
    return run_judged(world, effects, drive(scenario, how), plan), world


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_map_ends_as_its_policy_says_and_leaves_nothing_running(scenario: str, how: str) -> None:
    found, _ = run(scenario, how, FaultPlan({}))
    expected = SCENARIOS[scenario][2]
    if expected is None:
        assert found[1] is True
    else:
        assert found == expected


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_fault_at_any_operation_changes_nothing(scenario: str, fault: Fault, totals: Totals) -> None:
    expected, _ = run(scenario, "in batches", FaultPlan({}))
    strike_each(lambda plan: run(scenario, "in batches", plan), fault, expected, totals, at_most=1)


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("end", ["terminate", "cancel"])
def test_the_end_of_the_orchestration_ends_its_batches(how: str, end: str) -> None:
    effects = Effects()

    async def main(world: World) -> Any:
        await world.client.start_new("with_children", "one", Asked([1, 2, 3, 4, 5, 6], *OPTIONS[how]))
        await asyncio.sleep(60)
        assert len(await world.client.get_status_all()) > 2
        await (world.client.terminate("one", "stop") if end == "terminate" else world.client.cancel("one", "stop"))
        await asyncio.sleep(600)
        return {str(each.runtime_status) for each in await world.client.get_status_all()}

    world = World(registry_of(effects))
    assert run_judged(world, effects, main) == {"Terminated" if end == "terminate" else "Canceled"}


# Of a map that fails: its policy, its items, and how many of them it takes before it is over in "one at a time".
BROKEN: dict[str, tuple[Any, list[int]]] = {
    "all": ("all", [1, 7, 2, 3, 4, 5]),
    "tolerant": (Tolerate(count=1), [1, 7, 17, 2, 3, 4, 5]),
    "in each batch": (Tolerate(count=2), [7, 1, 2, 17, 3, 4, 27, 5, 6, 8]),
    "share": (Tolerate(share=0.2), [7, 1, 2, 17, 3, 4, 27, 5, 6]),
    "not enough": (AtLeast(8), [7, 1, 2, 17, 3, 4, 27, 5]),
    "settled": ("all_settled", [1, 7, 2, 3, 4, 17, 5, 6]),
}


def breaking(effects: Effects) -> Registry:
    """An orchestrator that fails of the items of a map, and returns their sum."""

    @orchestrator_
    def strict(ctx: OrchestrationContext, asked: Asked) -> Orchestration[int]:
        mapped: Callable[..., Task[Any]] = cast("Any", ctx).map
        name, *_ = cast("Any", asked.items)
        policy, numbers = BROKEN[name]
        found: Any = yield from mapped(
            "worked", iter(numbers), policy=policy, max_concurrency=asked.width, batch_size=asked.size
        )
        return sum([item.result for item in found] if name == "settled" else getattr(found, "values", found))

    return registry_of(effects).add(strict)


def rewound(name: str, how: str, plan: FaultPlan) -> tuple[Any, World]:
    """The map fails in one host; another one, to which ``plan`` happens, rewinds its instance and goes on with it."""
    effects = Effects()
    numbers = BROKEN[name][1]
    is_forced = how == "direct"  # the commit of the last failure calls another item, which is not undone

    async def main(world: World) -> Any:
        client = world.client
        await client.start_new("strict", "one", Asked([name], *OPTIONS[how]))
        await result(world, "one", look_every=5)
        await asyncio.sleep(600)
        status = await client.get_status("one")
        assert status.runtime_status is RuntimeStatus.FAILED, status
        done = [number for number in numbers if number % 10 != 7 and effects.tries[str(number)]]
        failed = [number for number in numbers if number % 10 == 7 and effects.tries[str(number)]]
        asked = await client.rewind("one", "it is repaired", dry_run=True)
        effects.broken = False
        await stop_all_hosts(world)
        host = world.add_host(plan=plan)
        with suppress(HostCrashError, DurableError):
            await host.app.client.rewind("one", "it is repaired", request_id="again", force=is_forced)
        with suppress(DurableError):
            await client.rewind("one", "it is repaired", request_id="again", force=is_forced)
        found = await result(world, "one", look_every=5)
        await asyncio.sleep(4000)
        assert all(each.is_terminal for each in await client.get_status_all())
        ran = {number: effects.tries[str(number)] for number in numbers}
        if not plan.strikes:
            assert [ran[number] for number in failed] == [2] * len(failed), "each failed item runs once more"
            if how != "direct":
                assert [ran[number] for number in done] == [1] * len(done), "what had succeeded does not run again"
        return found, sorted(item.name for item in asked.items) == ["worked"] * len(failed)

    world = World(breaking(effects))
    outcome = run_judged(world, effects, main)
    world.plans[:] = [plan]
    return outcome, world


@pytest.mark.parametrize("how", OPTIONS)
@pytest.mark.parametrize("name", BROKEN)
def test_a_rewind_calls_the_failed_items_of_a_map_again_and_no_others(name: str, how: str) -> None:
    (found, is_listed), _ = rewound(name, how, FaultPlan({}))
    assert found == 10 * sum(BROKEN[name][1]) and is_listed


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("name", BROKEN)
def test_so_too_when_a_host_fails_at_any_operation_of_the_rewind(name: str, fault: Fault, totals: Totals) -> None:
    expected = 10 * sum(BROKEN[name][1]), True
    strike_each(lambda plan: rewound(name, "in batches", plan), fault, expected, totals, at_most=1)


def test_a_fork_of_a_map_has_the_batches_before_it_and_runs_the_others() -> None:
    effects = Effects()

    async def main(world: World) -> Any:
        await world.client.start_new("all_of", "one", Asked([1, 2, 3, 4, 7], *OPTIONS["one at a time"]))
        await result(world, "one")
        effects.broken = False
        before = effects.tries.copy()
        forked = await world.client.fork("one", until_task=2)
        outcome = await result(world, forked.instance_id)
        assert [effects.tries[number] - before[number] for number in "12347"] == [0, 0, 0, 1, 1]
        return outcome

    world = World(registry_of(effects))
    assert run_judged(world, effects, main) == [10, 20, 30, 40, 70]


def test_batches_are_listed_and_purged_as_other_sub_orchestrations() -> None:
    effects = Effects()

    async def main(world: World) -> Any:
        client = world.client
        for instance_id in ("one", "two"):
            await client.start_new("all_of", instance_id, Asked([1, 2, 3, 4, 5], *OPTIONS["in batches"]))
            await result(world, instance_id)
        assert sorted(each.name for each in await client.get_status_all()) == ["all_of"] * 2 + ["durable.map"] * 4
        assert await client.purge_instance_history("one", recursive=True) == 3
        assert await client.purge_instance_history_by(START, runtime_status=[RuntimeStatus.COMPLETED]) == 3
        return await client.get_status_all()

    world = World(registry_of(effects))
    assert world.run(main) == [] and not world.errors


def test_a_batch_whose_results_are_large_leaves_items_to_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "REPORT_BYTES", 20)
    effects = Effects()

    async def main(world: World) -> Any:
        await world.client.start_new("all_of", "one", Asked([1, 2, 3, 4, 5, 6], 1, 6))
        outcome = await result(world, "one")
        return [outcome, len(await world.client.get_status_all()) - 1]

    outcome, children = run_judged(World(registry_of(effects)), effects, main)
    assert outcome == [10, 20, 30, 40, 50, 60]
    assert children == 2, "three results of eight bytes"


def test_the_results_of_a_batch_may_be_more_together_than_one_value_may_be() -> None:
    @activity_
    def page(number: int) -> str:
        return str(number) * 400

    @orchestrator_
    def pages(ctx: OrchestrationContext) -> Orchestration[int]:
        found = yield from ctx.map(page, range(6), batch_size=6, max_concurrency=4)
        return sum(map(len, found))

    async def main(world: World) -> Any:
        await world.client.start_new("pages", "one")
        return await result(world, "one")

    world = World(Registry().add(page, pages), settings=Settings(max_payload=450))
    assert run_judged(world, None, main) == 2400


@pytest.mark.parametrize("how", OPTIONS)
def test_the_calls_of_items_have_the_headers_of_the_instance_and_those_of_interceptors(how: str) -> None:
    """As often as there are items, be they direct calls or in batches."""
    calls: list[str] = []

    class Numbering(Interceptor):
        def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
            calls.append(call.kind)
            call.headers["by"] = ctx.name

    @activity_
    def told(ctx: ActivityContext, number: int) -> list[Any]:
        return [number, ctx.headers.get("tenant"), ctx.headers.get("by")]

    @orchestrator_
    def telling(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        return (yield from ctx.map(told, asked.items, max_concurrency=asked.width, batch_size=asked.size))

    async def main(world: World) -> Any:
        await world.client.start_new("telling", "one", Asked([1, 2, 3, 4], *OPTIONS[how]), headers={"tenant": "blue"})
        return await result(world, "one")

    world = World(Registry().add(told, telling).intercept(Numbering()))
    assert run_judged(world, None, main) == [[number, "blue", "telling"] for number in (1, 2, 3, 4)]
    assert set(calls) == {"activity"}


@pytest.mark.parametrize("how", OPTIONS)
def test_a_limit_that_the_orchestration_holds_itself_is_refused_in_batches_as_well(how: str) -> None:
    one = Limit(name="one", concurrency=1)

    @activity_(limit=one)
    def limited(number: int) -> int:
        return number

    @orchestrator_(limit=one)
    def holding(ctx: OrchestrationContext, asked: Asked) -> Orchestration[Any]:
        return (yield from ctx.map(limited, asked.items, max_concurrency=asked.width, batch_size=asked.size))

    async def main(world: World) -> Any:
        await world.client.start_new("holding", "one", Asked([1, 2], *OPTIONS[how]))
        await result(world, "one")
        failure = (await world.client.get_status("one")).failure
        return "" if failure is None else failure.message

    world = World(Registry().add(limited, holding))
    assert "holds a slot of limit 'one' for its whole run" in run_judged(world, None, main)


def test_an_orchestrator_may_raise_an_error_of_an_item_of_a_batch() -> None:
    effects = Effects()

    @orchestrator_
    def raises(ctx: OrchestrationContext) -> Orchestration[Any]:
        found = yield from ctx.map("worked", [1, 7], policy="all_settled", batch_size=2)
        error: TaskFailedError = found.errors[1]
        raise error

    async def main(world: World) -> Any:
        await world.client.start_new("raises", "one")
        await result(world, "one")
        status = await world.client.get_status("one")
        assert status.failure is not None
        rewound = await world.client.rewind("one", "as the batch has succeeded, it comes to the same end")
        assert rewound.undone == ()
        await result(world, "one")
        return status.failure.is_caused_by(ValueError)

    assert run_judged(World(registry_of(effects).add(raises)), effects, main)
