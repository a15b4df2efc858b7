"""The debugger shows what journaled activities have recorded, behind their calls."""

from __future__ import annotations

import io

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    StepFailedError,
    activity,
    orchestrator,
)
from durable_core.replay.debugger import debug_history
from durable_core.replay.replayer import definition_for, load_history
from durable_core.replay.steps import load_steps
from durable_core.testing.simulation import World


def name_of(number: int) -> str:
    return f"\x1bn{number}" + 300 * "x"


def refuse() -> None:
    raise ValueError("no")


@activity(journal=True)
async def work(ctx: JournalContext) -> None:
    await ctx.step("name", name_of, 1)
    await ctx.wait_for_event("Go")
    try:
        await ctx.step("refuse", refuse)
    except StepFailedError:
        await ctx.step("number", int, key="k")


@orchestrator
def call_work(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(work)


def test_steps_are_shown_behind_the_part_that_has_recorded_them(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry().add(work, call_work)

    async def drive(world: World) -> list[str]:
        await world.client.start_new("call_work", "one")
        await world.client.raise_event("one", "Go")
        await world.client.wait_for_completion("one", timeout=3600)
        history = await load_history(world.outside.hub, "one")
        steps = await load_steps(world.outside.hub, history)
        said: list[str] = []
        monkeypatch.setattr("sys.stdin", io.StringIO("c\n"))
        debug_history(definition_for(registry, "call_work", ""), history, say=said.append, steps=steps)
        return said

    said = World(registry).run(drive)
    calls = [at for at, line in enumerate(said) if "TaskScheduled" in line]
    assert len(calls) == 2, said
    first, second = said[calls[0] + 1], said[calls[1] + 1 : calls[1] + 3]
    assert first.startswith("    step 'name' (call 1 of this name) at ")
    assert first.endswith("...")
    assert first.isprintable()
    assert "step 'refuse' (call 1 of this name) at " in second[0]
    assert "raised builtins.ValueError: no" in second[0] or "raised ValueError: no" in second[0]
    assert second[1].startswith("    step 'number' (key 'k') at ")
    assert second[1].endswith("-> 0")
