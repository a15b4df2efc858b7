"""``client.fork``: what is copied and what is not, the source untouched, and a fault at each of its operations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.errors import (
    DurableError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
)
from durable_core.hub.messages import ControlMessage
from durable_core.models import Origin
from durable_core.runtime import fork
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import check, come_to_rest, watched
from .rewinds import Mending, until_ended


def make_registry(effects: Mending) -> Registry:
    @activity
    async def note(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return text

    @activity
    async def price(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        effects.fail()
        return number

    @orchestrator
    def listener(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        found: list[str] = []
        while len(found) < 2:
            found.append((yield from ctx.wait_for_external_event("Told", str)))
        return found

    @orchestrator
    def child(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        noted = yield from ctx.call_activity(note, text)
        return noted

    @orchestrator
    def whole(ctx: OrchestrationContext, name: str) -> Orchestration[dict[str, Any]]:
        """Something of every kind, before the call that fails and after it."""
        made = ctx.new_uuid()
        timer = ctx.create_timer(timedelta(hours=1))
        came = yield from ctx.wait_for_external_event("Go", str)
        ctx.send_event("listener", "Told", f"before {name}")
        detached = ctx.start_orchestration(child, "detached before")
        of_child = yield from ctx.call_sub_orchestrator(child, "child before")
        cost = yield from ctx.call_activity(price, 7)
        ctx.send_event("listener", "Told", f"after {name}")
        later = ctx.start_orchestration(child, "detached after")
        after = yield from ctx.call_sub_orchestrator(child, "child after")
        yield from timer
        return {"made": made, "came": came, "detached": detached, "later": later, "cost": cost, "child": of_child,
                "after": after}  # fmt: skip

    @orchestrator
    def with_own_child(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(note, "first")
        told = yield from ctx.call_sub_orchestrator(listener, instance_id="listener")
        return str(told)

    return Registry().add(note, price, listener, child, whole, with_own_child)


async def _failed(world: World) -> None:
    await world.client.start_new("listener", "listener")
    await world.client.start_new("whole", "one", "source", tags={"shop": "berlin"})
    await asyncio.sleep(60)
    await world.client.raise_event("one", "Go", "gone")
    await until_ended(world)
    await asyncio.sleep(7200)


async def _rows(world: World, instance_id: str) -> list[Any]:
    rows = (await world.storage.table("durableInstances").read_range(instance_id)).rows
    return [(row.key, dict(row.props), row.etag, row.timestamp) for row in rows]


def played(drive: Any) -> Any:
    effects = Mending()
    world = World(make_registry(effects))
    oracle = watched(world)

    async def scenario(world: World) -> Any:
        found = await drive(world, effects)
        with suppress(DurableError):
            await world.client.raise_event("listener", "Told", "enough")
            await world.client.raise_event("listener", "Told", "enough")
        await come_to_rest(world)
        await check(world, None, oracle=oracle)  # what a fork has recorded, its source has run
        return found

    found = world.run(scenario)
    assert not world.errors, world.errors
    return found


PRICE = 5
"""The number of the call that fails."""


async def _fork_of_the_failed(world: World, effects: Mending) -> Any:
    await _failed(world)
    before = await _rows(world, "one")
    dry = await world.client.fork("one", until_failure=True, overrides={PRICE: {"result": 8}}, dry_run=True)
    assert "SubOrchestrationCreated" in "".join(dry.decisions)
    forked = await world.client.fork("one", until_failure=True, overrides={PRICE: {"result": 8}}, new_instance_id="two")
    again = ControlMessage(instance_id="two", execution_id=forked.execution_id, redelivered=True, rewinds=1)
    await world.outside.hub.send(again)  # as if the host that got the wake-up had died
    status = await world.client.wait_for_completion("two", 6 * 3600)
    assert await _rows(world, "one") == before, "the source was touched"
    assert status.forked_from is not None
    assert (status.forked_from.instance_id, status.tags) == ("one", {"shop": "berlin"})
    assert forked.keys == {}
    listed = {s.instance_id: s for s in await world.client.get_status_all()}
    children = [name for name, each in listed.items() if each.name == "child"]
    told = await world.client.get_status("listener", show_history=True, show_history_output=True)
    events = [event["Data"] for event in told.history_events or [] if event["EventType"] == "EventRaised"]
    return status.output, events, len(children), listed[status.output["detached"]].created_time


def test_a_fork_goes_on_from_the_copied_part_and_repeats_nothing_of_it() -> None:
    output, events, children, _ = played(_fork_of_the_failed)
    assert (output["came"], output["child"], output["cost"], output["after"]) == (
        "gone",
        "child before",
        8,
        "child after",
    )
    assert events == ["before source", "after source"], "the first is the source's, and was not sent again"
    assert children == 4, "of the source its child and its detached one, of the fork the same after the cut"
    assert output["later"] != output["detached"]


def test_without_knowing_the_copied_part_as_dispatched_it_would_be_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule R30 taken out."""
    monkeypatch.setattr(fork, "dispatched_of", lambda _: -1)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    _, events, _, _ = played(_fork_of_the_failed)
    assert events != ["before source", "after source"]


