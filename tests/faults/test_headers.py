"""A fault at any storage operation: whatever runs of an instance with headers has them, and with its interceptors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    ClientCall,
    EntityContext,
    EntityId,
    Interceptor,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
    RetryPolicy,
    activity,
    entity,
    orchestrator,
)
from durable_core.codec import PayloadCodec
from durable_core.engine.events import SubOrchestrationCreated, TaskScheduled
from durable_core.hub.keys import HEADER_FORMAT, INSTANCE_KEY
from durable_core.settings import Settings
from durable_core.storage.ports import Props
from durable_core.testing import load_history
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import HostShape, World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, Scenario, result
from .soak import run_seed

SECRET = "s3cret-of-acme"
HEADERS = {"tenant": "acme", "token": SECRET}


class Stamps(Interceptor):
    """Each call says who makes it; nothing runs without the header of the client's interceptor."""

    async def around_client_call(self, call: ClientCall, proceed: Callable[[], Awaitable[Any]]) -> Any:
        call.headers.setdefault("token", SECRET)
        return await proceed()

    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        assert ctx.headers["token"] == SECRET
        found = yield from proceed()
        return [ctx.headers.get("by", ""), found]

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        if call.kind != "orchestration":
            call.headers["by"] = f"{ctx.name}-{ctx.new_uuid()[:0]}{call.kind}"

    async def around_activity(self, ctx: ActivityContext, proceed: Callable[[], Awaitable[Any]]) -> Any:
        assert ctx.headers["token"] == SECRET
        return [ctx.headers["by"], await proceed()]

    async def around_operation(self, ctx: EntityContext, proceed: Callable[[], Awaitable[Any]]) -> Any:
        assert ctx.headers["token"] == SECRET
        return [ctx.headers["by"], await proceed()]


def make_registry(effects: Effects) -> Registry:
    @activity(retry=RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1)))
    def tenant(ctx: ActivityContext, failures: int) -> Any:
        effects.runs[ctx.idempotency_key] += 1
        if ctx.attempt <= failures:
            raise ValueError("again")
        return ctx.headers["tenant"]

    @entity(name="tally")
    class Tally:
        count: int = 0

        def add(self, ctx: EntityContext, to: str = "") -> Any:
            self.count += 1
            if to:
                ctx.signal_entity(EntityId("tally", to), "add")
                ctx.start_new("leaf", None, f"leaf-of-{to}")
            return [ctx.headers["tenant"], self.count]

    @orchestrator
    def leaf(ctx: OrchestrationContext) -> Orchestration[Any]:
        return (yield from ctx.call_activity(tenant, 0))

    @orchestrator
    def family(ctx: OrchestrationContext) -> Orchestration[Any]:
        found = [
            (yield from ctx.call_activity(tenant, 0)),
            (yield from ctx.call_activity(tenant, 1, inline=False)),
            (yield from ctx.call_sub_orchestrator(leaf)),
            (yield from ctx.call_entity(EntityId("tally", "a"), Tally.add, "b")),
        ]
        ctx.start_orchestration(leaf, instance_id="detached")
        return found

    @orchestrator
    def rounds(ctx: OrchestrationContext, left: int) -> Orchestration[Any]:
        fan = yield from ctx.task_all([ctx.call_activity(tenant, 0) for _ in range(3)])
        if left:
            ctx.continue_as_new(left - 1)
        return fan

    return Registry().add(tenant, Tally, leaf, family, rounds).intercept(Stamps())


async def family(world: World) -> Any:
    await world.client.start_new("family", "one", headers={"tenant": "acme"})
    return [await result(world, each) for each in ("one", "leaf-of-b", "detached")]


async def rounds(world: World) -> Any:
    await world.client.start_new("rounds", "one", 2, headers=HEADERS)
    first = await result(world, "one")
    again = await world.client.restart("one", new_instance_id="two")
    return [first, await result(world, again)]


