"""Ways to lose or repeat something that were found and closed, each played exactly."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity
from durable_core import orchestrator as orchestrator_
from durable_core.errors import InstanceNotFoundError, InvalidInstanceIdError
from durable_core.hub.messages import ControlMessage
from durable_core.models import OrchestrationStatus, RuntimeStatus
from durable_core.runtime.stuck import StuckMarker
from durable_core.runtime.turn.decision import entry_of
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError, Moment
from durable_core.testing.simulation import HostShape, World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .more_scenarios import CHEAP, full_registry
from .oracle import come_to_rest, run_judged
from .plays import play_registry
from .plays_of_turns import COMMIT
from .scenarios import Effects, Scenario, result
from .stage import Stage, on_stage

SMALL = [s for s in CHEAP if s.name in ("terminate in flight", "purge and start anew", "restart if done")]


def play(scenario: Scenario, *plans: FaultPlan, outside: FaultPlan | None = None) -> World:
    effects = Effects()
    world = World(full_registry(effects), outside=outside)
    assert run_judged(world, effects, scenario.drive, *plans) == scenario.expected
    return world


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("scenario", SMALL, ids=lambda s: s.name)
def test_a_fault_of_the_host_changes_no_outcome_of_lives_that_follow_each_other(
    scenario: Scenario, fault: Fault, totals: Totals
) -> None:
    strike_each(lambda plan: (scenario.expected, play(scenario, plan)), fault, scenario.expected, totals)


@pytest.mark.parametrize("fault", [Fault.FAIL_BEFORE, Fault.LOSE_ANSWER, Fault.RETRY])
@pytest.mark.parametrize("scenario", SMALL, ids=lambda s: s.name)
def test_a_lost_answer_to_a_client_changes_no_outcome(scenario: Scenario, fault: Fault) -> None:
    calm = FaultPlan()
    play(scenario, outside=calm)
    for number in range(len(calm.operations)):
        try:
            play(scenario, outside=FaultPlan({number: fault}))
        except BaseException as error:
            raise AssertionError(f"{fault} at operation {number} of the client: {error}") from error


def test_a_purge_before_the_catalogue_is_closed_leaves_nothing_listed() -> None:
    """The host commits the end and dies before the catalogue hears of it; the client purges at once."""

    async def drive(world: World) -> list[OrchestrationStatus]:
        await world.client.start_new("chain", "one", 1)
        instance = None
        while instance is None or not instance.is_terminal:
            await asyncio.sleep(0.05)
            instance = await world.outside.hub.instances.get("one")
        assert await world.client.purge_instance_history("one") == 1
        await world.outside.hub.catalog.close(entry_of(instance))  # the late worker
        await come_to_rest(world)
        return await world.client.get_status_all()

    plan = FaultPlan({6: Fault.CRASH_BEFORE})
    assert World(full_registry(Effects())).run(drive, plan) == []


def test_a_call_that_runs_inline_and_was_sent_for_a_redelivery_is_not_sent_again_for_a_copy() -> None:
    """Two hosts die of the start, so that A is sent twice. A host records the first result and runs B inline, for
    longer than the lease. The result comes back to it, and it sends B. Then the result of the second A comes."""

    async def play(stage: Stage) -> None:
        await stage.client.start_new("inline_steps", "one", ["a", "b"])
        crashes: list[tuple[str, Moment]] = [(COMMIT, "after"), (r"delete \S+-control", "before"), ("none", "before")]
        for operation, moment in crashes:
            host = stage.host()
            host.crash_at(operation, moment)
            await host.handle("control")
            await stage.lease_expires()
        worker, host = stage.host(), stage.host()
        running = stage.hold_activity("b")
        await worker.handle("work")
        turn = await host.begin("control")
        await running.reached()
        await stage.lease_expires()
        await host.handle("control")
        work = stage.world.storage.queue(stage.world.outside.hub.names.work[0])
        assert await work.count() == 2, "the second A, and B"
        await worker.handle("work", '"mark","a"')
        await host.handle("control")
        assert await work.count() == 1, "B was sent already"
        running.let_go()
        await asyncio.wait([turn])
        await stage.ends_well()
        assert await stage.output() == ["a", "b"]
        assert max(stage.effects.runs.values()) == 2

    on_stage(play_registry, play)


def test_an_activity_that_leaks_a_cancellation_fails_and_hangs_nobody() -> None:
    @activity
    async def leaks(_: int) -> int:
        raise asyncio.CancelledError("of a client library")

    @orchestrator_
    def caller(ctx: OrchestrationContext, inline: bool) -> Orchestration[None]:
        yield from ctx.call_activity(leaks, 1, inline=inline)

    async def drive(world: World) -> None:
        for inline in (True, False):
            await world.client.start_new("caller", f"inline {inline}", inline)
            await result(world, f"inline {inline}")
            status = await world.client.get_status(f"inline {inline}")
            assert status.failure is not None
            assert status.failure.is_caused_by(asyncio.CancelledError)

    World(Registry().add(leaks, caller)).run(drive)


class Bomb:
    """Takes its host down as long as it is armed."""

    def __init__(self) -> None:
        self.armed = True
        self.blasts: Counter[str] = Counter()
        self.world: World | None = None

    def touch(self, key: str) -> None:
        self.blasts[key] += 1
        if self.armed and self.world is not None:
            plan = self.world.hosts[0].plan
            plan.dead = True
            plan.on_crash()
            raise HostCrashError


def test_a_poisonous_activity_is_shown_spares_the_others_and_goes_on_once_it_is_mended() -> None:
    bomb = Bomb()

    @activity(inline=False)
    def explode(ctx: ActivityContext, number: int) -> int:
        bomb.touch(ctx.idempotency_key)
        return number

    @activity
    def well(number: int) -> int:
        return number + 1

    @orchestrator_
    def doomed(ctx: OrchestrationContext) -> Orchestration[int]:
        value = yield from ctx.call_activity(explode, 7)
        return value

    @orchestrator_
    def healthy(ctx: OrchestrationContext) -> Orchestration[int]:
        value = 0
        for _ in range(5):
            value = yield from ctx.call_activity(well, value, inline=False)
        return value

    async def drive(world: World) -> None:
        bomb.world = world
        await world.client.start_new("doomed", "bad")
        await world.client.start_new("healthy", "good")
        assert await result(world, "good") == 5
        while not (status := await world.client.get_status("bad")).stuck_reason:
            assert not status.is_terminal
            await asyncio.sleep(60)
        assert "explode" in (status.stuck_reason or "")
        assert next(s for s in await world.client.get_status_all() if s.instance_id == "bad").stuck_reason
        before = sum(bomb.blasts.values())
        await asyncio.sleep(3600)
        assert sum(bomb.blasts.values()) == before, "it is not tried again on its own"
        bomb.armed = False
        await world.outside.recover(full=True)
        assert await result(world, "bad") == 7
        await come_to_rest(world)
        assert not any(s.stuck_reason for s in await world.client.get_status_all())

    World(Registry().add(explode, well, doomed, healthy)).run(drive)
    assert len(bomb.blasts) == 1, "every attempt has the same idempotency key"


def test_a_redelivered_message_that_was_set_aside_is_dealt_with_when_the_instance_goes_on() -> None:
    """Its host died between commit and dispatch; the code did not match for a while; then a wake-up comes."""

    async def drive(world: World) -> Any:
        hub = world.outside.hub
        await world.client.start_new("queued_chain", "one", 2)
        await asyncio.sleep(1)
        for name in hub.names.queues:
            await world.storage.queue(name).clear()
        instance = await hub.instances.get("one")
        assert instance is not None
        assert instance.seq == 1
        life = ControlMessage(instance_id="one", execution_id=instance.execution_id)
        await StuckMarker(hub, world.loop).save(instance, replace(life, redelivered=True))
        await hub.send(life)
        return await result(world, "one")

    plan = FaultPlan({3: Fault.CRASH_BEFORE})
    assert World(full_registry(Effects())).run(drive, plan) == 4
    assert "work" in plan.struck[0]


def test_a_starter_whose_clock_is_behind_is_not_taken_for_a_dead_one() -> None:
    """Between the catalogue row and the instance row, another host's recovery looks."""

    async def drive(world: World) -> int:
        outside = world.outside
        await world.client.start_new("chain", "template", 1)
        await result(world, "template")
        template = await outside.hub.instances.get("template")
        assert template is not None
        fresh = replace(
            template, instance_id="one", execution_id="x1", status=RuntimeStatus.PENDING, output=None, seq=0
        )
        fresh = replace(fresh, created=world.loop.now(), updated=world.loop.now())
        await outside.hub.catalog.open(entry_of(fresh))
        await world.hosts[0].app.recover()
        await outside.hub.instances.create(fresh)
        return await result(world, "one")

    assert World(full_registry(Effects()), shape=lambda _: HostShape(ahead=300.0)).run(drive) == 2


