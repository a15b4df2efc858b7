"""Invariants 1 to 8 of docs/guarantees.md: each holds in a run that endangers it, and is seen when it does not hold."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hub.instances import Instances
from durable_core.models import Operations
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan, Moment
from durable_core.testing.oracle import Oracle
from durable_core.testing.simulation import HostShape, World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .more_scenarios import CHEAP, COSTLY, full_registry
from .oracle import Accepted, check, check_activities, come_to_rest, watched
from .plays import play_registry
from .plays_of_lives import (
    a_request_that_was_meant_for_an_earlier_life_does_not_reach_this_one as request_to_a_past_life,
)
from .plays_of_lives import take_every_row
from .plays_of_turns import COMMIT
from .scenarios import SCENARIOS, Effects, Scenario, result
from .stage import Stage, on_stage

NAMED = {scenario.name: scenario for scenario in SCENARIOS + CHEAP + COSTLY}

Meddle = Callable[[World], Any]


class Judged:
    """A run and what is known of it."""

    def __init__(self, world: World, effects: Effects, oracle: Oracle) -> None:
        self.world = world
        self.effects = effects
        self.oracle = oracle


def judge(
    scenario: Scenario,
    *plans: FaultPlan,
    meddle: Meddle | None = None,
    outside: FaultPlan | None = None,
    shape: Callable[[int], HostShape] | None = None,
    hosts: int = 1,
    settings: Settings | None = None,
) -> Judged:
    """Run to rest; ``meddle`` may do harm then; ask the oracle."""
    effects = Effects()
    world = World(full_registry(effects), outside=outside, shape=shape, hosts=hosts, settings=settings)
    oracle = watched(world)

    async def drive(world: World) -> Any:
        accepted = Accepted(world)
        outcome = await scenario.drive(world)
        await come_to_rest(world)
        if meddle is not None:
            await meddle(world)
        await check(world, effects, oracle=oracle, accepted=accepted)
        return outcome

    assert world.run(drive, *plans) == scenario.expected
    assert not world.errors, world.errors
    return Judged(world, effects, oracle)


# ---------------------------------------------------------------- 1


@pytest.mark.parametrize("name", ["continue as new", "rolled log"])
def test_invariant_1_an_event_is_recorded_once_and_never_changed(name: str) -> None:
    run = judge(NAMED[name], FaultPlan({5: Fault.CRASH_AFTER, 12: Fault.LOSE_ANSWER, 20: Fault.CRASH_BEFORE}))
    generations = [each for each in run.oracle.generations if each.instance_id == "one"]
    assert len(generations) == (3 if name == "continue as new" else 1)
    assert sum(len(run.oracle.events_of(life)) for life in generations) > 5


def test_invariant_1_a_changed_history_is_seen() -> None:
    async def change(world: World) -> None:
        row = await world.storage.table(world.outside.hub.names.instances).get("one", "z")
        assert row is not None
        text = str(row.props["s1_0"])
        assert '["TC",1,2,' in text
        changed = text.replace('["TC",1,2,', '["TC",1,3,')
        await world.storage.table(row_table(world)).merge("one", "z", {"s1_0": changed})

    with pytest.raises(AssertionError, match="invariant 1: commit 1 of 'one' was changed"):
        judge(NAMED["chain"], meddle=change)


def test_invariant_1_a_lost_commit_is_seen() -> None:
    """Behind the oracle's back, so that only what a reader gets tells of it."""

    def plant(patch: pytest.MonkeyPatch) -> None:
        history = Instances.history

        async def without_the_second(self: Instances, instance: Any) -> Any:
            segments = await history(self, instance)
            return [segments[0], *segments[2:]] if instance.is_terminal else segments

        patch.setattr(Instances, "history", without_the_second)

    with (
        pytest.MonkeyPatch.context() as patch,
        pytest.raises(AssertionError, match=r"before it was scheduled|invariant 1"),
    ):
        plant(patch)
        judge(NAMED["queued chain"])


def row_table(world: World) -> str:
    return world.outside.hub.names.instances


# ---------------------------------------------------------------- 2


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.RETRY, Fault.FAIL_BEFORE])
def test_invariant_2_what_was_accepted_is_durable(fault: Fault) -> None:
    """Starts, events and requests, with trouble on the way to the store."""
    for name in ("two senders", "suspend and resume"):
        plan = FaultPlan(dict.fromkeys(range(0, 12, 2), fault))
        run = judge(NAMED[name], outside=plan)
        assert plan.struck
        fates = {entry.kind: entry.fate for entry in run.oracle.inbox.values()}
        assert fates
        assert "consumed" in fates.values()


def test_invariant_2_an_accepted_event_that_vanishes_is_seen() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("waits", "one")
        await asyncio.sleep(60)
        await world.hosts[0].stop()
        await world.client.raise_event("one", "Go", "a")
        (key,) = [key for _, key in oracle.inbox]
        await world.storage.table(row_table(world)).delete("one", key)
        assert any("invariant 2: event for 'one' was dropped" in v for v in oracle.violations)

    world = World(full_registry(Effects()))
    oracle = watched(world)
    world.run(drive)


