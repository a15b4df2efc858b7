"""Hosts of work that run the turn after a lone call, and the lone calls that follow, in the place of their messages."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import Role, World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import run_judged
from .plays import play_registry
from .scenarios import Effects, Scenario
from .stage import Stage, on_stage

WORK_FIRST: tuple[Role, ...] = ("work", "control", "work")
"""The faults strike the first host."""


def make_registry(effects: Effects) -> Registry:
    @activity
    def double(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return 2 * number

    @activity(queue="special")
    def special(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return number + 1

    @activity
    def flaky(ctx: ActivityContext, failures: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        if ctx.attempt <= failures:
            raise LookupError(f"attempt {ctx.attempt} fails")
        return ctx.attempt

    @orchestrator
    def steps(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        value = 1
        for _ in range(number):
            value = yield from ctx.call_activity(double, value, inline=False)
        return value

    @orchestrator
    def all_sorts(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        """Calls of another queue, calls that fail at first and for good, several at once, one that may run inline."""
        policy = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=20))
        found = [(yield from ctx.call_activity(double, 1, inline=False))]
        found.append((yield from ctx.call_activity(special, 2, inline=False)))
        found.append((yield from ctx.call_activity(flaky, 1, inline=False, retry=policy)))
        try:
            yield from ctx.call_activity(flaky, 9, inline=False)
        except TaskFailedError:
            found.append(0)
        found += yield from ctx.task_all([ctx.call_activity(double, n, inline=False) for n in (3, 4)])
        found.append((yield from ctx.call_activity(double, 5)))
        found.append((yield from ctx.call_activity(double, 6, inline=False)))
        return found

    @orchestrator
    def anew(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
        value = yield from ctx.call_activity(double, left, inline=False)
        value = yield from ctx.call_activity(double, value, inline=False)
        if left:
            ctx.continue_as_new(left - 1)
        return value + 1

    return Registry().add(double, special, flaky, steps, all_sorts, anew)


def _drive(name: str, data: Any = None) -> Callable[[World], Awaitable[Any]]:
    async def drive(world: World) -> Any:
        await world.client.start_new(name, "one", data)
        status = await world.client.wait_for_completion("one", 24 * 3600)
        return status.runtime_status, status.output

    return drive


DONE = RuntimeStatus.COMPLETED
SCENARIOS = [
    Scenario("steps", _drive("steps", 10), (DONE, 1024)),
    Scenario("all sorts", _drive("all_sorts"), (DONE, [2, 3, 2, 0, 6, 8, 10, 12])),
    Scenario("anew", _drive("anew", 3), (DONE, 1)),
]


def run(scenario: Scenario, *plans: FaultPlan) -> tuple[Any, World, Effects]:
    effects = Effects()
    world = World(make_registry(effects), hosts=WORK_FIRST)
    return run_judged(world, effects, scenario.drive, *plans), world, effects


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_without_faults_every_call_runs_once(scenario: Scenario) -> None:
    outcome, world, effects = run(scenario)
    assert outcome == scenario.expected
    assert not world.failures
    retried = {"all sorts": 1}.get(scenario.name, 0)
    assert sum(runs - 1 for runs in effects.runs.values()) == retried


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_of_a_host_of_work_changes_no_outcome(
    scenario: Scenario, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: run(scenario, plan)[:2], fault, scenario.expected, totals)


# ---------------------------------------------------------------- while a call runs in the place of its message


def _plays(play: Callable[[Stage, asyncio.Task[None]], Awaitable[None]]) -> None:
    """Host 2 runs A and the next turn, which calls B, and is held in B. Then the play goes on; "steps" calls C last."""

    async def perform(stage: Stage) -> None:
        await stage.client.start_new("steps", "one", ["a", "b", "c"])
        first, second = stage.host(), stage.host()
        await first.handle("control")
        running = stage.hold_activity("b")
        turn = await second.begin("work")
        await running.reached()
        asyncio.get_running_loop().call_later(600, running.let_go)
        await play(stage, turn)
        running.let_go()
        await asyncio.wait([turn])
        await stage.ends_well(exactly_once=True)

    on_stage(play_registry, perform, turns_at_work=True)


def test_what_is_terminated_meanwhile_calls_nothing_more() -> None:
    async def play(stage: Stage, _: asyncio.Task[None]) -> None:
        await stage.client.terminate("one", "enough")
        await stage.host().handle("control")
        assert (await stage.client.get_status("one")).runtime_status is RuntimeStatus.TERMINATED
        assert len(stage.effects.runs) == 2

    _plays(play)


def test_what_is_suspended_meanwhile_calls_nothing_before_it_is_resumed() -> None:
    async def play(stage: Stage, turn: asyncio.Task[None]) -> None:
        await stage.client.suspend("one", "wait")
        await stage.host().handle("control")
        await asyncio.sleep(601)
        await asyncio.wait([turn])
        assert len(stage.effects.runs) == 2, "C has run"
        await stage.client.resume("one")

    _plays(play)


def test_what_is_cancelled_meanwhile_ends_as_its_code_says() -> None:
    async def play(stage: Stage, turn: asyncio.Task[None]) -> None:
        await stage.client.cancel("one", "no more")
        await stage.host().handle("control")
        await asyncio.sleep(601)
        await asyncio.wait([turn])
        assert (await stage.client.get_status("one")).runtime_status is RuntimeStatus.CANCELED
        assert len(stage.effects.runs) == 2

    _plays(play)


def test_what_is_purged_and_started_again_meanwhile_gets_no_result_of_before() -> None:
    async def play(stage: Stage, turn: asyncio.Task[None]) -> None:
        await stage.client.terminate("one", "enough")
        await stage.host().handle("control")
        await stage.client.purge_instance_history("one")
        await stage.client.start_new("steps", "one", ["x", "y"])
        await asyncio.sleep(601)
        await asyncio.wait([turn])
        await stage.settle()
        assert await stage.output() == ["x", "y"]

    _plays(play)