def test_an_instance_whose_starter_died_before_the_wake_up_is_started_by_recovery() -> None:
    async def drive(world: World) -> int:
        await world.client.start_new("chain", "one", 2)
        for name in world.outside.hub.names.queues:
            await world.storage.queue(name).clear()
        return await result(world, "one")

    world = World(full_registry(Effects()), shape=lambda _: HostShape(FaultPlan(pause=lambda: 5.0)))
    assert world.run(drive) == 4


@pytest.mark.parametrize(
    "bad", ["", "a/b", "a#b", "a?b", "a\\b", "a\x01b", "a\u2028b", "\u2029", "x" * 257, "😀" * 231]
)
def test_an_id_that_no_instance_can_have_is_refused_by_every_request(bad: str) -> None:
    async def drive(world: World) -> None:
        client = world.client
        for request in (
            client.get_status(bad),
            client.get_status(bad, show_history=True),
            client.raise_event(bad, "E"),
            client.terminate(bad),
            client.suspend(bad),
            client.resume(bad),
            client.purge_instance_history(bad),
            client.wait_for_completion(bad, 1),
        ):
            with pytest.raises(InvalidInstanceIdError):
                await request
        with pytest.raises(InstanceNotFoundError):
            await client.terminate("nobody")
        assert await client.purge_instance_history("nobody") == 0

    World(full_registry(Effects()), settings=Settings()).run(drive)