def test_invariant_2_an_accepted_request_that_was_never_written_is_seen() -> None:
    async def drive(world: World) -> None:
        accepted = Accepted(world)
        await world.client.start_new("chain", "one", 1)
        accepted.requests["one", "event"] += 1
        accepted.starts.append("two")
        problems = accepted.problems(oracle)
        assert [problem[:11] for problem in problems] == ["invariant 2"] * 2

    world = World(full_registry(Effects()))
    oracle = watched(world)
    world.run(drive)


# ---------------------------------------------------------------- 3


def test_invariant_3_an_activity_runs_at_least_once_is_recorded_once_and_keeps_its_key() -> None:
    """Crashes let activities run again, a policy lets them be tried again: always with the key of their call."""
    for name in ("fan-out", "retries"):
        for number in range(4, 12, 2):
            run = judge(NAMED[name], FaultPlan({number: Fault.CRASH_AFTER}))
            assert run.oracle.activities_ended() <= run.effects.runs.keys()
            assert run.effects.runs.keys() == run.oracle.activities_called()


def test_invariant_3_a_result_of_an_activity_that_never_ran_is_seen() -> None:
    run = judge(NAMED["fan-out"])
    ended = run.oracle.activities_ended()
    run.effects.runs.pop(min(ended))
    with pytest.raises(AssertionError, match="invariant 3: recorded, but never run"):
        check_activities(run.effects, ended, run.oracle, exactly_once=False)


def test_invariant_3_an_attempt_with_a_key_of_its_own_is_seen() -> None:
    run = judge(NAMED["retries"])
    (key,) = run.effects.runs
    run.effects.runs[f"{key}1"] += 1
    with pytest.raises(AssertionError, match="invariant 3: run with the key of no call"):
        check_activities(run.effects, run.oracle.activities_ended(), run.oracle, exactly_once=False)


def test_invariant_3_a_second_run_without_a_fault_is_seen() -> None:
    run = judge(NAMED["chain"])
    run.effects.runs[min(run.effects.runs)] += 1
    with pytest.raises(AssertionError, match="invariant 3: run more than once"):
        check_activities(run.effects, set(), run.oracle, exactly_once=True)


# ---------------------------------------------------------------- 4


@pytest.mark.parametrize("fault", list(Fault))
def test_invariant_4_no_single_fault_changes_the_outcome(fault: Fault, totals: Totals) -> None:
    """Every operation of one small run; tests/faults/test_single_faults.py and others have the other shapes."""
    scenario = NAMED["queued chain"]
    strike_each(lambda plan: (8, judge(scenario, plan).world), fault, 8, totals, at_most=1000)


def test_invariant_4_an_outcome_that_a_fault_changes_is_seen() -> None:
    """An activity that counts its runs is not idempotent, and its orchestrator tells."""
    counts: list[int] = []

    @activity(inline=False)
    def count(ctx: ActivityContext) -> int:
        counts[-1] += 1
        return counts[-1]

    @orchestrator
    def tells(ctx: OrchestrationContext) -> Orchestration[int]:
        return (yield from ctx.call_activity(count))

    async def drive(world: World) -> Any:
        await world.client.start_new("tells", "one")
        return await result(world, "one")

    def run(plan: FaultPlan) -> tuple[Any, World]:
        counts.append(0)
        world = World(Registry().add(count, tells))
        return world.run(drive, plan), world

    with pytest.raises(AssertionError, match=r"2 instead of 1\n.*DURABLE_STRIKE="):
        strike_each(run, Fault.CRASH_BEFORE, 1, Totals(), at_most=1000)


# ---------------------------------------------------------------- 5


async def _purge(world: World) -> None:
    for name in world.outside.hub.names.queues:
        await world.storage.queue(name).clear()


@pytest.mark.parametrize("name", ["fan-out", "sub-orchestrations", "retries", "continue as new", "suspend and resume"])
@pytest.mark.parametrize("after", [0.0, 0.15, 0.5, 1.1, 25.0])
def test_invariant_5_a_purge_of_all_queues_loses_nothing_once_somebody_recovers(name: str, after: float) -> None:
    async def drive(world: World) -> Any:
        async def purge_and_recover() -> None:
            await asyncio.sleep(after)
            await _purge(world)
            await world.outside.recover(full=True)

        async with asyncio.TaskGroup() as group:
            group.create_task(purge_and_recover())
            return await scenario.drive(world)

    scenario = NAMED[name]
    slow = HostShape(FaultPlan(pause=lambda: 0.05))
    judge(Scenario(name, drive, scenario.expected), shape=lambda _: slow)


