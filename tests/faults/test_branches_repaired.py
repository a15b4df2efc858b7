"""Rewinds and forks of orchestrations with branches, in either spelling, with a fault at each of their operations."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Registry
from durable_core.errors import InstanceCompletedError, OperationRefusedError
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .forks import fork_twice
from .oracle import check, come_to_rest, run_judged, watched
from .rewinds import Mending, Rewound, cancel_soon, run, terminate_soon, until_ended
from .test_branches import SPELLINGS

MENDED = ["find car, book", "before, mended", "find hotel, book", "last"]


async def _answer(world: World) -> None:
    for name in ("First", "Last"):
        for _ in range(60):
            with suppress(InstanceCompletedError):  # it is rewound later
                await world.client.raise_event("one", name, name.lower())
                break
            await asyncio.sleep(20)


SCENARIOS = [
    Rewound("a failed branch", "mended", MENDED),
    Rewound("a branch was undone", "undone", ["find car, book", "mended"], force=True),
    Rewound("terminated", "patient", ["first, noted", "last"], before=terminate_soon, after=_answer),
    Rewound("canceled", "patient", ["first, noted", "last"], before=cancel_soon, after=_answer),
    Rewound("timed out", "patient", ["first, noted", "last"], timeout=timedelta(hours=1), after=_answer),
]


@pytest.mark.parametrize("spelling", list(SPELLINGS))
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_of_a_rewind_changes_no_outcome(
    scenario: Rewound, fault: Fault, spelling: str, totals: Totals
) -> None:
    strike_each(lambda plan: run(scenario, plan, make=SPELLINGS[spelling]), fault, scenario.expected, totals)


@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_a_rewind_names_what_a_cancelled_branch_has_undone(spelling: str) -> None:
    effects = Mending()
    world = World(SPELLINGS[spelling](effects))

    async def drive(world: World) -> Any:
        await world.client.start_new("undone", "one")
        await until_ended(world)
        with pytest.raises(OperationRefusedError) as refused:
            await world.client.rewind("one")
        effects.broken = False
        await world.client.rewind("one", force=True)
        ended = await world.client.wait_for_completion("one", 6 * 3600)
        return refused.value.problems, ended.output

    problems, output = run_judged(world, effects, drive)
    assert "note" in problems[0] and "is not undone" in problems[0]
    assert output == ["find car, book", "mended"]


@pytest.mark.parametrize("first", list(SPELLINGS))
def test_a_host_of_the_other_spelling_rewinds(first: str) -> None:
    effects = Mending()
    world = World(SPELLINGS[first](effects))
    other = next(made for name, made in SPELLINGS.items() if name != first)(effects)

    async def drive(world: World) -> Any:
        await world.client.start_new("mended", "one")
        await until_ended(world)
        await world.hosts.pop().stop()
        host = world.add_host(other)
        effects.broken = False
        await host.app.client.rewind("one")
        return (await world.client.wait_for_completion("one", 6 * 3600)).output

    assert run_judged(world, effects, drive) == MENDED


# ---------------------------------------------------------------- forks


async def _task_of(world: World, name: str) -> int:
    status = await world.client.get_status("one", show_history=True)
    events = status.history_events or []
    return next(int(str(event["TaskId"])) for event in events if event.get("Name") == name)


@pytest.mark.parametrize("spelling", list(SPELLINGS))
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_fork_changes_no_outcome(
    fault: Fault, spelling: str, totals: Totals
) -> None:
    """The fork is cut before the end of a call of one branch, and goes on with the others as they were."""

    def forked(plan: FaultPlan) -> tuple[object, World]:
        effects = Mending()
        world = World(SPELLINGS[spelling](effects))
        oracle = watched(world)

        async def drive(world: World) -> Any:
            await world.client.start_new("mended", "one")
            await until_ended(world)
            task = await _task_of(world, "brittle")
            await fork_twice(world, plan, until_task=task, overrides={task: {"result": ", forked"}})
            status = await world.client.wait_for_completion("two", 12 * 3600)
            await asyncio.sleep(1800)
            await come_to_rest(world)
            await check(world, None, oracle=oracle)  # what a fork has recorded, its source has run
            return status.output

        outcome = world.run(drive)
        assert not world.errors, world.errors
        world.plans[:] = [plan]
        return outcome, world

    strike_each(forked, fault, ["find car, book", "before, forked", "find hotel, book", "last"], totals)


@pytest.mark.parametrize("make", SPELLINGS.values(), ids=SPELLINGS)
def test_a_fork_from_before_an_event_waits_in_its_branch_anew(make: Callable[[Mending], Registry]) -> None:
    effects = Mending()
    world = World(make(effects))

    async def drive(world: World) -> Any:
        await world.client.start_new("patient", "one")
        await asyncio.sleep(60)
        await world.client.raise_event("one", "First", "a")
        await asyncio.sleep(60)
        await world.client.raise_event("one", "Last", "b")
        await until_ended(world)
        await world.client.fork("one", until_event="First", new_instance_id="two")
        await asyncio.sleep(60)
        assert (await world.client.get_status("two")).runtime_status == "Running"
        await world.client.raise_event("two", "Last", "c")
        await world.client.raise_event("two", "First", "d")
        return [(await world.client.wait_for_completion(name, 3600)).output for name in ("one", "two")]

    ended = world.run(drive)
    assert not world.errors, world.errors
    assert ended == [["a, noted", "b"], ["d, noted", "c"]]
