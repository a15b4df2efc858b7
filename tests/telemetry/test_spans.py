"""The spans of whole orchestrations: their names, what is below what, their times, and who their trace belongs to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    EntityId,
    EntityOperationFailedError,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    entity,
    orchestrator,
)
from durable_core.models import RuntimeStatus
from durable_core.settings import Settings
from durable_core.testing.simulation import World
from durable_core.trace_context import TraceParent, caller_trace, read_trace, valid_trace

from .spans_seen import Exported, Seen, provider_of, spans_of

sampling: Any = pytest.importorskip("opentelemetry.sdk.trace.sampling")

EXPORTED = Exported()
PROVIDER: list[Any] = []


@pytest.fixture(autouse=True)
def fresh() -> Exported:
    EXPORTED.spans.clear()
    PROVIDER[:] = [provider_of(EXPORTED)]
    return EXPORTED


@activity
def charge(order: str) -> str:
    with PROVIDER[0].get_tracer("shop").start_as_current_span("ask the bank"):
        return f"receipt of {order}"


@activity
async def reserve(order: str) -> None:
    await asyncio.sleep(0)
    with PROVIDER[0].get_tracer("shop").start_as_current_span("look at the shelf"):
        await asyncio.sleep(0)


TRIES: list[int] = []


@activity
def flaky() -> int:
    TRIES.append(1)
    if len(TRIES) % 3:
        raise LookupError("not yet")
    return len(TRIES)


def note() -> str:
    with PROVIDER[0].get_tracer("shop").start_as_current_span("write a note"):
        return "noted"


@orchestrator
def order(ctx: OrchestrationContext, order_id: str) -> Orchestration[str]:
    receipt = yield from ctx.call_activity(charge, order_id)
    yield from ctx.call_activity(reserve, order_id)
    yield from ctx.run("note", note)
    yield ctx.create_timer(timedelta(seconds=30))
    return receipt


@orchestrator
def fan(ctx: OrchestrationContext) -> Orchestration[int]:
    found = yield from ctx.task_all([ctx.call_activity(charge, str(n)) for n in range(5)])
    return len(found)


@orchestrator
def parent(ctx: OrchestrationContext) -> Orchestration[str]:
    return (yield from ctx.call_sub_orchestrator(order, "of a child", instance_id="child"))


@orchestrator
def retrying(ctx: OrchestrationContext) -> Orchestration[int]:
    policy = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=5))
    return (yield from ctx.call_activity(flaky, retry=policy))


@orchestrator
def failing(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(flaky)


@orchestrator
def rounds(ctx: OrchestrationContext, left: int) -> Orchestration[str]:
    yield ctx.create_timer(timedelta(seconds=1))
    if left:
        ctx.continue_as_new(left - 1)
    return "done"


@orchestrator
def waiting(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def sending(ctx: OrchestrationContext) -> Orchestration[None]:
    ctx.send_event("waiter", "Go", 1)
    ctx.start_orchestration(order, "detached", instance_id="free")
    yield ctx.create_timer(timedelta(seconds=1))


@orchestrator
def hurried(ctx: OrchestrationContext) -> Orchestration[str]:
    late = ctx.call_activity(reserve, "late", inline=False)
    now = ctx.create_timer(timedelta(0))
    yield from ctx.task_any([late, now])
    return "did not wait"


@entity
class Shelf:
    left: int = 1

    def take(self) -> int:
        if not self.left:
            raise LookupError("nothing is left")
        self.left -= 1
        return self.left


@orchestrator
def shopping(ctx: OrchestrationContext) -> Orchestration[str]:
    shelf = EntityId("shelf", "tea")
    with (yield from ctx.lock(shelf)):
        yield from ctx.call_entity(shelf, Shelf.take)
    try:
        yield from ctx.call_entity(shelf, Shelf.take)
    except EntityOperationFailedError:
        ctx.call_entity(shelf, Shelf.take)  # nobody waits for it
        return "sold out"
    return "?"


REGISTRY = Registry().add(
    shopping, Shelf, charge, reserve, flaky, order, fan, parent, retrying, failing, rounds, waiting, sending, hurried
)


def run(scenario: Callable[[World], Awaitable[None]], **options: Any) -> World:
    world = World(REGISTRY, observe=spans_of(PROVIDER[0]), settings=Settings(**options))
    world.run(scenario)
    assert not world.errors and not world.failures
    return world


async def ended(world: World, instance_id: str) -> None:
    status = await world.client.wait_for_completion(instance_id, 3600)
    assert status.is_terminal and (status.failure is None or "flaky" in status.failure.message), status.failure


@pytest.mark.parametrize("inline", [True, False])
def test_an_orchestration_is_one_trace_with_a_span_for_the_start_each_call_and_each_attempt(inline: bool) -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o-1", "o-1")
        await ended(world, "o-1")

    run(scenario, inline_default=inline, turns_at_work=False)
    EXPORTED.check_whole()
    assert len({span.trace_id for span in EXPORTED.spans}) == 1
    create, root = EXPORTED.one("create_orchestration:order", "PRODUCER"), EXPORTED.one("orchestration:order", "SERVER")
    assert create.parent is None and root.parent == create.span_id
    assert root.attributes["durabletask.task.instance_id"] == "o-1"
    assert root.attributes["durabletask.task.status"] == "Completed" and not root.failed
    for name, own in (("activity:charge", "ask the bank"), ("activity:reserve", "look at the shelf")):
        call, attempt = EXPORTED.one(name, "CLIENT"), EXPORTED.one(name, "SERVER")
        assert call.parent == root.span_id and attempt.parent == call.span_id
        assert attempt.attributes["durable.attempt"] == 1 and attempt.attributes["durable.inline"] is inline
        assert call.attributes["durable.queue.time"] >= 0
        assert call.attributes["durable.line"].startswith("telemetry/test_spans.py:")
        assert EXPORTED.one(own).parent == attempt.span_id, "the user's spans are below the attempt"
        assert root.start <= call.start <= attempt.start <= attempt.end <= call.end <= root.end
    step = EXPORTED.one("step:note", "INTERNAL")
    assert step.parent == root.span_id and EXPORTED.one("write a note").parent == step.span_id
    timer = EXPORTED.one("orchestration:order:timer", "INTERNAL")
    assert timer.parent == root.span_id and timer.end - timer.start >= 30e9
    turns = EXPORTED.named("turn")
    assert turns and all(turn.parent == root.span_id and turn.kind == "INTERNAL" for turn in turns)


def test_every_call_of_a_fan_out_has_its_spans() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(fan, "f")
        await ended(world, "f")

    run(scenario)
    EXPORTED.check_whole()
    assert EXPORTED.names["activity:charge CLIENT"] == EXPORTED.names["activity:charge SERVER"] == 5


def test_a_child_is_in_the_trace_of_its_parent_below_the_call() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(parent, "p")
        await ended(world, "p")

    run(scenario)
    EXPORTED.check_whole()
    call, child = EXPORTED.one("orchestration:order", "CLIENT"), EXPORTED.one("orchestration:order", "SERVER")
    assert call.parent == EXPORTED.one("orchestration:parent", "SERVER").span_id and child.parent == call.span_id
    assert len({span.trace_id for span in EXPORTED.spans}) == 1


def test_each_attempt_is_a_span_and_the_call_spans_them_all() -> None:
    TRIES.clear()

    async def scenario(world: World) -> None:
        await world.client.start_new(retrying, "r")
        await ended(world, "r")

    run(scenario)
    EXPORTED.check_whole()
    call = EXPORTED.one("activity:flaky", "CLIENT")
    attempts = EXPORTED.below(call)
    assert [(a.attributes["durable.attempt"], a.failed) for a in attempts] == [(1, True), (2, True), (3, False)]
    assert attempts[0].attributes["error.type"] == "LookupError" and not call.failed


def test_a_failure_marks_the_attempt_the_call_and_the_orchestration() -> None:
    TRIES.clear()

    async def scenario(world: World) -> None:
        await world.client.start_new(failing, "f")
        await ended(world, "f")

    run(scenario)
    EXPORTED.check_whole()
    call, root = EXPORTED.one("activity:flaky", "CLIENT"), EXPORTED.one("orchestration:failing")
    assert call.failed and call.attributes["error.type"] == "LookupError"
    assert root.failed and root.attributes["durabletask.task.status"] == "Failed"
    assert root.attributes["error.type"] == "durable_core.errors.ActivityFailedError"


def test_a_rewound_orchestration_has_a_span_for_each_end_with_a_link_to_the_one_before() -> None:
    TRIES.clear()

    async def scenario(world: World) -> None:
        await world.client.start_new(failing, "f")
        await ended(world, "f")
        for _ in range(2):
            await world.client.rewind("f", "the bank is back")
            await asyncio.sleep(60)
            await ended(world, "f")
        assert (await world.client.get_status("f")).runtime_status is RuntimeStatus.COMPLETED

    run(scenario)
    EXPORTED.check_whole()
    roots = EXPORTED.named("orchestration:failing")
    assert [root.failed for root in roots] == [True, True, False]
    assert [root.links for root in roots] == [(), (roots[0].span_id,), (roots[1].span_id,)]
    attempts = [span for span in EXPORTED.named("activity:flaky") if span.kind == "SERVER"]
    assert len({span.attributes["durable.attempt"] for span in attempts}) == len(attempts) == 3


def test_calls_of_entities_and_locks_have_spans() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(shopping, "s")
        await ended(world, "s")
        assert (await world.client.get_status("s")).output == "sold out"

    run(scenario)
    EXPORTED.check_whole()
    calls = EXPORTED.named("entity:shelf")
    assert [(call.kind, call.failed) for call in calls] == [("CLIENT", False), ("CLIENT", True), ("CLIENT", False)]
    statuses = [call.attributes["durabletask.task.status"] for call in calls]
    assert statuses == ["Completed", "Failed", "Canceled"]
    assert calls[0].attributes["durabletask.entity.operation"] == "take"
    assert calls[0].attributes["durabletask.event.target_instance_id"] == "@shelf@tea"
    assert EXPORTED.one("orchestration:shopping:lock").attributes["durabletask.type"] == "lock"


def test_a_restart_links_to_the_run_that_it_repeats() -> None:
    TRIES.clear()

    async def scenario(world: World) -> None:
        await world.client.start_new(failing, "f")
        await ended(world, "f")
        again = await world.client.restart("f", new_instance_id="again")
        await ended(world, again)
        await world.client.restart("f", restart_with_new_instance_id=False)
        await asyncio.sleep(60)
        await world.client.rewind("again")
        await asyncio.sleep(60)

    run(scenario)
    EXPORTED.check_whole()
    first, *others = EXPORTED.named("orchestration:failing")
    assert len(others) == 3
    assert len({span.trace_id for span in (first, *others)}) == 3, "a restart has a trace of its own; a rewind has not"
    by_id: dict[str, list[Seen]] = {}
    for span in others:
        by_id.setdefault(span.attributes["durabletask.task.instance_id"], []).append(span)
    assert [span.links for span in by_id["f"]] == [(first.span_id,)]
    assert [span.links for span in by_id["again"]] == [(first.span_id,), (by_id["again"][0].span_id,)]


def test_a_fork_links_to_its_source_and_has_a_trace_of_its_own() -> None:
    TRIES.clear()

    async def scenario(world: World) -> None:
        await world.client.start_new(failing, "f")
        await ended(world, "f")
        await asyncio.sleep(100)
        forked = await world.client.fork("f", until_failure=True, new_instance_id="copy")
        assert forked.instance_id == "copy"
        await ended(world, "copy")

    run(scenario)
    EXPORTED.check_whole()
    source, fork = EXPORTED.named("orchestration:failing")
    assert fork.links == (source.span_id,) and fork.trace_id != source.trace_id
    assert fork.attributes["durabletask.task.instance_id"] == "copy"
    starts = EXPORTED.named("create_orchestration:failing")
    assert [start.span_id for start in starts] == [source.parent, fork.parent]
    assert fork.start >= starts[1].start > source.end, "not from when its source began"


def test_generations_are_spans_of_one_trace_each_with_a_link_to_the_one_before() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(rounds, "c", 2)
        await ended(world, "c")

    run(scenario)
    EXPORTED.check_whole()
    found = sorted(EXPORTED.named("orchestration:rounds"), key=lambda span: span.attributes["durable.generation"])
    assert [span.attributes["durabletask.task.status"] for span in found] == ["ContinuedAsNew"] * 2 + ["Completed"]
    assert [span.links for span in found] == [(), (found[0].span_id,), (found[1].span_id,)]


def test_the_trace_of_a_start_is_that_of_the_span_around_it() -> None:
    around: list[int] = []

    async def scenario(world: World) -> None:
        with PROVIDER[0].get_tracer("shop").start_as_current_span("checkout") as span:
            around.append(span.get_span_context().span_id)
            await world.client.start_new(order, "o", "o")
        await ended(world, "o")

    run(scenario)
    EXPORTED.check_whole()
    assert EXPORTED.one("create_orchestration:order").parent == around[0]
    assert len({span.trace_id for span in EXPORTED.spans}) == 1


def test_the_trace_of_an_http_start_is_that_of_its_traceparent() -> None:
    theirs = TraceParent(0xABC, 0xDEF)

    async def scenario(world: World) -> None:
        caller_trace.set(str(theirs))
        await world.client.start_new(order, "o", "o")
        await ended(world, "o")

    run(scenario)
    EXPORTED.check_whole(theirs.span_id)
    assert EXPORTED.one("create_orchestration:order").parent == theirs.span_id
    assert {span.trace_id for span in EXPORTED.spans} == {theirs.trace_id}


def test_a_trace_that_its_starter_does_not_sample_is_not_exported() -> None:
    async def scenario(world: World) -> None:
        caller_trace.set(str(TraceParent(0xABC, 0xDEF, 0)))
        await world.client.start_new(order, "o", "o")
        await ended(world, "o")

    run(scenario)
    assert [span for span in EXPORTED.spans if span.trace_id == 0xABC] == []


def test_a_sampler_by_ratio_takes_traces_whole_or_not_at_all() -> None:
    PROVIDER[:] = [provider_of(EXPORTED, sampler=sampling.ParentBased(sampling.TraceIdRatioBased(0.5)))]

    async def scenario(world: World) -> None:
        for number in range(20):
            await world.client.start_new(order, f"o{number}", "x")
        for number in range(20):
            await ended(world, f"o{number}")

    run(scenario)
    EXPORTED.check_whole()
    roots = EXPORTED.named("orchestration:order")
    assert 0 < len(roots) < 20
    attempts, starts = EXPORTED.named("activity:charge"), EXPORTED.named("create_orchestration:order")
    assert len(attempts) == 2 * len(starts) == 2 * len(roots), "an attempt is a span, and so is its call"


def test_an_event_of_a_client_is_a_span_of_its_caller_to_which_the_turn_links() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(waiting, "w")
        with PROVIDER[0].get_tracer("shop").start_as_current_span("click"):
            await world.client.raise_event("w", "Go", 1)
        await ended(world, "w")

    run(scenario)
    EXPORTED.check_whole()
    event = EXPORTED.one("orchestration_event:Go", "PRODUCER")
    assert event.parent == EXPORTED.one("click").span_id
    assert [span.name for span in EXPORTED.spans if span.links == (event.span_id,)] == ["turn"]
    assert event.attributes["durabletask.event.target_instance_id"] == "w"


def test_what_an_orchestration_sends_and_starts_is_below_it() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(waiting, "waiter")
        await world.client.start_new(sending, "sender")
        for instance_id in ("sender", "waiter", "free"):
            await ended(world, instance_id)

    run(scenario)
    EXPORTED.check_whole()
    sender = EXPORTED.one("orchestration:sending")
    event, create = EXPORTED.one("orchestration_event:Go"), EXPORTED.one("create_orchestration:order")
    assert event.parent == create.parent == sender.span_id
    assert EXPORTED.one("orchestration:order").parent == create.span_id
    assert any(event.span_id in span.links for span in EXPORTED.named("turn"))


def test_a_call_that_nobody_waited_for_ends_with_its_orchestration() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(hurried, "h")
        await ended(world, "h")
        await asyncio.sleep(60)

    run(scenario)
    EXPORTED.check_whole()
    assert EXPORTED.one("activity:reserve", "CLIENT").attributes["durabletask.task.status"] in ("Canceled", "Completed")


def test_a_termination_ends_the_trace() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(waiting, "w")
        await world.client.terminate("w", "enough")
        await ended(world, "w")

    run(scenario)
    EXPORTED.check_whole()
    assert EXPORTED.one("orchestration:waiting").attributes["durabletask.task.status"] == "Terminated"


def test_an_execution_whose_starter_had_no_sdk_has_a_trace_of_its_own() -> None:
    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o", "o")
        await ended(world, "o")

    world = World(REGISTRY, observe=_not_outside(), settings=Settings())
    world.run(scenario)
    EXPORTED.check_whole()
    root = EXPORTED.one("orchestration:order")
    assert root.parent is None and EXPORTED.one("activity:charge", "SERVER").trace_id == root.trace_id


def _not_outside() -> Any:
    from durable_core.runtime.observer import NOBODY

    made: list[World] = []

    def observe(world: World) -> Any:
        made.append(world)
        return NOBODY if len(made) == 1 else spans_of(PROVIDER[0])(world)  # the client outside is made first

    return observe


def test_a_processor_that_raises_stops_no_orchestration(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def on_start(self, span: Any, parent_context: Any = None) -> None:
            raise RuntimeError("no room")

        def on_end(self, span: Any) -> None:
            raise RuntimeError("no room")

        def _on_ending(self, span: Any) -> None:
            raise RuntimeError("no room")

        def shutdown(self) -> None: ...

        def force_flush(self, timeout_millis: int = 0) -> bool:
            return True

    PROVIDER[0].add_span_processor(Broken())
    observe = spans_of(PROVIDER[0])
    PROVIDER[:] = [provider_of(Exported())]  # the app's own spans are not the matter here

    async def scenario(world: World) -> None:
        await world.client.start_new(order, "o", "o")
        await ended(world, "o")

    world = World(REGISTRY, observe=observe)
    world.run(scenario)
    assert not world.errors and not world.failures
    assert caplog.text.count("a span is lost") >= 1


def test_the_apps_own_tracers_keep_their_ids() -> None:
    class Counted:
        def __init__(self) -> None:
            self.next = 0

        def generate_span_id(self) -> int:
            self.next += 1
            return self.next

        generate_trace_id = generate_span_id

        def is_trace_id_random(self) -> bool:
            return False

    theirs = Counted()
    PROVIDER[:] = [provider_of(EXPORTED, id_generator=theirs)]
    before = PROVIDER[0].get_tracer("early")
    run(_order)
    before.start_span("early").end()
    PROVIDER[0].get_tracer("late").start_span("late").end()
    own = [EXPORTED.one("early"), EXPORTED.one("late")]
    assert all(span.span_id <= theirs.next for span in own), "by the app's generator"
    assert PROVIDER[0].id_generator is theirs


async def _order(world: World) -> None:
    await world.client.start_new(order, "o", "o")
    await ended(world, "o")


@pytest.mark.parametrize(
    ("text", "valid"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", True),
        ("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what-comes", True),
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", False),
        ("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("", False),
        ("00-\N{ARABIC-INDIC DIGIT ONE}af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", False),
        ("x" * 10_000, False),
    ],
)
def test_only_a_traceparent_is_one(text: str, valid: bool) -> None:
    assert (read_trace(text) is not None) is valid
    assert (valid_trace(text) != "") is valid
    if valid:
        assert valid_trace(text) == valid_trace(valid_trace(text))
