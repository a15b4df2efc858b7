"""A bulk operation changes each instance that its filter matches once, and no other, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core import orchestrator as orchestrator_
from durable_core.errors import InvalidInputError, NonRetriableError
from durable_core.models import RuntimeStatus
from durable_core.runtime.bulk import slices
from durable_core.runtime.bulk.orchestrator import BULK_NAME, BULK_PREFIX
from durable_core.runtime.bulk.request import BulkAction, BulkRequest
from durable_core.runtime.listing import Query
from durable_core.testing.faults import Fault, FaultPlan
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .scenarios import result

REWOUND = "ExecutionRewound"
NONE: list[str] = []
WAITING = [f"w{number}" for number in range(7)]


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several pages in a part and several parts in an operation, with few instances."""
    monkeypatch.setattr(slices, "PAGE", 2)
    monkeypatch.setattr(slices, "SLICE_INSTANCES", 3)


@orchestrator_
def waits(ctx: OrchestrationContext, given: list[str]) -> Orchestration[list[str]]:
    """Collects what it is sent until it is told to end."""
    while (word := (yield from ctx.wait_for_external_event("Word", str))) != "end":
        given.append(word)
    return given


@orchestrator_
def fails(ctx: OrchestrationContext, what: str) -> Orchestration[None]:
    yield from ctx.create_timer(timedelta(seconds=1))
    raise ValueError(what)


REGISTRY = Registry().add(waits, fails)


async def begin(world: World) -> None:
    for instance_id in WAITING:
        await world.client.start_new(waits, instance_id, client_input=NONE)
    await world.client.start_new(waits, "other", client_input=NONE)
    await world.client.start_new(fails, "w-failed", client_input="on purpose")
    await asyncio.sleep(30)


async def statuses(world: World) -> dict[str, str]:
    return {each.instance_id: str(each.runtime_status) for each in await world.client.get_status_all()}


async def progress(world: World, bulk_id: str) -> dict[str, Any]:
    done: dict[str, Any] = await result(world, bulk_id, look_every=5)
    return done


@pytest.mark.parametrize(
    ("action", "expected"), [("terminate", "Terminated"), ("cancel", "Canceled"), ("suspend", "Suspended")]
)
def test_an_action_reaches_what_the_filter_matches_and_nothing_else(action: str, expected: str) -> None:
    async def drive(world: World) -> None:
        await begin(world)
        preview = await world.client.preview_bulk(action, instance_id_prefix="w")
        assert (preview.matched, preview.is_complete) == (7, True)
        assert {each.instance_id for each in preview.sample} == set(WAITING)
        bulk_id = await world.client.bulk(action, instance_id_prefix="w", reason="over")
        done = await progress(world, bulk_id)
        counts: dict[str, Any] = {"matched": 7, "done": 7, "skipped": 0, "failed": 0, "errors": []}
        assert done == {"action": action, "isComplete": True, **counts}
        await asyncio.sleep(60)
        found = await statuses(world)
        assert found == dict.fromkeys(WAITING, expected) | {"other": "Running", "w-failed": "Failed"}
        status = await world.client.get_status(bulk_id, show_history=True)
        assert status.custom_status == done
        assert len(status.history_events or []) < 10, "each part is a generation of its own"

    World(REGISTRY).run(drive)


def test_an_event_is_raised_once_on_each_and_a_suspension_is_taken_back() -> None:
    async def drive(world: World) -> None:
        await begin(world)
        await progress(world, await world.client.bulk("suspend", instance_id_prefix="w"))
        await asyncio.sleep(60)
        resumed = await progress(world, await world.client.bulk("resume", runtime_status=RuntimeStatus.SUSPENDED))
        assert resumed["done"] == 7
        for word in ("hello", "end"):
            sent = await world.client.bulk("raiseEvent", event_name="Word", event_data=word, instance_id_prefix="w")
            assert (await progress(world, sent))["done"] == 7
        for each in WAITING:
            assert await result(world, each, look_every=5) == ["hello"]

    World(REGISTRY).run(drive)