LEAF = ["leaf-activity", "acme"]
FAMILY = [
    [
        "",
        [
            ["family-activity", "acme"],
            ["family-activity", "acme"],
            ["family-sub_orchestration", LEAF],
            ["family-entity", ["acme", 1]],
        ],
    ],
    ["family-entity", LEAF],
    ["", LEAF],
]
ROUND = ["", [["rounds-activity", "acme"]] * 3]
SCENARIOS = [
    Scenario("a family", family, FAMILY),
    Scenario("generations and a restart", rounds, [ROUND, ROUND]),
]


def run(scenario: Scenario, plan: FaultPlan, *, cold: bool = False) -> tuple[Any, World]:
    effects = Effects()
    world = World(make_registry(effects), settings=Settings(warm_cache=0) if cold else None)
    return run_judged(world, effects, scenario.drive, plan), world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_loses_no_header(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.STALL])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_when_every_message_replays_the_stored_history(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan, cold=True), fault, scenario.expected, totals)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_hosts_with_faults_that_interleave_lose_no_header(scenario: Scenario, seed: int) -> None:
    run_seed(scenario, seed, make_registry=make_registry)


class Later(Interceptor):
    """Of a build that gives calls a header which the build before it does not give."""

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["by"] = f"{ctx.name}-{call.name}"


def chain_registry(effects: Effects) -> Registry:
    @activity
    def by_whom(ctx: ActivityContext) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return ctx.headers.get("by", "")

    @orchestrator
    def called(ctx: OrchestrationContext) -> Orchestration[str]:
        return ctx.headers.get("by", "")
        yield

    @orchestrator
    def chain(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        told: list[str] = []
        for _ in range(5):
            told.append((yield from ctx.call_activity(by_whom, inline=False)))
            told.append((yield from ctx.call_sub_orchestrator(called)))
        return told

    return Registry().add(by_whom, called, chain)


def run_with_two_builds(plan: FaultPlan, seen: set[str]) -> tuple[Any, World]:
    effects = Effects()
    older, newer = chain_registry(effects), chain_registry(effects).intercept(Later())
    world = World(older, hosts=2, shape=lambda number: HostShape(registry=newer if number == 0 else older))

    async def drive(world: World) -> Any:
        await world.client.start_new("chain", "one")
        told = await result(world, "one")
        seen.update(told)
        history = await load_history(world.outside.hub, "one")
        calls = [event for event in history.events if isinstance(event, TaskScheduled | SubOrchestrationCreated)]
        recorded: list[dict[str, str]] = [call.headers or {} for call in calls]
        return told == [headers.get("by", "") for headers in recorded]

    return run_judged(world, effects, drive, plan), world


def test_a_call_has_the_headers_that_its_commit_has_recorded_whichever_build_sends_it(totals: Totals) -> None:
    seen: set[str] = set()
    for fault in (Fault.CRASH_BEFORE, Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.STALL):
        strike_each(lambda plan: run_with_two_builds(plan, seen), fault, True, totals, at_most=5)
    assert "" in seen and len(seen) > 1, "both builds have taken part"


class Reversed(PayloadCodec):
    """Nothing is stored as it is."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def test_headers_are_stored_by_the_codec_and_in_the_rows_of_instances_that_have_them_alone() -> None:
    effects = Effects()
    world = World(make_registry(effects), codec=Reversed())
    stored: list[str] = []

    async def drive(world: World) -> Any:
        await family(world)
        stored.extend([repr(await _row(world, name)) for name in ("one", "detached", "leaf-of-b")])

    world.run(drive)
    assert not world.errors and not world.failures
    assert stored and not any(SECRET in row for row in stored)


async def _row(world: World, name: str) -> Props:
    """The properties of an instance's row, as they are stored."""
    instances = world.hosts[0].app.hub.instances
    instance = await instances.get(name)
    assert instance is not None and instance.format == HEADER_FORMAT and instance.headers
    found = await instances._table.get(name, INSTANCE_KEY)  # pyright: ignore[reportPrivateUsage]
    assert found is not None and found.props["fmt"] == HEADER_FORMAT
    return found.props
