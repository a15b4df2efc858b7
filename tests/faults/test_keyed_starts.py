"""Starts with a key: however starts, hosts and faults mix, one instance results, with the input of the last start."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Debounce, Deduplicate, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import InvalidInputError
from durable_core.hub.start_keys import mark_of
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import come_to_rest

SECOND = timedelta(seconds=1)
SOON = Debounce(key="doc", period=10 * SECOND)
BOUNDED = Debounce(key="doc", period=10 * SECOND, max_wait=25 * SECOND)
HOURLY = Deduplicate(key="hook", window=timedelta(hours=1))


class Ran:
    """What has run, and when."""

    def __init__(self) -> None:
        self.inputs: list[Any] = []
        self.times: list[float] = []


def registry_of(ran: Ran) -> Registry:
    @activity
    def note(text: str) -> str:
        ran.inputs.append(text)
        return text

    @orchestrator
    def index(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        return (yield from ctx.call_activity(note, text))

    @orchestrator
    def other(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        return (yield from ctx.call_activity(note, text))

    @orchestrator
    def forever(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        yield from ctx.wait_for_external_event("never")
        return text

    return Registry().add(note, index, other, forever)


def simulate(drive: Any, *plans: FaultPlan, **more: Any) -> tuple[Any, World, Ran]:
    ran = Ran()
    world = World(registry_of(ran), **more)
    outcome = world.run(lambda world: drive(world, ran), *plans)
    assert not world.errors, world.errors
    return outcome, world, ran


async def ids_of(world: World) -> list[str]:
    return sorted(status.instance_id for status in await world.client.get_status_all())


async def claims_of(world: World) -> int:
    """How many keys of starts are claimed, seen by those which the tests use."""
    keys = world.outside.hub.start_keys
    marks = [mark_of("debounce", "index", "doc"), mark_of("deduplicate", "index", "hook")]
    return sum([await keys.read(mark) is not None for mark in marks])


# ---------------------------------------------------------------- debounced


def test_starts_within_the_period_make_one_instance_with_the_last_input() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        ids: list[str] = []
        for number in range(5):
            ids.append(await client.start_new("index", client_input=f"v{number}", debounce=SOON))
            await asyncio.sleep(8)
        assert len(set(ids)) == 1
        assert len({getattr(each, "execution_id", "") for each in ids}) == 1
        status = await client.get_status(ids[0])
        assert (status.runtime_status, status.input_) == (RuntimeStatus.PENDING, "v4")
        begins = status.scheduled_start_time
        status = await client.wait_for_completion(ids[0], 60)
        assert (status.output, ran.inputs) == ("v4", ["v4"])
        assert begins is not None
        assert status.created_time is not None
        assert begins - status.created_time == timedelta(seconds=4 * 8 + 10)
        later = await client.start_new("index", client_input="v5", debounce=SOON)
        assert later != ids[0]
        assert (await client.wait_for_completion(later, 60)).output == "v5"

    for settings in (Settings(), Settings(warm_cache=0)):
        simulate(drive, settings=settings)


def test_it_begins_at_the_latest_after_max_wait_and_each_start_after_that_is_for_the_next() -> None:
    async def drive(world: World, ran: Ran) -> list[tuple[str, float]]:
        client, begun = world.client, world.loop.time()
        ids: list[str] = []
        for number in range(12):
            ids.append(await client.start_new("index", client_input=f"{number}", debounce=BOUNDED))
            await asyncio.sleep(4)
        seen: list[tuple[str, float]] = []
        for each in dict.fromkeys(ids):
            await client.wait_for_completion(each, 600)
            status = await client.get_status(each)
            assert status.scheduled_start_time is not None
            assert status.created_time is not None
            seen.append((status.output, (status.scheduled_start_time - status.created_time).total_seconds()))
        assert world.loop.time() - begun < 120
        return seen

    seen, *_ = simulate(drive)
    assert seen == [("6", 25.0), ("11", 25.0)], seen


def test_keys_and_orchestrators_have_instances_of_their_own() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        for number in range(2):
            for name in ("index", "other"):
                for key in ("a", "b", "\ud7ff /\\#?\n"):
                    debounce = Debounce(key=key, period=10 * SECOND)
                    await client.start_new(name, client_input=f"{name} {key} {number}", debounce=debounce)
        await asyncio.sleep(60)
        assert len(ran.inputs) == 6
        assert all(text.endswith(" 1") for text in ran.inputs)

    simulate(drive)


def test_a_shorter_period_brings_the_beginning_forward_and_a_time_limit_moves_with_it() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        day = Debounce(key="doc", period=timedelta(days=1))
        one = await client.start_new("forever", client_input="a", debounce=day, timeout=timedelta(minutes=5))
        await asyncio.sleep(60)
        two = await client.start_new("forever", client_input="b", debounce=SOON)
        assert one == two
        status = await client.get_status(one)
        assert status.deadline is not None
        assert status.scheduled_start_time is not None
        assert status.deadline - status.scheduled_start_time == timedelta(minutes=5)
        await asyncio.sleep(30)
        assert (await client.get_status(one)).runtime_status is RuntimeStatus.RUNNING
        status = await client.wait_for_completion(one, 600)
        assert status.runtime_status is RuntimeStatus.FAILED
        assert (await client.start_new("forever", client_input="c", debounce=day)) != one

    simulate(drive)


@pytest.mark.parametrize("how", ["terminate", "cancel", "purge"])
def test_an_instance_that_is_ended_before_it_begins_is_joined_by_no_start(how: str) -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        one = await client.start_new("index", client_input="a", debounce=SOON)
        await (client.cancel if how == "cancel" else client.terminate)(one)
        if how == "purge":
            await client.wait_for_completion(one, 60)
            assert await client.purge_instance_history(one) == 1
            assert await claims_of(world) == 0
        two = await client.start_new("index", client_input="b", debounce=SOON)
        assert two != one
        assert (await client.wait_for_completion(two, 60)).output == "b"
        assert ran.inputs == ["b"]

    simulate(drive)


def test_events_and_suspension_of_a_waiting_instance_are_kept() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        one = await client.start_new("forever", client_input="a", debounce=SOON)
        await client.raise_event(one, "never")
        assert await client.start_new("forever", client_input="b", debounce=SOON) == one
        assert (await client.wait_for_completion(one, 60)).output == "b"

    simulate(drive)


def test_large_inputs_are_replaced_as_well() -> None:
    async def drive(world: World, ran: Ran) -> None:
        texts = [random.Random(number).randbytes(200_000).hex() for number in range(2)]
        one = [await world.client.start_new("index", client_input=text, debounce=SOON) for text in texts][-1]
        assert (await world.client.wait_for_completion(one, 60)).output == texts[1]
        assert await world.client.purge_instance_history(one) == 1

    simulate(drive)


@pytest.mark.parametrize("ahead", [-3.0, 0.0, 3.0])
@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_starts_of_two_clients_around_the_beginning_lose_no_input(ahead: float, cache: str) -> None:
    """Each start is either joined by the next one, or runs: of each id the input of its last start."""

    async def drive(world: World, ran: Ran) -> None:
        one = world.client
        host = world.add_host()
        host.clock.seconds = ahead
        two = host.app.client
        short = Debounce(key="doc", period=SECOND)
        ids: dict[str, str] = {}
        for number in range(40):
            client = (one, two)[number % 2]
            ids[f"{number}"] = await client.start_new("index", client_input=f"{number}", debounce=short)
            await asyncio.sleep(0.9 + 0.013 * (number % 20))
        await come_to_rest(world)
        by_instance: dict[str, str] = {}
        for number, instance_id in ids.items():
            by_instance[instance_id] = number  # the last start that has got this id
        assert sorted(ran.inputs) == sorted(by_instance.values())
        assert len(await ids_of(world)) == len(by_instance)

    ran = Ran()
    settings = Settings(warm_cache=0) if cache == "cold" else None
    world = World(registry_of(ran), settings=settings)
    world.run(lambda world: drive(world, ran))
    assert not world.errors, world.errors


def test_many_starts_at_once_make_one_instance() -> None:
    async def drive(world: World, ran: Ran) -> None:
        clients = [world.client, *(world.add_host().app.client for _ in range(3))]
        starts = [
            clients[number % 4].start_new("index", client_input=f"{number}", debounce=SOON) for number in range(24)
        ]
        ids = await asyncio.gather(*starts)
        assert len(set(ids)) == 1
        await come_to_rest(world)
        assert len(ran.inputs) == 1
        assert await ids_of(world) == [ids[0]]
        firsts = [
            clients[number % 4].start_new("index", client_input=f"{number}", deduplicate=HOURLY) for number in range(24)
        ]
        assert len(set(await asyncio.gather(*firsts))) == 1
        await come_to_rest(world)
        assert len(ran.inputs) == 2

    simulate(drive)


# ---------------------------------------------------------------- once in a window


def test_a_start_with_the_key_in_the_window_returns_the_earlier_instance_also_after_its_end() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        one = await client.start_new("index", client_input="a", deduplicate=HOURLY)
        assert await client.start_new("index", client_input="b", deduplicate=HOURLY) == one
        assert (await client.wait_for_completion(one, 60)).output == "a"
        await asyncio.sleep(3000)
        again = await client.start_new("index", client_input="c", deduplicate=HOURLY)
        assert again == one
        assert getattr(again, "execution_id", "") == getattr(one, "execution_id", None)
        assert await client.start_new("other", client_input="o", deduplicate=HOURLY) != one
        await asyncio.sleep(700)
        two = await client.start_new("index", client_input="d", deduplicate=HOURLY)
        assert two != one
        assert (await client.wait_for_completion(two, 60)).output == "d"
        longer = Deduplicate(key="hook", window=timedelta(days=1))
        assert await client.start_new("index", client_input="e", deduplicate=longer) == two
        assert sorted(ran.inputs) == ["a", "d", "o"]

    simulate(drive)


def test_a_purge_ends_the_window_and_leaves_no_claim() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        one = await client.start_new("index", client_input="a", deduplicate=HOURLY)
        await client.wait_for_completion(one, 60)
        assert await claims_of(world) == 1
        await client.purge_instance_history(one)
        assert await claims_of(world) == 0
        two = await client.start_new("index", client_input="b", deduplicate=HOURLY)
        assert two != one
        await asyncio.sleep(4000)
        three = await client.start_new("index", client_input="c", deduplicate=HOURLY)
        await client.wait_for_completion(two, 60)
        await client.purge_instance_history(two)  # the claim is that of another instance by now
        assert await claims_of(world) == 1
        assert await client.start_new("index", client_input="d", deduplicate=HOURLY) == three

    simulate(drive)


def test_a_restart_under_the_same_id_keeps_the_key() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        one = await client.start_new("index", client_input="a", deduplicate=HOURLY)
        await client.wait_for_completion(one, 60)
        await client.restart(one, False)
        assert await client.start_new("index", client_input="b", deduplicate=HOURLY) == one
        await come_to_rest(world)
        other = await client.restart(one)
        await client.wait_for_completion(other, 60)
        assert await client.purge_instance_history(other) == 1
        assert await claims_of(world) == 1  # a restart under another id has no key
        assert await client.purge_instance_history(one) == 1
        assert await claims_of(world) == 0
        assert ran.inputs == ["a", "a", "a"]

    simulate(drive)


def test_a_start_time_goes_with_a_window() -> None:
    async def drive(world: World, ran: Ran) -> None:
        client = world.client
        begins = world.loop.now() + timedelta(minutes=30)
        one = await client.start_new("index", client_input="a", deduplicate=HOURLY, start_at=begins)
        assert await client.start_new("index", client_input="b", deduplicate=HOURLY) == one
        await asyncio.sleep(1700)
        assert ran.inputs == []
        assert (await client.wait_for_completion(one, 600)).output == "a"

    simulate(drive)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"debounce": SOON, "deduplicate": HOURLY}, "not both"),
        ({"debounce": SOON, "instance_id": "x"}, "takes no instance id"),
        ({"deduplicate": HOURLY, "instance_id": "x"}, "takes no instance id"),
        ({"debounce": SOON, "if_exists": "return"}, "takes no if_exists"),
        ({"debounce": "k"}, "must be a Debounce"),
        ({"deduplicate": SOON}, "must be a Deduplicate"),
        ({"debounce": SOON, "client_input": 7}, "not a valid str"),
        ({"deduplicate": HOURLY, "client_input": 7}, "not a valid str"),
        ({"debounce": SOON, "tags": {"a": 1}}, "tags"),
    ],
)
def test_what_does_not_go_together_is_refused_and_claims_nothing(options: dict[str, Any], problem: str) -> None:
    async def drive(world: World, ran: Ran) -> None:
        client: Any = world.client
        with pytest.raises(InvalidInputError, match=problem):
            await client.start_new("index", **{"client_input": "a", **options})
        with pytest.raises(InvalidInputError, match="takes no start_at"):
            await world.client.start_new("index", client_input="a", debounce=SOON, start_at=world.loop.now())
        assert await claims_of(world) == 0
        assert await ids_of(world) == []

    simulate(drive)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: Debounce(key="", period=SECOND), "not empty"),
        (lambda: Debounce(key=1, period=SECOND), "not empty"),  # type: ignore[arg-type]
        (lambda: Debounce(key="k", period=5), "timedelta"),  # type: ignore[arg-type]
        (lambda: Debounce(key="k", period=None), "must be given"),  # type: ignore[arg-type]
        (lambda: Debounce(key="k", period=timedelta(0)), "positive"),
        (lambda: Debounce(key="k", period=10 * SECOND, max_wait=SECOND), "below its period"),
        (lambda: Debounce(key="\ud800", period=SECOND), "surrogate"),
        (lambda: Deduplicate(key="k" * 4001, window=SECOND), "at most 4,000"),
        (lambda: Deduplicate(key="k", window=-SECOND), "positive"),
    ],
)
def test_values_that_cannot_be_are_refused(make: Any, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem):
        make()


# ---------------------------------------------------------------- faults


def _of_a_client(options: dict[str, Any], last: str, fault: Fault, totals: Totals) -> None:
    """The process of another client starts and dies or fails; it tries again in another one, as callers do."""

    def run(plan: FaultPlan) -> tuple[object, World]:
        ran = Ran()
        world = World(registry_of(ran))

        async def drive(world: World) -> Any:
            host = world.add_host(plan=plan)
            ids: list[str] = []
            for text in ("first", "second"):
                try:
                    ids.append(await host.app.client.start_new("index", client_input=text, **options))
                except (HostCrashError, Exception):  # noqa: BLE001  the caller cannot know whether it has started
                    ids.append(await world.client.start_new("index", client_input=text, **options))
                await asyncio.sleep(3)
            await asyncio.sleep(4000)
            await come_to_rest(world)
            assert len(set(ids)) == 1, ids
            assert await ids_of(world) == [ids[0]]
            output = (await world.client.get_status(ids[0])).output
            assert output == ran.inputs[-1]
            assert await world.client.purge_instance_history(ids[0]) == 1
            assert await claims_of(world) == 0
            return output, set(ran.inputs)

        outcome = world.run(drive)
        assert not world.errors, world.errors
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, (last, {last}), totals, receipts=False, at_most=6)


@pytest.mark.parametrize("minutes", [5, 20])  # the beginning is a message, and a row of the timers
@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_debounced_start_leaves_one_instance(
    fault: Fault, minutes: int, totals: Totals
) -> None:
    later = Debounce(key="doc", period=timedelta(minutes=minutes))
    _of_a_client({"debounce": later}, "second", fault, totals)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_start_in_a_window_leaves_one_instance(
    fault: Fault, totals: Totals
) -> None:
    _of_a_client({"deduplicate": HOURLY}, "first", fault, totals)


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_operation_of_the_host_changes_nothing(fault: Fault, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[object, World]:
        async def drive(world: World, ran: Ran) -> Any:
            ids: list[str] = []
            for number in range(4):
                ids.append(await world.client.start_new("index", client_input=f"{number}", debounce=SOON))
                await asyncio.sleep(8)
            await asyncio.sleep(1800)
            await come_to_rest(world)
            assert len(set(ids)) == 1
            assert set(ran.inputs) == {"3"}
            return (await world.client.get_status(ids[0])).output

        outcome, world, _ = simulate(drive, plan)
        return outcome, world

    strike_each(run, fault, "3", totals, receipts=False, at_most=4)


@pytest.mark.parametrize("fault", [Fault.CRASH_AFTER, Fault.CRASH_BEFORE])
def test_a_purge_that_dies_half_way_leaves_no_claim(fault: Fault, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[object, World]:
        ran = Ran()
        world = World(registry_of(ran))

        async def drive(world: World) -> Any:
            one = await world.client.start_new("index", client_input="a", deduplicate=HOURLY)
            await world.client.wait_for_completion(one, 60)
            host = world.add_host(plan=plan)
            with suppress(HostCrashError, Exception):
                await host.app.client.purge_instance_history(one)
            await world.client.purge_instance_history(one)
            return len(await ids_of(world)), await claims_of(world)

        outcome = world.run(drive)
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, (0, 0), totals, at_most=6)
