"""Interleavings about slots of limits (N32-N34)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from durable_core import EntityId, Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.engine import executor, generator, slots
from durable_core.hub.entities.keys import ROW_KEY
from durable_core.limits import GATE, Limit
from durable_core.runtime.entities import batch
from durable_core.runtime.turn import terminate

from .plays import Play, TakeOut, always
from .plays_of_turns import LOST
from .scenarios import Effects
from .stage import Stage

ONE = Limit(name="one", concurrency=1)
GATE_OF_ONE = EntityId(GATE, "one")
HELD = "is still held|lost: no message"


def slot_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    @orchestrator
    def holds(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.slot(ONE)
        end = yield from ctx.wait_for_external_event("Go", str)
        if end == "fail":
            raise ValueError("it fails")
        if end == "again":
            ctx.continue_as_new()
        return end

    @orchestrator(limit=ONE)
    def renews(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
        yield from ctx.wait_for_external_event("Go", str)
        if left:
            ctx.continue_as_new(left - 1)
        return left

    return Registry().add(holds, renews)


async def nothing_is_held(stage: Stage) -> None:
    """Every instance has ended, and the gate is no more."""
    await stage.ends_well()
    left = await stage.world.client.read_entity(GATE_OF_ONE)
    assert left is None, f"a slot is still held: {left.state}"


async def every_end_gives_its_slot_back(stage: Stage) -> None:
    """An instance that holds the slot is terminated, one fails, one is cancelled, one continues as new."""
    host = stage.host()
    for number, end in enumerate(("terminate", "fail", "cancel", "again")):
        name = f"i-{number}"
        await stage.client.start_new("holds", name)
        await stage.settle()
        if end == "terminate":
            await stage.client.terminate(name)
        elif end == "cancel":
            await stage.client.cancel(name)
        else:
            await stage.client.raise_event(name, "Go", end)
        await host.handle("control", name)
        await stage.settle()
    await stage.client.raise_event("i-3", "Go", "done")
    await nothing_is_held(stage)


def _none_given_back(patch: pytest.MonkeyPatch) -> None:
    for module in (executor, generator):
        always(module, "give_all_back", None)(patch)


async def an_end_without_code_gives_its_slot_back(stage: Stage) -> None:
    """An instance that holds the slot, and one that waits for it, are stuck, and are terminated without their code."""
    for name in ("i-1", "i-2"):
        await stage.client.start_new("holds", name)
        await stage.settle()
        await stage.world.outside.hub.instances.mark_stuck(name, "for a test")
    for name in ("i-1", "i-2"):
        await stage.client.terminate(name)
    await nothing_is_held(stage)


async def the_slot_of_a_whole_orchestration_goes_on_to_its_next_generation(stage: Stage) -> None:
    """An orchestration with a limit continues as new. Another one waits for its slot."""
    await stage.client.start_new("renews", "i-1", 1)
    await stage.settle()
    await stage.client.start_new("renews", "i-2", 0)
    await stage.settle()
    await stage.client.raise_event("i-1", "Go", "on")
    await stage.settle()
    gate = await stage.world.client.read_entity(GATE_OF_ONE)
    assert gate is not None
    holders = [place[1][0] for place in gate.state["holders"]]
    assert holders == ["i-1"], f"it is held by {holders}"
    for name in ("i-1", "i-2"):
        await stage.client.raise_event(name, "Go", "done")
        await stage.settle()
    await nothing_is_held(stage)


def _given_back_by_each_generation(patch: pytest.MonkeyPatch) -> None:
    give_all_back = slots.give_all_back

    def all_of_them(decisions: Any, *, but_of_run: bool = False) -> None:
        give_all_back(decisions)

    patch.setattr(generator, "give_all_back", all_of_them)


async def a_generation_that_ends_before_its_start_gives_back_what_it_was_left(stage: Stage) -> None:
    """An orchestration with a limit continues as new, and is terminated before its next generation begins; so is one
    that is stuck."""
    for name in ("i-1", "i-2"):
        await stage.client.start_new("renews", name, 1)
        await stage.settle()
        await stage.client.raise_event(name, "Go", "on")
        host = stage.host()
        held = host.hold(r"replace \w+Instances|transact \w+Instances", "after")
        turn = await host.begin("control", name)
        await held.reached()
        if name == "i-2":
            await stage.world.outside.hub.instances.mark_stuck(name, "for a test")
        await stage.client.terminate(name)
        host.plan.dead = True
        held.let_go()
        await asyncio.wait([turn])
        await stage.settle()
    await nothing_is_held(stage)


def _nothing_is_left(patch: pytest.MonkeyPatch) -> None:
    always(executor, "take_over_unstarted", None)(patch)


async def a_grant_that_is_lost_is_told_again(stage: Stage) -> None:
    """The slot goes from one to the next, whose grant is in a queue that is purged; meanwhile the gate has stored
    another batch."""
    for name in ("i-1", "i-2"):
        await stage.client.start_new("holds", name)
        await stage.settle()
    host = stage.host()
    await stage.client.raise_event("i-1", "Go", "done")
    await host.handle("control", "i-1")
    await host.handle("control", f'"n":"{GATE_OF_ONE}"')  # grants the slot to i-2
    hub = stage.world.outside.hub
    for name in hub.names.queues:
        await stage.world.storage.queue(name).clear()
    row = await hub.entities.read(GATE_OF_ONE)
    assert row is not None
    table = stage.world.storage.table(hub.names.entities)
    await table.merge(GATE_OF_ONE.partition, ROW_KEY, {"out": "[]", "seq": row.seq + 1})
    await stage.world.outside.recover(full=True)
    await stage.settle()
    await stage.client.raise_event("i-2", "Go", "done")
    await nothing_is_held(stage)


def _no_grants(patch: pytest.MonkeyPatch) -> None:
    def none(*_: Any) -> list[Any]:
        return []

    patch.setattr(batch, "grants_of", none)


_LISTED: list[tuple[str, Callable[[Stage], Awaitable[None]], TakeOut, str]] = [
    ("N32", every_end_gives_its_slot_back, _none_given_back, HELD),
    ("N32", an_end_without_code_gives_its_slot_back, always(terminate, "slots_given_back", ()), HELD),
    (
        "N34",
        the_slot_of_a_whole_orchestration_goes_on_to_its_next_generation,
        _given_back_by_each_generation,
        "it is held by",
    ),
    ("N34", a_generation_that_ends_before_its_start_gives_back_what_it_was_left, _nothing_is_left, HELD),
    ("N33", a_grant_that_is_lost_is_told_again, _no_grants, LOST),
]
PLAYS = [Play(rule, perform, without, breaks, slot_registry) for rule, perform, without, breaks in _LISTED]
