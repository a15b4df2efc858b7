"""Events that an orchestrator sends to another arrive in the order of its code, also when its host dies in between."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator

from .plays import play_registry
from .plays_of_turns import SEND_CONTROL
from .scenarios import Effects
from .stage import Stage, on_stage


def _registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    registry = play_registry(stage, effects)

    @orchestrator
    def tells(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.send_event("one", "Item", "1")
        yield ctx.call_activity("mark", "a", inline=False)
        ctx.send_event("one", "Item", "2")
        ctx.send_event("one", "Item", "3")
        yield ctx.call_activity("mark", "b", inline=False)

    return registry.add(tells)


async def _dies_before_an_event(stage: Stage) -> None:
    """A host commits "send 1, run A", and dies before it has written the event. Had it sent A already, another host
    would go on with 2 before the first one's message comes back, and 1 would be the last."""
    await stage.client.start_new("collect", "one", 3)
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await stage.client.start_new("tells", "two")
    about_to_send = first.hold(r"get \w+Instances one z")
    turn = await first.begin("control")
    await about_to_send.reached()
    first.crash_at(r"insert \w+Instances one i")
    await asyncio.sleep(1)
    about_to_send.let_go()
    await asyncio.wait([turn])
    while await second.take_next():
        continue
    await stage.ends_well()
    assert await stage.output("one") == ["1", "2", "3"]


async def _dies_after_an_event(stage: Stage) -> None:
    """The same, when it has written the event and not sent its wake-up."""
    await stage.client.start_new("collect", "one", 3)
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await stage.client.start_new("tells", "two")
    first.crash_at(SEND_CONTROL)
    await first.handle("control")
    while await second.take_next():
        continue
    await stage.ends_well()
    assert await stage.output("one") == ["1", "2", "3"]


def test_an_event_is_sent_before_whatever_leads_to_the_next() -> None:
    on_stage(_registry, _dies_before_an_event)


def test_an_event_that_was_written_and_not_rung_for_comes_first_too() -> None:
    on_stage(_registry, _dies_after_an_event)
