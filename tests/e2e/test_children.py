"""Sub-orchestrations and detached orchestrations, over the real runtime in virtual time, warm and cold."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

import pytest

from durable_core import (
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    SubOrchestrationFailedError,
    activity,
    orchestrator,
)
from durable_core.errors import InstanceAlreadyExistsError
from durable_core.settings import Settings
from durable_core.testing.simulation import World

T = TypeVar("T")
TRIES = RetryPolicy(max_attempts=3, first_interval=timedelta(minutes=10), backoff=1.0, non_retriable=[KeyError])


@activity
def echo(value: Any) -> Any:
    return value


@orchestrator
def unlucky(ctx: OrchestrationContext, until: str) -> Orchestration[str]:
    """Succeeds when its id ends so."""
    yield from ctx.call_activity("echo", 1)
    if until == "never":
        raise KeyError("no use")
    if not ctx.instance_id.endswith(until):
        raise ConnectionError(ctx.instance_id)
    return ctx.instance_id


@orchestrator
def calls_with_retry(ctx: OrchestrationContext, asked: list[str | None]) -> Orchestration[str]:
    until, instance_id = asked
    assert until is not None
    return (yield from ctx.call_sub_orchestrator(unlucky, until, instance_id, retry=TRIES))


@orchestrator(version="1")
def release(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_activity("echo", ctx.version + " is the first", returns=str))


@orchestrator(name="release", version="2")
def release_2(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_activity("echo", ctx.version + " is the second", returns=str))


@orchestrator
def both_releases(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    return (
        yield from ctx.task_all(
            [
                ctx.call_sub_orchestrator("release", version="1", returns=str),
                ctx.call_sub_orchestrator("release", returns=str),
            ]
        )
    )


@orchestrator
def takes_an_id(ctx: OrchestrationContext, instance_id: str) -> Orchestration[bool]:
    try:
        yield from ctx.call_sub_orchestrator("release", None, instance_id, retry=TRIES)
    except SubOrchestrationFailedError as error:
        assert error.is_caused_by(InstanceAlreadyExistsError)
        return True
    return False


@orchestrator
def waits_a_day(ctx: OrchestrationContext, value: Any) -> Orchestration[Any]:
    yield from ctx.create_timer(timedelta(days=1))
    return (yield from ctx.call_activity("echo", value))


@orchestrator
def starts_and_ends(ctx: OrchestrationContext, instance_id: str | None) -> Orchestration[str]:
    yield from ctx.call_activity("echo", 1)
    return ctx.start_orchestration(waits_a_day, {"for": ctx.instance_id}, instance_id)


@orchestrator
def starts_and_waits(ctx: OrchestrationContext) -> Orchestration[None]:
    ctx.set_custom_status(ctx.start_orchestration(waits_a_day, "alone"))
    yield from ctx.wait_for_external_event("never")


@orchestrator
def starts_and_goes_on(ctx: OrchestrationContext, started: list[str]) -> Orchestration[list[str]]:
    yield from ctx.create_timer(timedelta(seconds=1))
    started.append(ctx.start_orchestration(waits_a_day, len(started)))
    if len(started) < 3:
        ctx.continue_as_new(started)
    return started


@orchestrator
def starts_what_cannot_be(ctx: OrchestrationContext, how: str) -> Orchestration[None]:
    if how == "child":
        yield from ctx.call_sub_orchestrator("release", None, "a/b")
    ctx.start_orchestration("release", None, "a/b")


APP = (
    echo,
    unlucky,
    calls_with_retry,
    release,
    release_2,
    both_releases,
    takes_an_id,
    waits_a_day,
    starts_and_ends,
    starts_and_waits,
    starts_and_goes_on,
    starts_what_cannot_be,
)

Scenario = Callable[[World], Awaitable[T]]
Run = Callable[[Scenario[Any]], Any]


@pytest.fixture(params=["warm", "cold"])
def run(request: pytest.FixtureRequest) -> Run:
    def run(scenario: Scenario[Any]) -> Any:
        settings = Settings(warm_cache=0) if request.param == "cold" else Settings()
        world = World(Registry().add(*APP), settings=settings)
        result = world.run(scenario)
        assert not world.errors, world.errors
        assert not world.failures, world.failures
        return result

    return run


async def output(world: World, name: str, data: Any = None, days: float = 1) -> Any:
    instance_id = await world.client.start_new(name, client_input=data)
    status = await world.client.wait_for_completion(instance_id, timeout=days * 86_400)
    assert status.runtime_status is RuntimeStatus.COMPLETED, status.failure
    return status.output


@pytest.mark.parametrize(("until", "minutes"), [("job", 0), ("job.2", 10), ("job.3", 20)])
def test_each_attempt_at_a_child_is_an_instance_of_its_own(run: Run, until: str, minutes: int) -> None:
    async def scenario(world: World) -> tuple[Any, float, list[tuple[str, str]]]:
        result = await output(world, "calls_with_retry", [until, "job"])
        attempts = await world.client.get_status_by(instance_id_prefix="job")
        return result, world.loop.time(), sorted((s.instance_id, str(s.runtime_status)) for s in attempts)

    result, took, attempts = run(scenario)
    assert result == until
    assert minutes * 60 <= took < minutes * 60 + 20
    expected = [("job", "Failed"), ("job.2", "Failed"), ("job.3", "Failed")][: minutes // 10 + 1]
    assert attempts == [*expected[:-1], (until, "Completed")]


def test_attempts_at_a_child_without_an_id_have_ids_of_their_own_too(run: Run) -> None:
    result = run(lambda world: output(world, "calls_with_retry", [".3", None]))
    assert result.endswith(":1.3")


@pytest.mark.parametrize(("until", "tried"), [("nothing like it", 3), ("never", 1)])
def test_the_last_failure_of_a_child_is_the_parents_and_no_attempt_follows_it(run: Run, until: str, tried: int) -> None:
    async def scenario(world: World) -> tuple[Any, int, float]:
        await world.client.start_new("calls_with_retry", "one", [until, "job"])
        status = await world.client.wait_for_completion("one", timeout=86_400)
        return status, len(await world.client.get_status_by(instance_id_prefix="job")), world.loop.time()

    status, attempts, took = run(scenario)
    assert attempts == tried
    assert took < (tried - 1) * 600 + 20, "there is no wait after the last failure"
    assert status.failure.is_caused_by(SubOrchestrationFailedError)
    assert status.failure.is_caused_by(KeyError if until == "never" else ConnectionError)


def test_a_child_is_of_the_version_asked_for_or_of_the_newest(run: Run) -> None:
    assert run(lambda world: output(world, "both_releases")) == ["1 is the first", "2 is the second"]


def test_a_child_id_that_is_somebody_elses_is_a_clear_failure_and_is_not_tried_again(run: Run) -> None:
    async def scenario(world: World) -> tuple[bool, float, Any]:
        await world.client.start_new("waits_a_day", "taken", "mine")
        conflict = await output(world, "takes_an_id", "taken")
        took = world.loop.time()
        return conflict, took, (await world.client.wait_for_completion("taken", timeout=2 * 86_400)).output

    conflict, took, other = run(scenario)
    assert conflict
    assert took < 60
    assert other == "mine"


@pytest.mark.parametrize("how", ["child", "detached"])
def test_an_instance_id_that_cannot_be_is_refused_where_it_is_given(run: Run, how: str) -> None:
    async def scenario(world: World) -> Any:
        await world.client.start_new("starts_what_cannot_be", "one", how)
        return (await world.client.wait_for_completion("one", timeout=60)).failure

    failure = run(scenario)
    assert "must not hold '/'" in failure.message
    assert "test_children.py:" in failure.message


@pytest.mark.parametrize("instance_id", [None, "my-own"])
def test_a_detached_orchestration_outlives_who_started_it(run: Run, instance_id: str | None) -> None:
    async def scenario(world: World) -> Any:
        started = await output(world, "starts_and_ends", instance_id)
        assert world.loop.time() < 60, "nobody waits for it"
        status = await world.client.wait_for_completion(started, timeout=2 * 86_400)
        return started, status

    started, status = run(scenario)
    assert started == (instance_id or started)
    assert status.runtime_status is RuntimeStatus.COMPLETED
    assert status.parent_instance_id is None
    assert list(status.output) == ["for"]


def test_a_detached_orchestration_survives_the_termination_of_who_started_it(run: Run) -> None:
    async def scenario(world: World) -> Any:
        await world.client.start_new("starts_and_waits", "starter")
        while not (status := await world.client.get_status("starter")).custom_status:
            await world.client.wait_for_completion("starter", timeout=1)
        await world.client.terminate("starter", "enough")
        assert (await world.client.wait_for_completion("starter", 60)).runtime_status is RuntimeStatus.TERMINATED
        return await world.client.wait_for_completion(status.custom_status, timeout=2 * 86_400)

    assert run(scenario).output == "alone"


def test_each_generation_starts_detached_orchestrations_of_its_own(run: Run) -> None:
    async def scenario(world: World) -> Any:
        started = await output(world, "starts_and_goes_on", [])
        ended = [await world.client.wait_for_completion(instance_id, timeout=2 * 86_400) for instance_id in started]
        return [status.output for status in ended]

    assert run(scenario) == [0, 1, 2]


def test_a_detached_orchestration_with_an_id_in_use_is_not_started_and_that_is_logged(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario(world: World) -> Any:
        await world.client.start_new("waits_a_day", "taken", "mine")
        started = await output(world, "starts_and_ends", "taken")
        assert started == "taken"
        return (await world.client.wait_for_completion("taken", timeout=2 * 86_400)).output

    with caplog.at_level(logging.WARNING, "durable_core.runtime"):
        assert run(scenario) == "mine"
    assert "there is an instance 'taken' already" in caplog.text
    assert "test_children.py:" in caplog.text