@pytest.mark.parametrize("recursive", [True, False])
def test_a_purge_takes_the_sub_orchestrations_along_if_it_is_recursive(recursive: bool) -> None:
    @orchestrator
    def below(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.task_all([])
        return "done"

    @orchestrator
    def above(ctx: OrchestrationContext) -> Orchestration[str]:
        return (yield from ctx.call_sub_orchestrator(below))

    async def drive(world: World) -> None:
        for number in range(3):
            await world.client.start_new(above, f"a{number}")
        await asyncio.sleep(30)
        asked: dict[str, Any] = {"name": "above", "recursive": recursive}
        assert (await world.client.preview_bulk("purge", **asked)).matched == 3
        gone = await progress(world, await world.client.bulk("purge", **asked))
        assert (gone["matched"], gone["done"]) == (3, 3)
        left = [each.name for each in await world.client.get_status_all() if not each.name.startswith("durable.")]
        assert left == ([] if recursive else ["below"] * 3)

    World(Registry().add(above, below)).run(drive)


def test_what_failed_is_restarted_under_ids_that_name_it_and_purged() -> None:
    async def drive(world: World) -> None:
        for number in range(5):
            await world.client.start_new(fails, f"f{number}", client_input="on purpose")
        await asyncio.sleep(30)
        again = await progress(world, await world.client.bulk("restart", runtime_status=RuntimeStatus.FAILED))
        assert again["done"] == 5
        await asyncio.sleep(30)
        found = await world.client.get_status_by(runtime_status=RuntimeStatus.FAILED)
        assert Counter(each.instance_id.partition("~")[0] for each in found) == {f"f{n}": 2 for n in range(5)}
        origins = [await world.client.get_status(each.instance_id) for each in found if "~" in each.instance_id]
        assert all(each.restarted_from and each.restarted_from.instance_id == each.instance_id[:2] for each in origins)
        gone = await progress(world, await world.client.bulk("purge", all=True))
        assert (gone["matched"], gone["done"]) == (10, 10)
        assert await statuses(world) == {}

    World(REGISTRY).run(drive)


def test_the_filters_of_a_list_choose_the_instances() -> None:
    async def drive(world: World) -> None:
        await begin(world)
        moment = (await world.client.get_status("w-failed")).ended_time
        chosen = [
            {"name": "waits", "instance_id_prefix": "other"},
            {"name": "fails"},
            {"name": "waits", "stuck": True},
            {"ended_time_from": moment, "ended_time_to": moment},
        ]
        actions = ["suspend", "restart", "suspend", "purge"]
        counts = [
            (await progress(world, await world.client.bulk(action, **each)))["done"]  # pyright: ignore[reportArgumentType]
            for action, each in zip(actions, chosen, strict=True)
        ]
        assert counts == [1, 1, 0, 1]

    World(REGISTRY).run(drive)


def test_instances_that_begin_later_are_left_alone() -> None:
    async def drive(world: World) -> None:
        await begin(world)
        bulk_id = await world.client.bulk("terminate", instance_id_prefix="w")
        await asyncio.sleep(1)
        await world.client.start_new(waits, "w-late", client_input=NONE)
        await progress(world, bulk_id)
        await asyncio.sleep(60)
        assert (await statuses(world))["w-late"] == "Running"

    World(REGISTRY).run(drive)


def test_an_operation_that_is_cancelled_begins_no_further_part() -> None:
    async def drive(world: World) -> None:
        await begin(world)
        bulk_id = await world.client.bulk("terminate", instance_id_prefix="w")
        await world.client.cancel(bulk_id, "wrong filter")
        status = await world.client.wait_for_completion(bulk_id, 3600)
        assert status.runtime_status is RuntimeStatus.CANCELED
        await asyncio.sleep(120)
        assert Counter((await statuses(world)).values())["Running"] >= 2

    World(REGISTRY).run(drive)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"action": "terminate"}, "the filter is empty"),
        ({"action": "destroy", "all": True}, "the action must be one of"),
        ({"action": "resume", "runtime_status": RuntimeStatus.RUNNING}, "resume is possible for .* that are Suspended"),
        ({"action": "purge", "runtime_status": "Runing"}, "runtime_status must be one or more"),
        ({"action": "terminate", "instance_id_prefix": "durable.schedule:"}, "not changed in bulk"),
        ({"action": "raiseEvent", "all": True}, "needs the name of an event"),
        ({"action": "purge", "all": True, "event_name": "Go"}, "no other action takes one"),
        ({"action": "purge", "all": True, "event_data": 1}, "only the action raiseEvent takes data"),
        ({"action": "rewind", "all": True, "recursive": True}, "only the action purge can be recursive"),
        ({"action": "terminate", "all": True, "reason": "x" * 5000}, "a reason has at most"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_nothing_begins(arguments: dict[str, Any], complaint: str) -> None:
    async def drive(world: World) -> None:
        await begin(world)
        with pytest.raises(InvalidInputError, match=complaint):
            await world.client.bulk(**arguments)
        page = await world.client.list_instances(instance_id_prefix=BULK_PREFIX)
        assert page.instances == []

    World(REGISTRY).run(drive)


def test_a_filter_that_this_version_does_not_know_changes_nothing() -> None:
    """A newer host of the deployment may have begun the operation: the older one must not ignore a part of it."""

    async def drive(world: World) -> None:
        await begin(world)
        unknown = {"prefix": "w", "colour": "red"}
        request = {"action": "terminate", "query": unknown, "reason": "", "event_name": "", "data": None}
        await world.client.start_new(BULK_NAME, f"{BULK_PREFIX}newer", {"request": request})
        status = await world.client.wait_for_completion(f"{BULK_PREFIX}newer", 3600)
        assert status.runtime_status is RuntimeStatus.FAILED
        assert status.failure is not None and status.failure.cause is not None
        assert status.failure.cause.type.endswith(NonRetriableError.__name__)
        assert "colour" in status.failure.cause.message
        assert set((await statuses(world)).values()) == {"Running", "Failed"}

    World(REGISTRY).run(drive)


def test_an_operation_reaches_the_framework_s_own_instances_by_no_filter() -> None:
    async def drive(world: World) -> None:
        await world.client.create_schedule("nightly", waits, interval=timedelta(days=1), client_input=NONE)
        await begin(world)
        first = await world.client.bulk("suspend", all=True)
        assert (await progress(world, first))["matched"] == 8
        assert (await progress(world, await world.client.bulk("terminate", all=True)))["matched"] == 8
        assert (await world.client.get_schedule("nightly")).is_paused is False
        assert (await world.client.get_status(first)).runtime_status is RuntimeStatus.COMPLETED

    World(REGISTRY).run(drive)


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("action", ["raiseEvent", "suspend", "restart", "rewind"])
def test_a_fault_at_any_operation_repeats_nothing_on_an_instance_and_forgets_none(
    fault: Fault, action: str, totals: Totals
) -> None:
    def run(plan: FaultPlan) -> tuple[Any, World]:
        world = World(REGISTRY)

        async def drive(world: World) -> Any:
            if action in ("restart", "rewind"):
                for number in range(4):
                    await world.client.start_new(fails, f"w{number}", client_input="on purpose")
            else:
                for instance_id in WAITING[:4]:
                    await world.client.start_new(waits, instance_id, client_input=NONE)
            await asyncio.sleep(600)  # the lease of a message that a host lost, and the turn after it
            more: dict[str, Any] = {"event_name": "Word", "event_data": "hello"} if action == "raiseEvent" else {}
            done = await progress(world, await world.client.bulk(action, instance_id_prefix="w", **more))
            assert done["isComplete"] and done["failed"] == 0
            await asyncio.sleep(900)
            if action == "rewind":
                found = [await world.client.get_status(each, show_history=True) for each in WAITING[:4]]
                return [
                    [str(event["EventType"]) for event in each.history_events or []].count(REWOUND) for each in found
                ]
            if action == "restart":
                await asyncio.sleep(30)
                return Counter(each.partition("~")[0] for each in await statuses(world))
            if action == "suspend":
                assert set((await statuses(world)).values()) == {"Suspended"}
                for instance_id in WAITING[:4]:
                    await world.client.resume(instance_id)
            for instance_id in WAITING[:4]:
                await world.client.raise_event(instance_id, "Word", "end")
            return [await result(world, each) for each in WAITING[:4]]

        return world.run(drive, plan), world

    expected: dict[str, object] = {
        "rewind": [1] * 4,  # each has failed again since
        "raiseEvent": [["hello"]] * 4,
        "suspend": [[]] * 4,
        "restart": Counter({f"w{number}": 2 for number in range(4)}),
    }
    strike_each(run, fault, expected[action], totals)


def test_a_stored_request_comes_back_as_it_was() -> None:
    created = (datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, 12, 30, 1, 5, tzinfo=UTC))
    query = Query.of(*created, RuntimeStatus.FAILED, "order-", {"shop": "berlin"})
    request = BulkRequest.of("PURGE", query, every=False, reason="old")
    assert request.action is BulkAction.PURGE
    stored = request.stored()
    assert BulkRequest.from_stored(stored) == request
    for broken in ({}, {**stored, "more": 1}, {**stored, "action": "eat"}, {**stored, "query": 7}):
        with pytest.raises(InvalidInputError, match="cannot read the bulk operation"):
            BulkRequest.from_stored(broken)