def test_invariant_5_a_purge_without_recovery_is_seen() -> None:
    async def drive(world: World) -> Any:
        await world.client.start_new("queued_chain", "one", 50)
        await asyncio.sleep(3)
        await world.hosts.pop().stop()
        await _purge(world)
        world.add_host()
        return None

    slow = HostShape(FaultPlan(pause=lambda: 0.1))
    with pytest.raises(AssertionError, match="not at rest"):
        judge(Scenario("purged", drive, None), shape=lambda _: slow)


# ---------------------------------------------------------------- 6


def test_invariant_6_a_message_that_always_fails_is_kept_shown_and_moved_on() -> None:
    """The host of the control queue cannot deal with the result of an activity, for a bug. After five deliveries its
    message is set aside. Recovery saves the result and shows why; when the bug is gone the instance goes on with it."""
    has_bug = asyncio.Event()

    async def gate(what: str, moment: Moment) -> None:
        if has_bug.is_set() and moment == "before" and what.startswith("read") and what.endswith("Instances one i"):
            raise RuntimeError("a bug of this host")

    def shape(number: int) -> HostShape:
        return HostShape(FaultPlan(gate=gate), work=False) if number == 0 else HostShape(control=False)

    async def drive(world: World) -> Any:
        await world.client.start_new("slow", "one")
        await asyncio.sleep(5)
        has_bug.set()
        await asyncio.sleep(3600)
        status = await world.client.get_status("one")
        assert status.runtime_status == "Running"
        assert "a bug of this host" in (status.stuck_reason or "")
        assert 5 <= len(world.failures) <= 5 * 26, "five times at each round of recovery of two hosts, no more"
        has_bug.clear()
        outcome = await result(world, "one")
        await come_to_rest(world)
        await check(world, effects, oracle=oracle)
        return outcome

    effects = Effects()

    @activity(inline=False)
    async def take_a_while(ctx: ActivityContext) -> str:
        effects.runs[ctx.idempotency_key] += 1
        await asyncio.sleep(10)
        return "the result"

    @orchestrator
    def slow(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_activity(take_a_while))

    world = World(Registry().add(take_a_while, slow), shape=shape, hosts=2, settings=Settings(warm_cache=0))
    oracle = watched(world)
    assert world.run(drive) == "the result"
    assert set(effects.runs.values()) == {1}, "its result was saved, so it did not run again"


def test_invariant_6_a_message_that_stays_set_aside_is_seen() -> None:
    async def set_aside(world: World) -> None:
        await world.storage.queue(world.outside.hub.names.poison_queues[0]).send("what nobody can read")
        await come_to_rest(world)

    with pytest.raises(AssertionError, match="not at rest"):
        judge(NAMED["chain"], meddle=set_aside)


# ---------------------------------------------------------------- 7


async def _two_workers(stage: Stage) -> None:
    """Both load the same state, and both are about to commit their own decision."""
    await stage.client.start_new("steps", "one", ["a"])
    await stage.client.raise_event("one", "Item", "x")
    first, second = stage.host(), stage.host()
    at_commit = first.hold(COMMIT)
    turn = await first.begin("control")
    await at_commit.reached()
    await second.handle("control")
    at_commit.let_go()
    await asyncio.wait([turn])
    await stage.ends_well(exactly_once=True)
    assert first.app.instance_cache.conflicts == 1
    assert second.app.instance_cache.conflicts == 0


def test_invariant_7_of_two_workers_one_commits_and_the_other_yields() -> None:
    on_stage(play_registry, _two_workers)


def test_invariant_7_two_commits_in_one_place_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    write = Instances._write  # pyright: ignore[reportPrivateUsage]

    async def regardless(self: Instances, instance_id: str, operations: list[Any], _: Any, written: Operations) -> str:
        forced = [op if not hasattr(op, "etag") else _without_etag(op) for op in operations]
        return await write(self, instance_id, forced, (), written)

    monkeypatch.setattr(Instances, "_write", regardless)
    with pytest.raises(AssertionError, match=r"invariant 1: commit 0 of 'one' was changed"):
        on_stage(play_registry, _two_workers)


def _without_etag(operation: Any) -> Any:
    return type(operation)(operation.key, operation.props, None)


# ---------------------------------------------------------------- 8


@pytest.mark.parametrize("name", ["fan-out", "continue as new", "purge and start anew", "two senders", "retries"])
def test_invariant_8_late_duplicated_and_reordered_messages_are_harmless(name: str) -> None:
    """Every message comes twice; every third comes up to a minute late, and is overtaken by others."""
    sent = 0

    def late() -> float:
        nonlocal sent
        sent += 1
        return 0.0 if sent % 3 else float(sent * 7 % 60)

    def shape(_: int) -> HostShape:
        return HostShape(FaultPlan(twice=lambda: True, late=late))

    judge(NAMED[name], shape=shape, hosts=2, settings=Settings(inline_default=False))
    assert sent > 1


def test_invariant_8_what_reaches_another_life_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    take_every_row(monkeypatch)
    with pytest.raises(AssertionError, match=r"invariant 8: terminate for execution .* was consumed by"):
        on_stage(play_registry, request_to_a_past_life)
