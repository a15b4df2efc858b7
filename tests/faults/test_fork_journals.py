"""``client.fork`` of instances with journaled activities: recorded steps are copied, and one may have another end."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    JournalContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    StepFailedError,
    activity,
    orchestrator,
)
from durable_core.errors import InvalidInputError
from durable_core.hub.journals import Journals
from durable_core.runtime import fork_journals
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .forks import fork_twice
from .oracle import check, come_to_rest, watched
from .scenarios import result

RETRY = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=20))


@dataclass
class Trip:
    """What the steps have done."""

    runs: Counter[str] = field(default_factory=Counter[str])
    is_broken: bool = True
    attempts: list[int] = field(default_factory=list[int])

    async def book(self, what: str) -> str:
        self.runs[what] += 1
        return f"{what} {self.runs.total()}"

    async def charge(self, amount: int) -> int:
        self.runs["charge"] += 1
        if self.is_broken:
            raise ConnectionError("the bank does not answer")
        return amount


def make_registry(trip: Trip) -> Registry:
    @activity(journal=True)
    async def travel(ctx: JournalContext, city: str) -> list[Any]:
        trip.attempts.append(ctx.attempt)
        told: list[Any] = [await ctx.step("flight", trip.book, f"flight to {city}")]
        told += await asyncio.gather(*(ctx.step("room", trip.book, f"room {key}", key=key) for key in ("a", "b")))
        try:
            told.append(await ctx.step("tip", trip.book, "tip"))
        except StepFailedError:
            told.append(await ctx.step("no tip", trip.book, "no tip"))
        told.append(await ctx.step("charge", trip.charge, len(told)))
        return told

    @activity(journal=True)
    async def ask(ctx: JournalContext, city: str) -> list[Any]:
        told: list[Any] = [await ctx.step("offer", trip.book, f"offer of {city}")]
        told.append(await ctx.wait_for_event("Approved", returns=str))
        told.append(await ctx.step("flight", trip.book, f"flight to {city}"))
        told.append(await ctx.wait_for_event("Paid", returns=str))
        told.append(await ctx.step("ticket", trip.book, "ticket"))
        return told

    @orchestrator
    def go(ctx: OrchestrationContext, city: str) -> Orchestration[list[Any]]:
        return (yield from ctx.call_activity(travel, city, retry=RETRY))

    @orchestrator
    def go_asking(ctx: OrchestrationContext, city: str) -> Orchestration[list[Any]]:
        return (yield from ctx.call_activity(ask, city))

    return Registry().add(travel, ask, go, go_asking)


async def _failed(world: World) -> None:
    await world.client.start_new("go", "one", "Rome")
    ended = await world.client.wait_for_completion("one", timeout=3600)
    assert ended.runtime_status is RuntimeStatus.FAILED


async def _rows(world: World, instance_id: str) -> list[Any]:
    table = world.storage.table(world.outside.hub.names.instances)
    return [(row.key, dict(row.props), row.etag) for row in (await table.read_range(instance_id)).rows]


def played(drive: Any) -> Any:
    trip = Trip()
    world = World(make_registry(trip))
    oracle = watched(world)

    async def scenario(world: World) -> Any:
        found = await drive(world, trip)
        await come_to_rest(world)
        await check(world, None, oracle=oracle)
        return found

    found = world.run(scenario)
    assert not world.errors, world.errors
    return found


async def _fork_of_the_failed(world: World, trip: Trip) -> tuple[Any, Counter[str]]:
    await _failed(world)
    assert trip.runs["charge"] == 2
    before, ran = await _rows(world, "one"), Counter(trip.runs)
    trip.is_broken = False
    dry = await world.client.fork("one", until_failure=True, dry_run=True)
    assert dry.recorded == {1: 4}
    assert dry.to_json()["recordedSteps"] == {"1": 4}
    forked = await world.client.fork("one", until_failure=True, new_instance_id="two")
    assert forked.recorded == {1: 4}
    told = await result(world, "two")
    assert await _rows(world, "one") == before, "the source was touched"
    return told, trip.runs - ran


def test_recorded_steps_of_an_open_call_do_not_run_again_in_the_fork() -> None:
    told, ran = played(_fork_of_the_failed)
    assert told == ["flight to Rome 1", "room a 2", "room b 3", "tip 4", 4]
    assert ran == {"charge": 1}


def test_without_the_copy_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule J8 taken out."""

    async def nothing(*_: Any) -> None: ...

    monkeypatch.setattr(Journals, "copy", nothing)
    _, ran = played(_fork_of_the_failed)
    assert ran.total() == 5


