"""Where, how often and at what cost inline steps run. In virtual time, on simulated hosts."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.errors import StepFailedError
from durable_core.settings import Settings
from durable_core.testing.simulation import World


async def output(world: World, instance_id: str = "one") -> Any:
    status = await world.client.wait_for_completion(instance_id, 4 * 3600)
    assert status.is_terminal, status.stuck_reason
    assert status.failure is None, status.failure
    return status.output


class Counted:
    """A step that takes seconds and counts its runs by name."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.most = 0
        self._now = 0

    async def __call__(self, name: str, seconds: float) -> str:
        self.runs[name] += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._now -= 1
        return name


def test_a_step_costs_one_storage_operation() -> None:
    @orchestrator
    def steps(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        for n in range(number):
            yield from ctx.run("step", int, n)
        return number

    def operations(number: int) -> int:
        world = World(Registry().add(steps))

        async def drive(world: World) -> None:
            await world.client.start_new(steps, "one", number)
            assert await output(world) == number

        world.run(drive)
        return len(world.plans[0].operations)

    assert operations(11) - operations(1) == 10


def test_nothing_is_written_when_a_step_is_called() -> None:
    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.run("slow", asyncio.sleep, 50.0)

    world = World(Registry().add(waits))

    async def drive(world: World) -> None:
        await world.client.start_new(waits, "one")
        await asyncio.sleep(10)
        status = await world.client.get_status("one", show_history=True)
        assert [event["EventType"] for event in status.history_events or ()] == [
            "OrchestratorStarted",
            "ExecutionStarted",
        ]
        await output(world)

    world.run(drive)


@pytest.mark.parametrize("warm_cache", [0, 1_000_000])
def test_a_host_that_only_replays_does_not_run_a_step(warm_cache: int) -> None:
    counted = Counted()

    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        slow = ctx.run("slow", counted, "slow", 20.0)
        names: list[str] = []
        for _ in range(6):
            names.append((yield from ctx.wait_for_external_event("name", str)))
        return [*names, (yield from slow)]

    world = World(Registry().add(waits), hosts=4, settings=Settings(warm_cache=warm_cache))

    async def drive(world: World) -> Any:
        await world.client.start_new(waits, "one")
        for n in range(6):
            await asyncio.sleep(1)
            await world.client.raise_event("one", "name", str(n))
        return await output(world)

    assert world.run(drive) == ["0", "1", "2", "3", "4", "5", "slow"]
    assert counted.runs == {"slow": 1}
    assert not world.failures
    assert not world.errors


def test_a_step_runs_again_when_its_host_dies_in_the_middle_of_it() -> None:
    runs: list[float] = []
    world: World

    async def dies_once() -> int:
        runs.append(world.loop.time())
        if len(runs) == 1:
            world.plans[0].on_crash()
        await asyncio.sleep(5)
        return len(runs)

    @orchestrator
    def fragile(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        before = yield from ctx.run("before", int, 7)
        return [before, (yield from ctx.run("fragile", dies_once))]

    world = World(Registry().add(fragile))

    async def drive(world: World) -> Any:
        await world.client.start_new(fragile, "one")
        return await output(world)

    assert world.run(drive) == [7, 2]


def test_recovery_finds_a_step_that_no_message_speaks_for() -> None:
    runs: list[int] = []
    world: World

    async def dies_once() -> int:
        runs.append(1)
        if len(runs) == 1:
            world.plans[0].on_crash()
            await asyncio.sleep(3600)
        return len(runs)

    @orchestrator
    def fragile(ctx: OrchestrationContext) -> Orchestration[int]:
        return (yield from ctx.run("fragile", dies_once))

    world = World(Registry().add(fragile))

    async def drive(world: World) -> Any:
        await world.client.start_new(fragile, "one")
        await asyncio.sleep(1)
        names = world.outside.hub.names.control
        await world.storage.queue(names[0]).clear()
        await asyncio.sleep(3000)
        assert len(runs) == 1
        await world.outside.recover(full=True)
        return await output(world)

    assert world.run(drive) == 2


@pytest.mark.parametrize("hosts", [1, 3])
def test_many_steps_at_once_all_run_once(hosts: int) -> None:
    counted = Counted()

    @activity
    def echo(text: str) -> str:
        return text

    @orchestrator
    def many(ctx: OrchestrationContext) -> Orchestration[int]:
        others = [ctx.call_activity(echo, str(n)) for n in range(3)]
        names = yield from ctx.task_all([ctx.run(f"s{n}", counted, f"s{n}", 2.0 + n % 3) for n in range(40)])
        assert names == [f"s{n}" for n in range(40)]
        return len((yield from ctx.task_all(others)))

    world = World(Registry().add(many, echo), hosts=hosts)

    async def drive(world: World) -> Any:
        await world.client.start_new(many, "one")
        return await output(world)

    assert world.run(drive) == 3
    assert counted.runs == {f"s{n}": 1 for n in range(40)}
    assert counted.most > 8
    assert not world.failures


def test_steps_that_end_together_are_committed_together() -> None:
    counted = Counted()

    @orchestrator
    def several(ctx: OrchestrationContext) -> Orchestration[int]:
        names = yield from ctx.task_all([ctx.run(f"s{n}", counted, f"s{n}", 2.0) for n in range(8)])
        return len(names)

    world = World(Registry().add(several))

    async def drive(world: World) -> int:
        await world.client.start_new(several, "one")
        await output(world)
        status = await world.client.get_status("one", show_history=True)
        return [e["EventType"] for e in status.history_events or ()].count("OrchestratorStarted")

    assert world.run(drive) == 2
    assert counted.most == 8


def test_a_chain_of_steps_longer_than_a_turns_budget_goes_on_in_another_message() -> None:
    counted = Counted()

    @orchestrator
    def chain(ctx: OrchestrationContext) -> Orchestration[int]:
        for name in [f"s{n}" for n in range(20)]:
            yield from ctx.run("step", counted, name, 4.0)  # 80 s in all; a message's lease is 30 s
        return len(counted.runs)

    world = World(Registry().add(chain))

    async def drive(world: World) -> Any:
        await world.client.start_new(chain, "one")
        return await output(world)

    assert world.run(drive) == 20
    assert set(counted.runs.values()) == {1}
    assert not world.failures


def test_a_step_goes_on_while_the_instance_is_suspended_and_its_result_waits() -> None:
    counted = Counted()

    @orchestrator
    def waits(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.run("slow", counted, "slow", 10.0))

    world = World(Registry().add(waits))

    async def drive(world: World) -> Any:
        await world.client.start_new(waits, "one")
        await asyncio.sleep(1)
        await world.client.suspend("one")
        await asyncio.sleep(60)
        assert not (await world.client.get_status("one")).is_terminal
        await world.client.resume("one")
        return await output(world)

    assert world.run(drive) == "slow"
    assert counted.runs == {"slow": 1}


def test_a_step_is_retried_as_its_policy_says_and_its_history_does_not_grow() -> None:
    tries: list[float] = []
    world: World

    def flaky() -> int:
        tries.append(world.loop.time())
        if len(tries) < 4:
            raise ValueError(len(tries))
        return len(tries)

    @orchestrator
    def retries(ctx: OrchestrationContext) -> Orchestration[int]:
        policy = RetryPolicy(max_attempts=5, first_interval=timedelta(minutes=1), backoff=2)
        return (yield from ctx.run("flaky", flaky, retry=policy))

    world = World(Registry().add(retries))

    async def drive(world: World) -> Any:
        await world.client.start_new(retries, "one")
        assert await output(world) == 4
        status = await world.client.get_status("one", show_history=True)
        return [event["EventType"] for event in status.history_events or ()].count("StepCompleted")

    assert world.run(drive) == 1
    waits = [round((later - earlier) / 60) for earlier, later in pairwise(tries)]
    assert waits == [1, 2, 4]


def test_a_cancellation_inside_a_step_is_the_steps_failure() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    @orchestrator
    def catches(ctx: OrchestrationContext) -> Orchestration[str]:
        good = ctx.run("good", str, "good")
        try:
            yield from ctx.run("cancelled", cancelled)
        except StepFailedError as error:
            return f"{(yield from good)}, {error.failure.type}"
        return "unexpected"

    world = World(Registry().add(catches))

    async def drive(world: World) -> Any:
        await world.client.start_new(catches, "one")
        return await output(world)

    assert world.run(drive) == "good, asyncio.exceptions.CancelledError"


def test_the_context_cannot_be_used_inside_a_step_or_an_activity() -> None:
    contexts: list[OrchestrationContext] = []

    @activity
    def uses_context() -> None:
        contexts[0].create_timer(timedelta(1))

    @orchestrator
    def misuses(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        contexts[:] = [ctx]
        problems: list[str] = []
        for task in (
            ctx.run("calls", lambda: ctx.call_activity("other")),
            ctx.run("waits", lambda: ctx.wait_for_external_event("other")),
            ctx.run("shows", lambda: ctx.set_custom_status("other"), retry=RetryPolicy()),
            ctx.call_activity(uses_context),
        ):
            try:
                yield task
            except TaskFailedError as error:
                problems.append(error.failure.message)
        return problems

    world = World(Registry().add(misuses, uses_context))

    async def drive(world: World) -> Any:
        await world.client.start_new(misuses, "one")
        return await output(world)

    problems = world.run(drive)
    assert len(problems) == 4
    for what, problem in zip(
        ("step 'calls'", "step 'waits'", "step 'shows'", "activity 'uses_context'"), problems, strict=True
    ):
        assert f"used inside {what}" in problem
        assert "tests/unit/test_runtime_steps.py:" in problem or "unit/test_runtime_steps.py:" in problem
