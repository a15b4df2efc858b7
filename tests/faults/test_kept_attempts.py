"""What is kept of attempts through crashes and long histories, and with results of hosts of an older release."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.hub.attempts import KeptAttempts
from durable_core.hub.encoding import Encoding
from durable_core.models import JSON
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import come_to_rest

HALF_A_MINUTE = RetryPolicy(max_attempts=9, first_interval=timedelta(seconds=30), backoff=1.0)


@activity
def lucky(ctx: ActivityContext, at: int) -> int:
    if ctx.attempt < at:
        raise LookupError(f"no luck {ctx.attempt}")
    return ctx.attempt


@orchestrator
def patient(ctx: OrchestrationContext, at: int) -> Orchestration[list[int]]:
    alone = yield from ctx.call_activity(lucky, at, retry=HALF_A_MINUTE)
    both = [ctx.call_activity(lucky, n, retry=HALF_A_MINUTE) for n in (1, 2)]
    return [alone, *(yield from ctx.task_all(both))]


@orchestrator
def long(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    """Its log is moved to chunk rows while an attempt is to come."""
    waits = ctx.call_activity(lucky, 3, retry=RetryPolicy(first_interval=timedelta(hours=1)))
    for _ in range(steps):
        yield from ctx.create_timer(timedelta(seconds=1))
    return (yield from waits)


REGISTRY = Registry().add(lucky, patient, long)


async def events_of(world: World, instance_id: str) -> list[dict[str, JSON]]:
    status = await world.client.get_status(instance_id, show_history=True, show_history_output=True)
    assert status.is_terminal, status
    return status.history_events or []


def numbers(event: dict[str, Any]) -> list[int]:
    return [attempt["Number"] for attempt in event.get("Attempts", [])]


def ends(events: list[dict[str, JSON]]) -> dict[int, dict[str, JSON]]:
    return {event["TaskId"]: event for event in events if event["EventType"] in ("TaskCompleted", "TaskFailed")}


def test_a_host_that_dies_between_attempts_takes_no_attempt_with_it() -> None:
    async def scenario(world: World) -> dict[int, dict[str, JSON]]:
        await world.client.start_new("patient", "one", 7)
        await asyncio.sleep(75)  # after the third attempt
        await world.hosts.pop().stop()
        world.add_host()
        await come_to_rest(world)
        return ends(await events_of(world, "one"))

    world = World(REGISTRY)
    first, second, third = world.run(scenario).values()
    assert not world.errors
    assert numbers(first) == [1, 4, 5, 6, 7]
    assert first["Attempt"] == 7
    attempts = first["Attempts"]
    assert [attempt.get("Message") for attempt in attempts] == [*(f"no luck {n}" for n in (1, 4, 5, 6)), None]
    assert attempts[0]["Host"] != attempts[-1]["Host"] == first["Host"]
    assert first["StartedTime"] == attempts[-1]["StartedTime"] == "2030-01-01T00:03:00.000000Z"
    assert "Attempts" not in second
    assert numbers(third) == [1, 2]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_neither_loses_nor_repeats_an_attempt(fault: Fault, totals: Totals) -> None:
    def run(plan: FaultPlan) -> tuple[list[list[int]], World]:
        async def scenario(world: World) -> list[list[int]]:
            await world.client.start_new("patient", "one", 3)
            await come_to_rest(world)
            return [numbers(event) for _, event in sorted(ends(await events_of(world, "one")).items())]

        world = World(REGISTRY)
        return world.run(scenario, plan), world

    strike_each(run, fault, [[1, 2, 3], [], [1, 2]], totals)


def test_a_long_history_keeps_the_attempts_of_what_is_still_open() -> None:
    async def scenario(world: World) -> tuple[list[str], list[int]]:
        await world.client.start_new("long", "one", 300)
        await asyncio.sleep(1000)
        instance = await world.outside.hub.instances.read("one")
        assert instance is not None
        assert instance.base > 128, "the log was moved twice"
        kept = KeptAttempts(instance.tries, Encoding()).of(1)
        await asyncio.sleep(4 * 3600)
        return [attempt.message for attempt in kept], numbers(ends(await events_of(world, "one"))[1])

    assert World(REGISTRY).run(scenario) == (["no luck 1", "no luck 2"], [1, 2, 3])


def test_when_a_task_has_ended_the_row_forgets_its_attempts() -> None:
    async def scenario(world: World) -> dict[int, Any]:
        await world.client.start_new("patient", "one", 3)
        await come_to_rest(world)
        instance = await world.outside.hub.instances.read("one")
        assert instance is not None
        return dict(instance.tries)

    assert World(REGISTRY).run(scenario) == {}


def test_results_of_a_host_of_an_older_release_are_recorded_as_they_are() -> None:
    """Release 0.1 sent six fields. The host of this world only decides; the test is the older one that works."""

    async def scenario(world: World) -> dict[int, dict[str, JSON]]:
        hub = world.outside.hub
        await world.client.start_new("patient", "one", 1)
        control, work = (world.storage.queue(names[0]) for names in (hub.names.control, hub.names.work))
        failed = {"type": "LookupError", "message": "no luck"}
        for _ in range(200):
            await asyncio.sleep(1)
            for message in await work.receive(16, 30.0):
                body = json.loads(message.body)["durable"]
                for _, task_id, attempt, _, at, *_ in body["c"]:
                    ends_well = attempt >= at
                    outcome = [0, task_id, attempt, attempt if ends_well else None, None if ends_well else failed, 0]
                    answer = {"v": 1, "i": body["i"], "x": body["x"], "e": [outcome]}
                    await control.send(json.dumps({"durable": answer}))
                await work.delete(message)
        return ends(await events_of(world, "one"))

    world = World(Registry().add(activity_elsewhere(), patient), hosts=["control"])
    first, second, third = world.run(scenario).values()
    assert not world.errors
    assert not world.failures
    for event in (first, second):
        assert not event.keys() & {"StartedTime", "QueueMs", "RunMs", "Host", "Attempts"}
    assert [first["Result"], second["Result"], third["Result"]] == [1, 1, 2]
    assert third["Attempts"] == [{"Number": 1, "ErrorType": "LookupError", "Message": "no luck"}, {"Number": 2}]


def activity_elsewhere() -> Any:
    """The same by its name, never inline: its host is another one."""

    @activity(name="lucky", inline=False)
    def elsewhere(at: int) -> int:
        raise AssertionError("it runs on the older host")

    return elsewhere
