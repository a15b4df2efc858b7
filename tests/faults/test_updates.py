"""A fault at any storage operation: each update is carried out once, and everybody who asks gets its one answer."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from durable_core.errors import (
    InstanceCompletedError,
    OperationRefusedError,
    UpdateFailedError,
    UpdateNotEndedError,
    UpdateRefusedError,
)
from durable_core.models import JSON
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.spellings import in_async
from tests.support.totals import Totals

from . import update_programs
from .exhaustive import strike_each
from .oracle import run_judged
from .scenarios import Effects, Scenario, result
from .soak import run_seed
from .update_programs import make_registry

make_registry_in_async = in_async(update_programs).make_registry
"""The same orchestrator and handlers as ``async def``."""


async def insistent(world: World, name: str, args: JSON, update_id: str | None) -> Any:
    """The answer of an update, of whatever kind, from a sender that asks with the same id until it has it."""
    while True:
        try:
            return await world.client.update("one", name, args, update_id=update_id, timeout=40)
        except UpdateNotEndedError as error:
            update_id = error.update_id
        except OperationRefusedError as error:
            assert "not begun" in str(error)
        except UpdateRefusedError as error:
            return f"refused {error.failure.message}"
        except UpdateFailedError as error:
            return f"failed {error.failure.message}"


async def plain(world: World) -> Any:
    await world.client.start_new("ledger", "one", [])
    first = [await insistent(world, "note", ["a", 1], "a") for _ in range(2)]
    assert first == [1, 1], first
    assert await insistent(world, "note", ["x", -1], "x") == "refused a number is not negative"
    assert await insistent(world, "fail", ["b", 2], "b") == "failed no b"
    assert await insistent(world, "fail", ["b", 2], "b") == "failed no b"
    assert await insistent(world, "close", None, None) == 2
    return await result(world, "one")


async def slowly(world: World) -> Any:
    """Several at a time, each of them sent twice at once."""
    await world.client.start_new("ledger", "one", [])
    sent = [
        *(insistent(world, "slowly", ["s", 5], "s") for _ in range(2)),
        *(insistent(world, "note", ["n", 7], "n") for _ in range(2)),
    ]
    answers = await asyncio.gather(*sent)
    assert answers[0] == answers[1] and answers[2] == answers[3] and sorted(answers) == [1, 1, 2, 2], answers
    await insistent(world, "close", None, "c")
    return sorted(await result(world, "one"))


async def generations(world: World) -> Any:
    await world.client.start_new("ledger", "one", [])
    answers = await asyncio.gather(*(insistent(world, "note", ["g", n], f"g{n}") for n in range(9)))
    assert sorted(answers) == list(range(1, 10)), answers
    again = await asyncio.gather(*(insistent(world, "note", ["g", n], f"g{n}") for n in range(9)))
    assert again == answers
    await insistent(world, "close", None, "c")
    ended = await result(world, "one")
    assert await insistent(world, "note", ["g", 3], "g3") == answers[3], "after the end, too"
    assert [ended[answer - 1][1] for answer in answers] == list(range(9)), "each has the line that it was told"
    return sorted(ended)


SCENARIOS = [
    Scenario("plain handlers", plain, [["a", 1], ["b", 2]]),
    Scenario("handlers that wait", slowly, [["n", 7], ["s", 10]]),
    Scenario("over generations", generations, [["g", n] for n in range(9)]),
]


def run(scenario: Scenario, plan: FaultPlan, *, cold: bool = False) -> tuple[Any, World]:
    effects = Effects()
    world = World(
        (make_registry_in_async if cold else make_registry)(effects), settings=Settings(warm_cache=0) if cold else None
    )
    return run_judged(world, effects, scenario.drive, plan), world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_a_fault_at_any_storage_operation_changes_no_answer(scenario: Scenario, fault: Fault, totals: Totals) -> None:
    strike_each(lambda plan: run(scenario, plan), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.LOSE_ANSWER, Fault.STALL])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_so_too_with_async_def_and_when_every_message_replays_the_stored_history(
    scenario: Scenario, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: run(scenario, plan, cold=True), fault, scenario.expected, totals)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.name)
def test_hosts_with_faults_that_interleave_answer_each_update_once(scenario: Scenario, seed: int) -> None:
    run_seed(scenario, seed, make_registry=make_registry_in_async if seed % 2 else make_registry)


def test_an_update_that_comes_with_the_end_is_carried_out_or_refused() -> None:
    """Whatever the order of the two, the sender is told what became of it."""

    async def drive(world: World) -> Any:
        told: list[str] = []

        async def send(number: int) -> None:
            try:
                await world.client.update("one", "note", ["n", number], timeout=600)
                told.append("done")
            except InstanceCompletedError:
                told.append("ended")

        await world.client.start_new("ledger", "one", [])
        await asyncio.gather(send(1), world.client.update("one", "close"), send(2), send(3))
        lines = await result(world, "one")
        assert len(lines) == told.count("done"), (lines, told)
        return len(told)

    for seed in range(6):
        effects = Effects()
        world = World(make_registry(effects), hosts=2, seed=seed)
        assert run_judged(world, effects, drive) == 3


def test_who_waits_for_an_update_of_a_suspended_instance_is_told_and_nothing_is_left_to_be_done() -> None:
    async def drive(world: World) -> Any:
        await world.client.start_new("ledger", "one", [])
        assert await world.client.update("one", "note", ["a", 1]) == 1
        await world.client.suspend("one")
        sent = asyncio.create_task(world.client.update("one", "note", ["b", 2], update_id="b", timeout=3000))
        with suppress(Exception):
            await sent
        assert "suspended" in str(sent.exception())
        await world.client.resume("one")
        await asyncio.sleep(60)
        assert await world.client.update("one", "close") == 1, "it was not carried out later"
        return await result(world, "one")

    effects = Effects()
    world = World(make_registry(effects))
    assert run_judged(world, effects, drive) == [["a", 1]]
