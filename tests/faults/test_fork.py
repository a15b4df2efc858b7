"""``client.fork``: what is copied and what is not, the source untouched, and a fault at each of its operations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.engine.state import ExecutionState
from durable_core.errors import (
    CapabilityError,
    DurableError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
)
from durable_core.hub.catalog import CLOSED, OPEN
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Instances
from durable_core.hub.messages import ControlMessage
from durable_core.models import Origin
from durable_core.runtime import fork
from durable_core.runtime.turn import redispatch
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .forks import fork_twice
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
    return status.output, await _told(world), len(children), listed[status.output["detached"]].created_time


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


async def _fork_of_a_hub_that_lost_its_queues(world: World, effects: Mending) -> list[Any]:
    await _failed(world)
    effects.broken = False
    await world.client.fork("one", until_task=PRICE, new_instance_id="two")
    await world.client.recover()
    await world.client.wait_for_completion("two", 6 * 3600)
    return await _told(world)


async def _told(world: World) -> list[Any]:
    """What the listener has received."""
    told = await world.client.get_status("listener", show_history=True, show_history_output=True)
    return [event["Data"] for event in told.history_events or [] if event["EventType"] == "EventRaised"]


def test_a_fork_that_is_recovered_does_not_repeat_what_its_source_has_done() -> None:
    assert played(_fork_of_a_hub_that_lost_its_queues) == ["before source", "after source"]


def test_without_leaving_out_the_copied_commits_it_would_be_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule R30 taken out."""
    monkeypatch.setattr(redispatch, "own_commits", lambda _, segments: segments)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    assert played(_fork_of_a_hub_that_lost_its_queues) == ["before source", "before source"]


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
            await fork_twice(world, plan, until_task=PRICE)
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


# ---------------------------------------------------------------- forks that begin suspended


async def _suspended(world: World, effects: Mending) -> Any:
    await _failed(world)
    effects.broken = False
    runs = dict(effects.runs)
    forked = await world.client.fork("one", until_task=PRICE, new_instance_id="two", suspended=True)
    await asyncio.sleep(3600)
    await world.client.recover()
    await world.client.raise_event("two", "Unasked", 1)
    await asyncio.sleep(3600)
    held = await world.client.get_status("two")
    assert (held.runtime_status, held.pause_reason) == ("Suspended", "forked from 'one'")
    assert dict(effects.runs) == runs, "nothing runs before it is resumed"
    await world.client.resume("two", "looked at")
    status = await world.client.wait_for_completion("two", 6 * 3600)
    assert effects.runs[forked.keys[PRICE]] == 1
    return status.output["cost"], status.output["after"]


def test_a_fork_that_begins_suspended_runs_nothing_until_it_is_resumed() -> None:
    assert played(_suspended) == (7, "child after")


