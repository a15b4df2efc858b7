"""What becomes of an open child when its parent ends: ``parent_close``, for every way to end, under every fault."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry
from durable_core import orchestrator as orchestrator_
from durable_core.errors import TaskCancelledError
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, make_registry

POLICIES = {"abandon": "Running", "cancel": "Canceled", "terminate": "Terminated"}
_PARENT = {
    "completes": RuntimeStatus.COMPLETED,
    "fails": RuntimeStatus.FAILED,
    "is terminated": RuntimeStatus.TERMINATED,
    "is cancelled": RuntimeStatus.CANCELED,
    "overruns": RuntimeStatus.FAILED,
    "continues": RuntimeStatus.RUNNING,
}


def registry_of(effects: Effects) -> Registry:
    @orchestrator_
    def patient(ctx: OrchestrationContext) -> Orchestration[str]:
        """Waits for ever, with a child of its own."""
        ctx.call_sub_orchestrator(quiet, None, f"{ctx.instance_id}-below")
        try:
            yield from ctx.wait_for_external_event("Never")
        except TaskCancelledError:
            ctx.set_custom_status("cleaned up")
            raise
        return "never"

    @orchestrator_
    def quiet(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Never")

    @orchestrator_
    def ready(ctx: OrchestrationContext) -> Orchestration[None]:
        return
        yield

    @orchestrator_
    def leaves(ctx: OrchestrationContext, asked: list[str]) -> Orchestration[str]:
        policy: Any = asked[1]
        if asked[0] == "continued":
            yield from ctx.wait_for_external_event("Never")
        ctx.call_sub_orchestrator(patient, None, "child", parent_close=policy)
        ended = ctx.call_sub_orchestrator(ready, None, "ended", parent_close=policy)
        yield from ended
        yield from ctx.wait_for_external_event("Go")
        if asked[0] == "fails":
            raise ValueError("no")
        if asked[0] == "continues":
            ctx.continue_as_new(["continued", policy])
        return "done"

    return make_registry(effects).add(patient, quiet, ready, leaves)


def drive(way: str, policy: str) -> Callable[[World], Awaitable[Any]]:
    async def drive(world: World) -> Any:
        client = world.client
        timeout = timedelta(minutes=5) if way == "overruns" else None
        await client.start_new("leaves", "one", [way, policy], timeout=timeout)
        await _until(world, "ended", RuntimeStatus.COMPLETED)
        await _until(world, "child", RuntimeStatus.RUNNING)
        await _until(world, "child-below", RuntimeStatus.RUNNING)
        match way:
            case "is terminated":
                await client.terminate("one", "stop", recursive=False)
            case "is cancelled":
                await client.cancel("one", "stop", recursive=False)
            case "overruns":
                pass
            case _:
                await client.raise_event("one", "Go")
        if way == "continues":
            await asyncio.sleep(120)
        else:
            await _until(world, "one", _PARENT[way])
        expected = "Terminated" if way == "overruns" else POLICIES[policy]  # a timeout ends all children, as before
        for each in ("child", "child-below"):
            await _until(world, each, RuntimeStatus(expected))
        status = await client.get_status("child")
        if expected == "Running":  # the oracle wants everything to have ended
            await client.terminate("child", "by the test")
            await _until(world, "child-below", RuntimeStatus.TERMINATED)
        if way == "continues":
            await client.terminate("one", "by the test")
            await _until(world, "one", RuntimeStatus.TERMINATED)
        return [expected, status.custom_status, (await client.get_status("ended")).runtime_status]

    return drive


async def _until(world: World, instance_id: str, wanted: RuntimeStatus) -> None:
    for _ in range(4_000):
        status = await world.client.get_status(instance_id)
        if status and status.runtime_status is wanted:
            return
        await asyncio.sleep(1)
    raise AssertionError(f"{instance_id} is not {wanted}: {await world.client.get_status(instance_id)}")


def run(way: str, policy: str, plan: FaultPlan) -> tuple[Any, World]:
    effects = Effects()
    world = World(registry_of(effects))
    return run_judged(world, effects, drive(way, policy), plan), world


def outcome_of(way: str, policy: str) -> list[Any]:
    expected = "Terminated" if way == "overruns" else POLICIES[policy]
    return [expected, "cleaned up" if expected == "Canceled" else None, RuntimeStatus.COMPLETED]


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("way", _PARENT)
def test_an_open_child_gets_what_its_call_says_when_the_parent_ends(way: str, policy: str) -> None:
    found, _ = run(way, policy, FaultPlan({}))
    assert found == outcome_of(way, policy)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize(
    ("way", "policy"),
    [("completes", "terminate"), ("fails", "cancel"), ("is terminated", "terminate"), ("continues", "terminate")],
)
def test_a_fault_at_any_operation_changes_nothing(way: str, policy: str, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(way, policy, plan), fault, outcome_of(way, policy), totals, at_most=1)


def test_a_policy_that_nothing_comes_of_costs_nothing() -> None:
    """A child that has ended, and a parent without such children, cost what they cost without the option."""

    @orchestrator_
    def calls(ctx: OrchestrationContext, policy: Any) -> Orchestration[None]:
        yield from ctx.call_sub_orchestrator("child", parent_close=policy)

    @orchestrator_
    def child(ctx: OrchestrationContext) -> Orchestration[None]:
        return
        yield

    def operations(policy: str) -> int:
        world = World(Registry().add(calls, child))

        async def main(world: World) -> int:
            await world.client.start_new("calls", "one", policy)
            await _until(world, "one", RuntimeStatus.COMPLETED)
            await asyncio.sleep(60)
            total = 0
            for each in (await world.client.list_instances()).instances:
                done = (await world.client.get_status(each.instance_id)).operations
                assert done is not None
                total += done.reads + done.writes + done.messages
            return total

        return world.run(main)

    assert operations("terminate") == operations("abandon")


@pytest.mark.parametrize("policy", [None, "kill", "", True, ["cancel"]])
def test_another_policy_is_refused_at_its_line(policy: Any) -> None:
    @orchestrator_
    def calls(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_sub_orchestrator("child", parent_close=policy)

    world = World(Registry().add(calls))

    async def main(world: World) -> str:
        await world.client.start_new("calls", "one")
        await _until(world, "one", RuntimeStatus.FAILED)
        failure = (await world.client.get_status("one")).failure
        assert failure is not None
        return failure.message

    message = world.run(main)
    assert "must be one of 'abandon', 'cancel', 'terminate'" in message
    assert "(at faults/test_parent_close.py:" in message


def test_a_termination_without_the_code_reads_the_policy_from_the_history() -> None:
    """The code of the parent has changed: it is stuck, and is terminated from its history alone."""
    is_changed = False

    @orchestrator_
    def waits(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Never")

    @orchestrator_
    def leaves(ctx: OrchestrationContext) -> Orchestration[None]:
        if is_changed:
            yield from ctx.create_timer(timedelta(days=1))
        for policy in ("terminate", "cancel", "abandon"):
            given: Any = policy
            ctx.call_sub_orchestrator(waits, None, policy, parent_close=given)
        yield from ctx.wait_for_external_event("Go")

    world = World(Registry().add(waits, leaves), settings=Settings(warm_cache=0))

    async def main(world: World) -> list[RuntimeStatus | None]:
        nonlocal is_changed
        await world.client.start_new("leaves", "one")
        for each in ("terminate", "cancel", "abandon"):
            await _until(world, each, RuntimeStatus.RUNNING)
        is_changed = True
        await world.client.raise_event("one", "Go")
        await asyncio.sleep(120)
        assert (await world.client.get_status("one")).stuck_reason
        await world.client.terminate("one", "stop", recursive=False)
        await _until(world, "one", RuntimeStatus.TERMINATED)
        await asyncio.sleep(120)
        return [(await world.client.get_status(each)).runtime_status for each in ("terminate", "cancel", "abandon")]

    assert world.run(main) == [RuntimeStatus.TERMINATED, RuntimeStatus.CANCELED, RuntimeStatus.RUNNING]