async def _fork_of_an_own_child(world: World, effects: Mending) -> Any:
    await world.client.start_new("with_own_child", "one")
    await asyncio.sleep(60)
    with pytest.raises(OperationRefusedError, match="is not forked") as refused:
        await world.client.fork("one", until_task=2, new_instance_id="two")
    assert "'listener' of task 2 is open" in refused.value.problems[0]
    await world.client.fork("one", until_task=2, new_instance_id="two", overrides={2: {"result": ["a", "b"]}})
    status = await world.client.wait_for_completion("two", 3600)
    assert (await world.client.get_status("one")).runtime_status == "Running"
    return status.output


def test_an_open_child_with_an_id_of_its_own_must_be_answered() -> None:
    assert played(_fork_of_an_own_child) == "['a', 'b']"


def test_without_refusing_it_the_fork_fails_of_the_others_child(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule R31 taken out."""
    monkeypatch.setattr(fork, "collisions", lambda *_: [])  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]

    async def drive(world: World, effects: Mending) -> Any:
        await world.client.start_new("with_own_child", "one")
        await asyncio.sleep(60)
        await world.client.fork("one", until_task=2, new_instance_id="two")
        return (await world.client.wait_for_completion("two", 3600)).runtime_status

    assert played(drive) == "Failed"


def test_calls_that_are_open_run_again_with_other_keys_and_perhaps_another_input() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        effects.broken = False
        same = await world.client.fork("one", until_task=PRICE, new_instance_id="two")
        other = await world.client.fork(
            "one", until_task=PRICE, new_instance_id="three", overrides={PRICE: {"input": 9}}
        )
        assert same.keys == {PRICE: f"{same.execution_id}-0-{PRICE}"}
        assert len({same.keys[PRICE], other.keys[PRICE], f"{same.execution_id}-0-1"} & effects.runs.keys()) <= 2
        failing = await world.client.fork(
            "one", until_task=PRICE, new_instance_id="four", overrides={PRICE: {"failure": "no price"}}
        )
        assert failing.cut_before == same.cut_before
        found = [await world.client.wait_for_completion(name, 6 * 3600) for name in ("two", "three", "four")]
        assert found[2].failure is not None
        assert "no price" in found[2].failure.message
        return [status.output and status.output["cost"] for status in found]

    assert played(drive) == [7, 9, None]


def test_a_copy_until_an_event_waits_for_it_anew() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        effects.broken = False
        await world.client.fork("one", until_event="go", new_instance_id="two")
        await asyncio.sleep(60)
        assert (await world.client.get_status("two")).runtime_status == "Running"
        await world.client.raise_event("two", "Go", "another")
        return (await world.client.wait_for_completion("two", 6 * 3600)).output["came"]

    assert played(drive) == "another"


def test_what_cannot_be_forked_is_refused_and_writes_nothing() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        wrong: list[tuple[type[Exception], str, str, dict[str, Any]]] = [
            (InstanceNotFoundError, "no instance", "nobody", {"until_task": 1}),
            (InvalidInputError, "one of task, event and failure", "one", {}),
            (InvalidInputError, "one of task, event and failure", "one", {"until_task": 1, "until_failure": True}),
            (InvalidInputError, "has no task 99", "one", {"until_task": 99}),
            (InvalidInputError, "no event 'Stop'", "one", {"until_event": "Stop"}),
            (InvalidInputError, "has not failed", "listener", {"until_failure": True}),
            (InvalidInputError, "task 2 is not open", "one", {"until_failure": True, "overrides": {2: {"result": 1}}}),
            (InvalidInputError, "is a timer", "one", {"until_failure": True, "overrides": {1: {"result": 1}}}),
            (InvalidInputError, "has one of", "one", {"until_failure": True, "overrides": {PRICE: {"value": 1}}}),
            (
                InvalidInputError,
                "overridden result",
                "one",
                {"until_task": PRICE, "overrides": {PRICE: {"result": "x"}}},
            ),
            (InvalidInputError, "version '9'", "one", {"until_failure": True, "version": "9"}),
            (InstanceAlreadyExistsError, "exists", "one", {"until_failure": True, "new_instance_id": "listener"}),
            (ExecutionGoneError, "earlier", "one", {"until_failure": True, "execution_id": "another"}),
        ]
        for error, problem, name, options in wrong:
            options.setdefault("new_instance_id", "two")
            with pytest.raises(error, match=problem):
                await world.client.fork(name, **options)
        assert not await world.client.get_status("two")
        return len(await world.client.get_status_all())

    assert played(drive) == 4


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_fork_changes_no_outcome(fault: Fault, totals: Totals) -> None:
    """The process that forks dies, or the host that goes on with the fork; the caller makes the same request again."""

    def run(plan: FaultPlan) -> tuple[object, World]:
        effects = Mending()
        world = World(make_registry(effects))
        oracle = watched(world)

        async def drive(world: World) -> Any:
            await _failed(world)
            effects.broken = False
            for host in world.hosts:
                await host.stop()
            world.hosts.clear()
            host = world.add_host(plan=plan)
            options: dict[str, Any] = {"until_task": PRICE, "new_instance_id": "two", "request_id": "mine"}
            with suppress(HostCrashError, DurableError):
                await host.app.client.fork("one", **options)
            await world.client.fork("one", **options)
            status = await world.client.wait_for_completion("two", 12 * 3600)
            await asyncio.sleep(1800)
            await come_to_rest(world)
            await check(world, None, oracle=oracle)  # what a fork has recorded, its source has run
            assert status.forked_from == Origin("one", (await world.client.get_status("one")).execution_id)
            return status.output and (status.output["cost"], status.output["after"])

        outcome = world.run(drive)
        assert not world.errors, world.errors
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, (7, "child after"), totals)
