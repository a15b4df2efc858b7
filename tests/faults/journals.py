"""Journaled activities for plays and for faults at each operation, and what must be true of their journals at rest.

Each run of a step returns a number of its own, so that a value shows which run it is of.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    StepFailedError,
    TaskTimeoutError,
    activity,
    orchestrator,
)
from durable_core.storage.ports import Storage

from .scenarios import Effects
from .stage import Stage

RETRY = RetryPolicy(max_attempts=4, first_interval=timedelta(seconds=20))


@dataclass
class Steps:
    """What steps have done to the outside. storage: where the journals are; table: by this name."""

    runs: Counter[str] = field(default_factory=Counter[str])
    again: list[str] = field(default_factory=list[str])
    number: int = 0
    storage: Storage | None = None
    table: str = ""

    async def one(self, name: str) -> list[Any]:
        """The effect of a step: its name, and the number of this run. Notes if it is recorded already."""
        recorded = await self.recorded()
        if name in {each[0] for each in recorded}:
            self.again.append(name)
        self.runs[name] += 1
        self.number += 1
        return [name, self.number]

    async def recorded(self, instance_id: str = "one") -> list[tuple[str, Any]]:
        """Names and values of the steps that are recorded; (name, None) for a failure."""
        assert self.storage is not None
        rows = (await self.storage.table(self.table).read_range(instance_id, "d", "e")).rows
        steps = [row.props for row in rows if row.props["kind"] == "step"]
        return [
            (json.loads(str(each["step"]))[0], None if each.get("failed") else json.loads(str(each["c0"])))
            for each in steps
        ]

    async def check(self, told: list[Any]) -> None:
        """What the code has got is what is recorded, once each."""
        recorded = await self.recorded()
        names = [name for name, _ in recorded]
        assert len(set(names)) == len(names), f"a step is recorded twice: {names}"
        assert {each[0]: each[1] for each in told} == {
            name: value[1] for name, value in recorded if value is not None
        }, f"the code has got {told}, but {recorded} is recorded"


def part_of(ctx: JournalContext) -> str:
    """The call in history of this part: the idempotency key is the same for the parts between the waits."""
    assert ctx.idempotency_key.startswith(f"{ctx.execution_id}-0-")
    return f"{ctx.execution_id}-0-{ctx.task_id}"


def journal_registry(effects: Effects, steps: Steps) -> Registry:
    """For hosts that run by themselves."""

    async def fail(name: str) -> None:
        await steps.one(name)
        raise ValueError(name)

    @activity(journal=True)
    async def work(ctx: JournalContext) -> list[Any]:
        effects.runs[part_of(ctx)] += 1
        told = [await ctx.step("a", steps.one, "a")]
        told += await asyncio.gather(ctx.step("b", steps.one, "b"), ctx.step("c", steps.one, "c"))
        try:
            await ctx.step("f", fail, "f")
        except StepFailedError:
            told.append(await ctx.step("d", steps.one, "d"))
        if ctx.attempt == 1:
            raise ValueError("the first attempt fails")
        told.append(await ctx.step("e", steps.one, "e"))
        return told

    @orchestrator
    def do(ctx: OrchestrationContext, inline: bool) -> Orchestration[list[Any]]:
        told = yield from ctx.call_activity(work, inline=inline, retry=RETRY)
        return told

    @activity(journal=True)
    async def wait(ctx: JournalContext) -> list[Any]:
        effects.runs[part_of(ctx)] += 1
        told = [await ctx.step("a", steps.one, "a")]
        said = await ctx.wait_for_event("Go", returns=str)
        try:
            await ctx.step("f", fail, "f")
        except StepFailedError:
            told.append(await ctx.step("b", steps.one, "b"))
        late = asyncio.gather(ctx.sleep(timedelta(hours=2)), ctx.call_sub_orchestrator(child, 4))
        told.append(await ctx.step("c", steps.one, "c"))
        _, doubled = await late
        try:
            await ctx.wait_for_event("Never", timeout=timedelta(minutes=1))
        except TaskTimeoutError:
            told.append(await ctx.step("d", steps.one, "d"))
        return [said, doubled, *told]

    @orchestrator
    def child(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        yield ctx.create_timer(timedelta(minutes=1))
        return 2 * number

    @orchestrator
    def do_waiting(ctx: OrchestrationContext, inline: bool) -> Orchestration[list[Any]]:
        told = yield from ctx.call_activity(wait, inline=inline, retry=RETRY)
        return told

    return Registry().add(work, do, wait, child, do_waiting)


def staged_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    """For plays: ``one`` calls ``work`` with the names of its steps. A step can be held by ``{name}-{run}``; one whose
    name ends in ``!`` fails in its first run, and the code goes on with the next."""
    steps = Steps()

    async def one(name: str, failed: bool) -> list[Any]:
        """Name, number of the run, and whether the code came here from a failure."""
        at = stage()
        steps.storage, steps.table = at.world.storage, at.outside.app.hub.names.instances
        at.props["steps"] = steps
        result = await steps.one(name)
        run = steps.runs[name]
        await at.during(f"{name}-{run}")
        if name.endswith("!") and run == 1:
            raise ValueError(name)
        return [*result, failed]

    @activity(journal=True)
    async def work(ctx: JournalContext, names: list[str]) -> list[Any]:
        effects.runs[part_of(ctx)] += 1
        told: list[Any] = []
        failed = False
        for name in names:
            if name == "fail" and ctx.attempt == 1:
                raise ValueError("the first attempt fails")
            if name == "fail":
                continue
            try:
                told.append(await ctx.step(name, one, name, failed))
            except StepFailedError:
                failed = True
        await stage().during(f"return-{steps.number}")
        return told

    @orchestrator
    def do(ctx: OrchestrationContext, names: list[str]) -> Orchestration[list[Any]]:
        told = yield from ctx.call_activity(work, names, inline=False, retry=RETRY)
        return told

    return Registry().add(work, do)