def test_without_counting_attempts_anew_those_of_the_source_would_stop_the_fork(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Rule J8 taken out: the source was in its second attempt, and the fork begins with its first."""
    monkeypatch.setattr(fork_journals, "_up_to", lambda entries, _: entries)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    async def drive(world: World, trip: Trip) -> Any:
        await _failed(world)
        trip.is_broken = False
        await world.client.fork("one", until_failure=True, new_instance_id="two")
        await asyncio.sleep(3600)
        status = await world.client.get_status("two")
        await world.client.terminate("two", "enough")
        return status.runtime_status, trip.attempts

    status, attempts = World(make_registry(trip := Trip())).run(lambda world: drive(world, trip))
    assert (status, attempts) == (RuntimeStatus.RUNNING, [1, 2])


@pytest.mark.parametrize(
    ("step", "told", "ran"),
    [
        ({"name": "tip", "result": "none"}, ["flight to Rome 1", "room a 2", "room b 3", "none", 4], {"charge": 1}),
        (
            {"name": "tip", "failure": "no change"},
            ["flight to Rome 1", "room a 2", "room b 3", "no tip 7", 4],
            {"no tip": 1, "charge": 1},
        ),
        (
            {"name": "room", "key": "a", "result": "suite"},
            ["flight to Rome 1", "suite", "room b 7", "tip 8", 4],
            {"room b": 1, "tip": 1, "charge": 1},
        ),
        (
            {"name": "charge", "result": 9, "recorded": False},
            ["flight to Rome 1", "room a 2", "room b 3", "tip 4", 9],
            {},
        ),
    ],
    ids=["result", "failure", "key", "not_recorded"],
)
def test_a_step_has_another_end_in_the_fork_and_what_was_behind_it_runs_again(
    step: dict[str, Any], told: list[Any], ran: dict[str, int]
) -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _failed(world)
        before = Counter(trip.runs)
        trip.is_broken = False
        await world.client.fork("one", until_failure=True, new_instance_id="two", overrides={1: {"step": step}})
        return await result(world, "two"), trip.runs - before

    assert played(drive) == (told, ran)


def test_what_a_step_cannot_be_given_is_refused_and_writes_nothing() -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _failed(world)
        wrong: list[tuple[str, object]] = [
            (r"'tap' \(call 1 of this name\) of task 1 is not rec.*'flight' \(call 1", {"name": "tap", "result": 1}),
            ("not recorded", {"name": "room", "result": 1}),
            ("not recorded", {"name": "tip", "call": 2, "result": 1}),
            ("must be an object", "tip"),
            ("unknown member 'value'", {"name": "tip", "value": 1}),
            ("needs the 'name'", {"result": 1}),
            ("has no 'call'", {"name": "room", "key": "a", "call": 1, "result": 1}),
            ("counts the calls", {"name": "tip", "call": 0, "result": 1}),
            ("either a 'result' or a 'failure'", {"name": "tip"}),
            ("'recorded' is", {"name": "tip", "result": 1, "recorded": 1}),
        ]  # fmt: skip
        for problem, step in wrong:
            with pytest.raises(InvalidInputError, match=problem):
                await world.client.fork("one", until_failure=True, new_instance_id="two", overrides={1: {"step": step}})
        with pytest.raises(InvalidInputError, match="task 2 is not open"):
            step = {"name": "tip", "result": 1}
            await world.client.fork("one", until_failure=True, new_instance_id="two", overrides={2: {"step": step}})
        return await _rows(world, "two")

    assert played(drive) == []


def test_another_input_comes_with_an_empty_journal_and_an_answer_with_none() -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _failed(world)
        trip.is_broken = False
        await world.client.fork("one", until_failure=True, new_instance_id="two", overrides={1: {"input": "Oslo"}})
        assert (await result(world, "two"))[0].startswith("flight to Oslo")
        await world.client.fork("one", until_failure=True, new_instance_id="three", overrides={1: {"result": []}})
        assert await result(world, "three") == []
        return [row for row in await _rows(world, "three") if row[0].startswith("d")]

    assert played(drive) == []


async def _asked(world: World) -> None:
    await world.client.start_new("go_asking", "one", "Rome")
    await asyncio.sleep(60)
    await world.client.raise_event("one", "Approved", "yes")
    await asyncio.sleep(60)
    await world.client.raise_event("one", "Paid", "cash")
    await result(world, "one")


def test_a_fork_between_waits_has_the_steps_before_and_waits_for_the_rest() -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _asked(world)
        before = Counter(trip.runs)
        await world.client.fork("one", until_event="Paid", new_instance_id="two")
        await asyncio.sleep(60)
        assert trip.runs == before, "nothing runs before the event"
        await world.client.raise_event("two", "Paid", "card")
        told = await result(world, "two")
        return told, trip.runs - before

    told, ran = played(drive)
    assert told == ["offer of Rome 1", "yes", "flight to Rome 2", "card", "ticket 4"]
    assert ran == {"ticket": 1}


def test_a_step_before_a_wait_is_overridden_before_the_end_of_its_own_part() -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _asked(world)
        before = Counter(trip.runs)
        rows = (await world.client.timeline("one")).rows
        parts = [row.task_id for row in rows if row.kind == "activity" and row.task_id is not None]
        other = {"step": {"name": "offer", "result": "cheap"}}
        with pytest.raises(InvalidInputError, match=f"fork before the end of task {parts[0]}"):
            await world.client.fork("one", until_task=parts[1], new_instance_id="two", overrides={parts[1]: other})
        await world.client.fork("one", until_task=parts[0], new_instance_id="two", overrides={parts[0]: other})
        await asyncio.sleep(60)
        await world.client.raise_event("two", "Approved", "no")
        await asyncio.sleep(60)
        await world.client.raise_event("two", "Paid", "card")
        told = await result(world, "two")
        other = {"step": {"name": "flight", "result": "train"}}
        await world.client.fork("one", until_task=parts[1], new_instance_id="three", overrides={parts[1]: other})
        await asyncio.sleep(60)
        await world.client.raise_event("three", "Paid", "card")
        return told, await result(world, "three"), trip.runs - before

    two, three, ran = played(drive)
    assert two == ["cheap", "no", "flight to Rome 4", "card", "ticket 5"]
    assert three == ["offer of Rome 1", "yes", "train", "card", "ticket 6"]
    assert ran == {"flight to Rome": 1, "ticket": 2}


def test_a_fork_while_the_original_writes_on_has_what_was_recorded_and_both_go_their_way() -> None:
    async def drive(world: World, trip: Trip) -> Any:
        trip.is_broken = False
        gate, is_held = asyncio.Event(), asyncio.Event()
        whole = trip.book

        async def slow(what: str) -> str:
            if what == "tip" and not is_held.is_set():
                is_held.set()
                await gate.wait()
            return await whole(what)

        trip.book = slow  # type: ignore[method-assign]
        await world.client.start_new("go", "one", "Rome")
        await is_held.wait()
        await world.client.fork("one", until_task=1, new_instance_id="two")
        two = await result(world, "two")
        gate.set()
        return await result(world, "one"), two, trip.runs

    one, two, ran = played(drive)
    assert one[:3] == two[:3] == ["flight to Rome 1", "room a 2", "room b 3"]
    assert one[3] != two[3], "each has run the step that was under way"
    assert ran == {"flight to Rome": 1, "room a": 1, "room b": 1, "tip": 2, "charge": 2}


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_fork_repeats_no_recorded_step(fault: Fault, totals: Totals) -> None:
    """The process that forks dies, or the host that goes on with the fork; the caller makes the same request again."""

    def run(plan: FaultPlan) -> tuple[object, World]:
        trip = Trip()
        world = World(make_registry(trip))
        oracle = watched(world)

        async def drive(world: World) -> Any:
            await _failed(world)
            trip.is_broken = False
            before = Counter(trip.runs)
            other = {1: {"step": {"name": "tip", "result": "none"}}}
            await fork_twice(world, plan, until_failure=True, overrides=other)
            told = await result(world, "two")
            await asyncio.sleep(3600)
            await come_to_rest(world)
            await check(world, None, oracle=oracle)
            ran = trip.runs - before
            assert set(ran) == {"charge"}, f"a recorded step has run again: {ran}"
            assert ran["charge"] <= 2, ran
            return told

        outcome = world.run(drive)
        assert not world.errors, world.errors
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, ["flight to Rome 1", "room a 2", "room b 3", "none", 4], totals, at_most=8)


def test_a_request_with_other_overrides_does_not_go_on_with_the_rows_of_one_that_died(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def drive(world: World, trip: Trip) -> Any:
        await _failed(world)
        trip.is_broken = False
        options: dict[str, Any] = {"until_failure": True, "new_instance_id": "two", "request_id": "mine"}

        def of(value: str) -> dict[int, dict[str, object]]:
            return {1: {"step": {"name": "tip", "result": value}}}

        async def dies(*_: Any) -> None:
            raise HostCrashError

        with monkeypatch.context() as patch:
            patch.setattr(type(world.outside.hub.instances), "create_copy", dies)
            with pytest.raises(HostCrashError):
                await world.client.fork("one", **options, overrides=of("none"))
        with pytest.raises(InvalidInputError, match="other overrides"):
            await world.client.fork("one", **options, overrides=of("much"))
        await world.client.fork("one", **options, overrides=of("none"))
        return (await result(world, "two"))[3]

    assert played(drive) == "none"