def test_without_holding_its_calls_they_would_run_while_it_is_suspended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule R32 taken out."""
    monkeypatch.setattr(ExecutionState, "hold", lambda _: None)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    monkeypatch.setattr(redispatch, "begins_held", lambda _: False)  # pyright: ignore[reportUnknownLambdaType, reportUnknownArgumentType]
    with pytest.raises(AssertionError, match="nothing runs before"):
        played(_suspended)


def test_a_fork_that_begins_suspended_can_be_ended_and_rewound_and_still_waits() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        effects.broken = False
        runs = dict(effects.runs)
        await world.client.fork("one", until_task=PRICE, new_instance_id="two", suspended=True)
        await world.client.terminate("two", "a mistake")
        await world.client.wait_for_completion("two", 3600)
        assert dict(effects.runs) == runs
        await world.client.rewind("two")
        await asyncio.sleep(3600)
        assert (await world.client.get_status("two")).runtime_status == "Suspended"
        assert dict(effects.runs) == runs
        await world.client.resume("two")
        return (await world.client.wait_for_completion("two", 6 * 3600)).output["cost"]

    assert played(drive) == 7


def test_a_fork_of_a_suspended_instance_is_suspended_as_its_source_was() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await world.client.start_new("listener", "one")
        await asyncio.sleep(60)
        await world.client.suspend("one", "a look")
        await asyncio.sleep(60)
        await world.client.raise_event("one", "Told", "a")
        await asyncio.sleep(60)
        await world.client.fork("one", until_event="Told", new_instance_id="two")
        status = await world.client.get_status("two")
        assert status.runtime_status == "Suspended"
        for name in ("one", "two"):
            await world.client.resume(name)
            await world.client.raise_event(name, "Told", "b")
            await world.client.raise_event(name, "Told", "c")
        return [(await world.client.wait_for_completion(name, 3600)).output for name in ("one", "two")]

    assert played(drive) == [["a", "b"], ["b", "c"]]


# ---------------------------------------------------------------- overrides, callbacks, requests that are repeated


def with_steps(effects: Mending) -> Registry:
    def look(name: str) -> str:
        effects.runs[name] += 1
        return f"seen {name}"

    @activity
    async def note(ctx: ActivityContext, text: str) -> str:
        effects.runs[f"{ctx.idempotency_key} {text}"] += 1
        return text

    @orchestrator
    def child(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        noted = yield from ctx.call_activity(note, text)
        return f"child {noted}"

    @orchestrator
    def steps(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        first = yield from ctx.run("first", look, "one")
        second = yield from ctx.run("second", look, "two")
        of_child = yield from ctx.call_sub_orchestrator(child, "three")
        return [first, second, of_child]

    @orchestrator
    def asks(ctx: OrchestrationContext, round_: int) -> Orchestration[list[str]]:
        """Asks two third parties in its second generation."""
        if not round_:
            yield from ctx.call_activity(note, "before")
            ctx.continue_as_new(1)
            return []
        one = ctx.callback("one", str)
        yield from ctx.call_activity(note, one.url)
        first = yield from one.task
        two = ctx.callback("two", str)
        yield from ctx.call_activity(note, two.url)
        second = yield from two.task
        return [first, second]

    return Registry().add(note, child, steps, asks)


def of_steps(drive: Any) -> Any:
    effects = Mending()
    world = World(with_steps(effects))

    async def scenario(world: World) -> Any:
        return await drive(world, effects)

    found = world.run(scenario)
    assert not world.errors, world.errors
    return found


@pytest.mark.parametrize("has_code", [True, False], ids=["with the code", "without it"])
def test_a_step_or_a_child_can_be_answered_by_an_override(has_code: bool) -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await world.client.start_new("steps", "one")
        await world.client.wait_for_completion("one", 3600)
        runs = dict(effects.runs)
        client = world.client if has_code else world.add_host(registry=Registry()).app.client
        first = await client.fork("one", until_task=2, new_instance_id="two", overrides={2: {"result": "told"}})
        assert (first.again, first.keys) == ((), {})
        again = await client.fork("one", until_task=2, new_instance_id="three")
        assert [(task.task_id, task.name) for task in again.again] == [(2, "second")]
        await client.fork("one", until_task=3, new_instance_id="four", overrides={3: {"result": "no child"}})
        await client.fork("one", until_task=3, new_instance_id="five", overrides={3: {"input": "other"}})
        await client.fork("one", until_task=3, new_instance_id="six", overrides={3: {"failure": "it is gone"}})
        with pytest.raises(InvalidInputError, match="whose arguments the code gives"):
            await client.fork("one", until_task=2, overrides={2: {"input": 1}})
        ids = ("two", "three", "four", "five", "six")
        found = [await world.client.wait_for_completion(name, 3600) for name in ids]
        assert found[4].failure is not None
        assert "it is gone" in found[4].failure.message
        ran = {name: effects.runs[name] - runs.get(name, 0) for name in ("one", "two")}
        assert ran == {"one": 0, "two": 1}, "the step that was not answered"
        return [status.output for status in found[:4]]

    assert of_steps(drive) == [
        ["seen one", "told", "child three"],
        ["seen one", "seen two", "child three"],
        ["seen one", "seen two", "no child"],
        ["seen one", "seen two", "child other"],
    ]


def test_a_fork_says_which_callbacks_are_open_and_that_the_urls_of_its_source_are_the_sources() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await world.client.start_new("asks", "one", 0)
        await asyncio.sleep(60)
        [handed_out] = [key.partition(" ")[2] for key in effects.runs if "http" in key]
        await world.client.complete_callback(handed_out, "a")
        await asyncio.sleep(60)
        two = await world.client.fork("one", until_task=2, new_instance_id="two")
        assert [callback.name for callback in two.callbacks] == ["two"], "the first is completed"
        three = await world.client.fork("one", until_event="callback/one/1.1", new_instance_id="three")
        [callback] = three.callbacks
        assert (callback.name, callback.source_url) == ("one", handed_out)
        with pytest.raises(CapabilityError):
            await world.client.complete_callback(callback.source_url, "b")
        assert callback.url not in "".join(effects.runs)
        await world.client.complete_callback(callback.url, "b")
        await asyncio.sleep(60)
        return [[wait.name for wait in (await world.client.get_status(name)).waits] for name in ("one", "two", "three")]

    assert of_steps(drive) == [["two"]] * 3


def test_a_request_that_is_made_again_finds_its_fork_even_when_the_source_is_gone() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        effects.broken = False
        first = await world.client.fork("one", until_task=PRICE, request_id="mine")
        again = await world.client.fork("one", until_task=PRICE, request_id="mine")
        other = await world.client.fork("one", until_task=PRICE, request_id="yours")
        assert (first.instance_id, first.execution_id, first.again) == (
            again.instance_id,
            again.execution_id,
            again.again,
        )
        assert first.keys == again.keys
        assert other.instance_id != first.instance_id
        status = await world.client.wait_for_completion(first.instance_id, 6 * 3600)
        assert await world.client.purge_instance_history("one") == 1
        late = await world.client.fork("one", until_task=PRICE, request_id="mine")
        assert late.instance_id == first.instance_id
        with pytest.raises(InstanceNotFoundError):
            await world.client.fork("one", until_task=PRICE, request_id="new")
        return status.output["cost"]

    assert played(drive) == 7


def test_a_copy_can_end_before_any_event_of_a_name() -> None:
    async def drive(world: World, effects: Mending) -> Any:
        await world.client.start_new("listener", "one")
        for text in ("a", "b"):
            await asyncio.sleep(60)
            await world.client.raise_event("one", "Told", text)
        await world.client.wait_for_completion("one", 3600)
        await world.client.fork("one", until_event="Told", event_number=1, new_instance_id="two")
        await world.client.fork("one", until_event="told", new_instance_id="three")
        with pytest.raises(InvalidInputError, match="has received 2 events 'Told', not 3"):
            await world.client.fork("one", until_event="Told", event_number=3)
        with pytest.raises(InvalidInputError, match="counted from 1"):
            await world.client.fork("one", until_event="Told", event_number=0)
        with pytest.raises(InvalidInputError, match="a number is that of an event"):
            await world.client.fork("one", until_task=1, event_number=1)
        for name in ("two", "three"):
            await world.client.raise_event(name, "Told", "c")
            await world.client.raise_event(name, "Told", "d")
        return [(await world.client.wait_for_completion(name, 3600)).output for name in ("two", "three")]

    assert played(drive) == [["c", "d"], ["a", "c"]]


@pytest.mark.parametrize("fault", list(Fault))
def test_a_fault_at_any_storage_operation_of_a_held_fork_changes_no_outcome(fault: Fault, totals: Totals) -> None:
    """The host that resumes it dies before or after any of its operations, or the one that made it."""

    def run(plan: FaultPlan) -> tuple[object, World]:
        effects = Mending()
        world = World(make_registry(effects))

        async def drive(world: World) -> Any:
            await _failed(world)
            effects.broken = False
            made = await fork_twice(world, plan, until_task=PRICE, suspended=True)
            await asyncio.sleep(3600)
            assert not effects.runs[made.keys[PRICE]]
            await world.client.resume("two")
            status = await world.client.wait_for_completion("two", 12 * 3600)
            await asyncio.sleep(1800)
            await come_to_rest(world)
            return status.output and (status.output["cost"], status.output["after"])

        outcome = world.run(drive)
        assert not world.errors, world.errors
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, (7, "child after"), totals)


def test_a_fork_that_died_before_its_rows_and_is_made_again_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both tries have one execution, and each its own time of creation, by which the open rows are found."""
    create_copy = Instances.create_copy

    async def dies(*_: object) -> Instance:
        raise HostCrashError

    async def drive(world: World, effects: Mending) -> Any:
        await _failed(world)
        effects.broken = False
        options: dict[str, Any] = {"until_task": PRICE, "new_instance_id": "two", "request_id": "mine"}
        monkeypatch.setattr(Instances, "create_copy", dies)
        with pytest.raises(HostCrashError):
            await world.client.fork("one", **options)
        monkeypatch.setattr(Instances, "create_copy", create_copy)
        await asyncio.sleep(1)
        await world.client.fork("one", **options)
        await world.client.wait_for_completion("two", 6 * 3600)
        await asyncio.sleep(1800)
        entries = [
            entry
            for shard in world.outside.hub.catalog.shards
            for kind in (OPEN, CLOSED)
            for entry in await world.outside.hub.catalog.read(shard, kind)
        ]
        return [entry.status.value for entry in entries if entry.instance_id == "two"]

    assert played(drive) == ["Completed"]
