"""A reminder that reaches a host whose clock is a hair behind is armed again, and does not come at once, for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator

from .plays import play_registry
from .scenarios import Effects
from .stage import Stage, on_stage


def _registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    @orchestrator
    def naps(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.create_timer(timedelta(seconds=40))
        return "rested"

    return play_registry(stage, effects).add(naps)


@pytest.mark.parametrize("behind", [2e-6, 1e-4, 0.004])
def test_a_reminder_that_comes_slightly_early_does_not_spin(behind: float) -> None:
    async def play(stage: Stage) -> None:
        await stage.client.start_new("naps", "one")
        first, second = stage.host(), stage.host(ahead=-behind)
        await first.handle("control")
        await asyncio.sleep(40)
        handled = 0
        while handled < 20 and await second.take_next():
            handled += 1
        assert handled == 1, "it came early, and was armed again for a moment that the queue knows"
        await stage.ends_well()
        assert await stage.output() == "rested"

    on_stage(_registry, play)
