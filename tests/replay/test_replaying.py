"""Replaying a history is what a host does with it, and nothing else."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from durable_core import (
    NonDeterminismError,
    Orchestration,
    OrchestrationContext,
    Registry,
    activity,
    orchestrator,
)
from durable_core.errors import InstanceNotFoundError, UnknownOrchestratorError
from durable_core.models import RuntimeStatus
from durable_core.replay.replayer import definition_for, replay_live
from durable_core.testing import History, load_history, replay
from durable_core.testing.simulation import World

PROJECT = Path(__file__).resolve().parents[2]

closed: list[str] = []


@activity
def first(value: int) -> int:
    return value + 1


@activity
def second(value: int) -> int:
    return value * 2


@orchestrator(name="steps")
def steps(ctx: OrchestrationContext, start: int) -> Orchestration[int]:
    try:
        got = yield from ctx.call_activity(first, start)
        yield from ctx.wait_for_external_event("go")
        return (yield from ctx.call_activity(second, got))
    finally:
        closed.append("steps")


@orchestrator(name="steps")
def changed(ctx: OrchestrationContext, start: int) -> Orchestration[int]:
    try:
        return (yield from ctx.call_activity(second, start))
    finally:
        closed.append("changed")


@orchestrator(name="steps", version="2")
def newer(ctx: OrchestrationContext, start: int) -> Orchestration[int]:
    return (yield from ctx.call_activity(second, start))


@orchestrator
def rounds(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
    yield from ctx.wait_for_external_event("go")
    yield from ctx.call_activity(first, left)
    if left == 0:
        return 0
    ctx.continue_as_new(left - 1)
    return 0


REGISTRY = Registry().add(first, second, steps, rounds)


def taken(scenario: Callable[[World], Awaitable[History]], registry: Registry = REGISTRY) -> History:
    world = World(registry)
    history = world.run(scenario)
    assert not world.errors
    return history


async def waiting(world: World) -> History:
    await world.client.start_new(steps, "one", 1)
    while len(status_events := (await load_history(world.outside.hub, "one")).events) < 3:
        await world.client.wait_for_completion("one", 5)
    assert status_events
    return await load_history(world.outside.hub, "one")


async def ended(world: World) -> History:
    await world.client.start_new(steps, "one", 1)
    await world.client.raise_event("one", "go")
    await world.client.wait_for_completion("one", 60)
    return await load_history(world.outside.hub, "one")


@pytest.mark.parametrize("scenario", [waiting, ended])
def test_the_code_that_made_a_history_replays_it(scenario: Callable[[World], Awaitable[History]]) -> None:
    history = taken(scenario)
    assert len(history.events) >= 3
    replay(REGISTRY, history)


@pytest.mark.parametrize("scenario", [waiting, ended])
def test_changed_code_is_told_as_a_host_tells_it_and_its_generator_is_closed(
    scenario: Callable[[World], Awaitable[History]],
) -> None:
    history = taken(scenario)
    closed.clear()
    with pytest.raises(NonDeterminismError) as caught:
        replay(Registry().add(changed), history)
    assert caught.value.instance_id == "one"
    assert "first" in caught.value.expected and "second" in caught.value.actual
    assert caught.value.expected_at.startswith("replay/test_replaying.py:")
    assert closed == ["changed"]


def test_a_generator_that_fits_is_closed_too() -> None:
    history = taken(waiting)
    closed.clear()
    replay(REGISTRY, history)
    assert closed == ["steps"]


def test_a_missing_orchestrator_and_a_missing_version_are_not_a_mismatch() -> None:
    history = taken(waiting)
    with pytest.raises(UnknownOrchestratorError):
        replay(Registry(), history)
    with pytest.raises(UnknownOrchestratorError) as caught:
        replay(Registry().add(newer), history)
    assert caught.value.version == ""


def test_an_instance_that_has_not_begun_fits_any_code() -> None:
    async def delayed(world: World) -> History:
        await world.client.start_new(steps, "one", 1, start_at=world.loop.now() + timedelta(days=1))
        return await load_history(world.outside.hub, "one")

    history = taken(delayed)
    assert history.segments == () and history.status is RuntimeStatus.PENDING
    replay(Registry().add(changed), history)


def test_only_the_current_generation_is_replayed_with_what_was_carried_into_it() -> None:
    async def third(world: World) -> History:
        await world.client.start_new(rounds, "one", 5)
        for number in range(4):  # more come than the generations so far have asked for: they are carried over
            await world.client.raise_event("one", "go", event_id=f"e{number}")
        while (history := await load_history(world.outside.hub, "one")).generation < 4:
            await world.client.wait_for_completion("one", 5)
        return history

    history = taken(third)
    assert history.seen, "a sender may repeat an event with an id: the next generations must know it"
    replay(REGISTRY, history)


def test_a_missing_instance_is_said_to_be_missing() -> None:
    async def nothing(world: World) -> None:
        with pytest.raises(InstanceNotFoundError):
            await load_history(world.outside.hub, "nobody")

    World(REGISTRY).run(nothing)


def test_the_test_that_the_documentation_shows_runs(tmp_path: Path) -> None:
    page = (PROJECT / "docs" / "testing.md").read_text()
    (shown,) = re.findall(r"```python\n(.*?)```", page[page.index("### Golden files") :], re.DOTALL)
    (tmp_path / "test_shown.py").write_text(shown)
    (tmp_path / "tests" / "histories").mkdir(parents=True)
    files = list((PROJECT / "tests" / "histories").glob("order_*.json"))
    for path in files:
        (tmp_path / "tests" / "histories" / path.name).write_bytes(path.read_bytes())
    outcome = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_shown.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"{len(files)} passed" in outcome.stdout and len(files) >= 5, outcome.stdout + outcome.stderr


def test_who_follows_a_replay_is_told_of_every_event_before_the_code_is() -> None:
    history = taken(ended)
    told: list[tuple[str, int]] = []
    made: list[int] = []

    @orchestrator(name="steps")
    def watched(ctx: OrchestrationContext, start: int) -> Orchestration[int]:
        made.append(0)
        got = yield from ctx.call_activity(first, start)
        made.append(1)
        yield from ctx.wait_for_external_event("go")
        return (yield from ctx.call_activity(second, got))

    definition = definition_for(Registry().add(watched), "steps", "")
    live = replay_live(definition, history, follow=lambda event: told.append((type(event).__name__, len(made))))
    live.close()
    assert [name for name, _ in told] == [type(event).__name__ for event in history.events]
    assert told[0] == ("ExecutionStarted", 0)
    assert next(seen for name, seen in told if name == "TaskCompleted") == 1
