"""Programs that use several features at once: maps, journaled activities, limits, interceptors, headers, updates."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any, cast

from durable_core import (
    ActivityContext,
    AtLeast,
    ClientCall,
    Debounce,
    EntityContext,
    EntityId,
    Interceptor,
    JournalContext,
    Limit,
    MapFailedError,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    Registry,
    RetryPolicy,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    Tolerate,
    activity,
    entity,
    orchestrator,
)
from durable_core.errors import SerializationError, UpdateFailedError
from durable_core.testing.simulation import World

from .limits import all_given_back
from .scenarios import Effects, Scenario, make_registry, result

TWO = Limit(name="two", concurrency=2)
KEYED = Limit(name="keyed", concurrency=1, key=lambda item: item["tenant"], fair=lambda item: item["tenant"])
RUN = Limit(name="run", concurrency=1)
RETRY = RetryPolicy(max_attempts=3, first_interval=timedelta(seconds=2))
HEADERS = {"tenant": "ac\u00e9 \u2603", "list": [1, None]}


class Stamps(Interceptor):
    """Each call has a header of its own, and each result says which."""

    async def around_client_call(self, call: ClientCall, proceed: Callable[[], Awaitable[Any]]) -> Any:
        call.headers.setdefault("by", "client")
        return await proceed()

    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["by"] = f"{ctx.headers.get('by')}>{call.name}"[-60:]

    async def around_activity(self, ctx: ActivityContext, proceed: Callable[[], Awaitable[Any]]) -> Any:
        return await proceed()


def foreign_registry(effects: Effects) -> Registry:
    def note(ctx: ActivityContext) -> None:
        """By the call in history: the idempotency key is the same for all parts of a journaled activity."""
        effects.runs[f"{ctx.idempotency_key.rpartition('-')[0]}-{ctx.task_id}"] += 1

    async def one(name: str) -> str:
        effects.tries[name] += 1
        return name

    @activity(journal=True, limit=TWO, retry=RETRY)
    async def journaled(ctx: JournalContext, number: int) -> list[Any]:
        note(ctx)
        first = await ctx.step("a", one, f"a{number}")
        await ctx.sleep(timedelta(seconds=30))
        if ctx.attempt == 1:
            raise ValueError("the first attempt fails")
        doubled = await ctx.call_sub_orchestrator("child", number)
        return [first, doubled, ctx.headers.get("by")]

    @activity(journal=True)
    async def patient(ctx: JournalContext, number: int) -> int:
        note(ctx)
        await ctx.wait_for_event(f"Go{number}", timeout=timedelta(hours=1))
        await ctx.call_sub_orchestrator("child", number)
        return number

    @activity
    async def slow(ctx: ActivityContext, number: int) -> int:
        note(ctx)
        await asyncio.sleep(20)
        return number

    @activity(short=True)
    async def quick(ctx: ActivityContext, number: Any) -> Any:
        note(ctx)
        return number

    @activity(limit=KEYED, retry=RETRY)
    async def keyed(ctx: ActivityContext, item: dict[str, Any]) -> list[Any]:
        note(ctx)
        if item.get("fails") and ctx.attempt <= item["fails"]:
            raise ValueError("no")
        await asyncio.sleep(1)
        return [item["tenant"], ctx.headers.get("by")]

    @entity(name="tally")
    class Tally:
        count: int = 0

        def add(self, ctx: EntityContext, to: str = "") -> Any:
            self.count += 1
            return [self.count, ctx.headers.get("by")]

    @orchestrator
    def child(ctx: OrchestrationContext, number: int) -> Orchestration[list[Any]]:
        yield ctx.create_timer(timedelta(seconds=10))
        return [2 * number, ctx.headers.get("by")]

    @orchestrator
    def long_child(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        yield ctx.create_timer(timedelta(seconds=100 * number))
        return number

    @orchestrator
    def map_of_journals(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        return (yield from ctx.map(journaled, [1, 2, 3, 4, 5], max_concurrency=4, batch_size=size))

    @orchestrator(limit=RUN)
    def branchy(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        """A map of sub-orchestrations in a branch with a time limit, in an orchestration that has a limit."""
        told: list[Any] = []

        def inner() -> Orchestration[list[int]]:
            work = ctx.map(long_child, [1, 2, 3, 4], max_concurrency=4, batch_size=size)
            try:
                return (yield from work)
            except TaskCancelledError:
                work.cancel()
                told.append("left")
                told.append((yield from ctx.map(quick, [7, 8], batch_size=size)))
                raise

        try:
            yield from ctx.with_timeout(inner(), timedelta(seconds=250))
        except TaskTimeoutError:
            told.append("late")
        except TaskCancelledError:
            told.append("cancelled")
            raise
        return told

    @orchestrator(limit=RUN)
    def branchy_rounds(ctx: OrchestrationContext, state: list[Any]) -> Orchestration[Any]:
        left, size, told = state
        found = yield from ctx.map(
            keyed, [{"tenant": t, "fails": n % 2} for n in range(2) for t in "x\u00fc"], batch_size=size
        )
        told = [*told, [each[0] for each in found]]
        if left:
            ctx.continue_as_new([left - 1, size, told])
        return told

    @orchestrator
    def headers_everywhere(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        ctx.signal_entity(EntityId("tally", "a"), "add")
        told: list[Any] = [(yield from ctx.call_entity(EntityId("tally", "a"), Tally.add))]
        told.append((yield from ctx.map(keyed, [{"tenant": "a"}, {"tenant": "b"}], batch_size=size)))
        told.append((yield from ctx.map(child, [1, 2], batch_size=size)))
        told.append((yield from ctx.call_activity(journaled, 3)))
        return told

    @orchestrator
    def serving(ctx: OrchestrationContext, left: int) -> Orchestration[Any]:
        """Its handlers map: until it has got all, and over generations."""
        done: list[Any] = []

        def mapped(items: list[int]) -> Orchestration[Any]:
            found = yield from ctx.map(quick, items, batch_size=2)
            done.append(sum(found))
            return found

        def strict(items: list[int]) -> Orchestration[Any]:
            yield from ctx.map(failing, items, policy=Tolerate(count=0), batch_size=2)

        ctx.set_update_handler("mapped", mapped)
        ctx.set_update_handler("strict", strict)
        yield from ctx.wait_condition(lambda: len(done) >= 2 and ctx.all_updates_ended)
        if left:
            ctx.continue_as_new(left - 1)
        return done

    @activity
    async def failing(ctx: ActivityContext, number: int) -> int:
        note(ctx)
        raise ValueError("never")

    @orchestrator
    def hostile_items(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        told: list[Any] = []
        mapped: Callable[..., Task[Any]] = cast("Any", ctx).map

        def breaks() -> Iterator[int]:
            yield 1
            yield 2
            raise LookupError("the generator breaks")

        try:
            yield from ctx.map(quick, breaks(), batch_size=size)
        except LookupError as error:
            told.append(str(error))
        for policy in ("all", "all_settled", AtLeast(1), Tolerate(share=0.5), Tolerate(count=0)):
            try:
                found = yield from mapped(quick, [], policy=policy, batch_size=size)
                told.append(len(found))
            except MapFailedError:
                told.append("failed")
        items: list[Any] = [None, "", "\u0000\u2603", {"a": None}, [], 1e308, "x" * 70_000, True]
        found = yield from ctx.map(quick, items, batch_size=size)
        told.append(found == items)
        try:
            yield from ctx.map(quick, [1, float("nan")], batch_size=size)
        except SerializationError as error:
            told.append(type(error).__name__)
        try:
            yield from ctx.map(quick, [1, object()], batch_size=size)
        except SerializationError as error:
            told.append(type(error).__name__)
        return told

    @orchestrator
    def waits_in_map(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        """A map of journaled activities that wait, cancelled halfway."""
        work = ctx.map(patient, [1, 2, 3], policy="all_settled", batch_size=size)
        try:
            yield from ctx.with_timeout(work, timedelta(seconds=60))
        except TaskTimeoutError:
            work.cancel()
        try:
            yield from work
        except TaskFailedError as error:
            return type(error).__name__
        return "done"

    @activity(journal=True)
    async def broken(ctx: JournalContext, number: int) -> list[Any]:
        note(ctx)
        first = await ctx.step("a", one, f"a{number}")
        await ctx.sleep(timedelta(seconds=30))
        if effects.broken and number == 3:
            raise ValueError("it is broken")
        return [first, await ctx.step("b", one, f"b{number}")]

    @orchestrator
    def map_of_broken(ctx: OrchestrationContext, size: int | None) -> Orchestration[Any]:
        return (yield from ctx.map(broken, [1, 2, 3, 4], batch_size=size))

    return (
        make_registry(effects)
        .add(broken, map_of_broken, journaled, patient, slow, quick, keyed, failing, Tally, child, long_child)
        .add(map_of_journals, branchy, branchy_rounds, headers_everywhere, serving, hostile_items, waits_in_map)
        .intercept(Stamps())
    )


async def _all_end(world: World) -> str:
    """Wait until every instance has ended and every slot is given back."""
    await all_given_back(world)
    await asyncio.sleep(6000)
    found = await world.client.get_status_all()
    open_ = [(each.instance_id, each.name) for each in found if not each.is_terminal]
    assert not open_, open_
    return "nothing is left"


def started(name: str, data: Any) -> Callable[[World], Awaitable[Any]]:
    async def drive(world: World) -> Any:
        await world.client.start_new(name, "one", data, headers=HEADERS)
        return [await result(world, "one"), await _all_end(world)]

    return drive


def stopped(name: str, data: Any, how: str, after: float) -> Callable[[World], Awaitable[Any]]:
    """Started, suspended for a while, and ended halfway; then the next one that needs its slot."""

    async def drive(world: World) -> Any:
        client = world.client
        await client.start_new(name, "one", data, headers=HEADERS)
        await asyncio.sleep(after)
        await client.suspend("one", "wait")
        await asyncio.sleep(50)
        await client.resume("one", "go on")
        await asyncio.sleep(5)
        await (client.terminate("one", "stop") if how == "terminate" else client.cancel("one", "stop"))
        await result(world, "one")
        told = [str((await client.get_status("one")).runtime_status)]
        again = await client.restart("one", new_instance_id="two")
        return [*told, await result(world, again), await _all_end(world)]

    return drive


def rewound(size: int | None) -> Callable[[World, Effects], Awaitable[Any]]:
    """A journaled activity of a map has failed after a wait: a rewind does that one again, from its journal."""

    async def drive(world: World, effects: Effects) -> Any:
        client = world.client
        await client.start_new("map_of_broken", "one", size)
        await result(world, "one")
        told = [str((await client.get_status("one")).runtime_status)]
        await asyncio.sleep(700)  # a fault may have held back the end of a batch
        forked = (await client.fork("one", until_failure=True)).instance_id
        effects.broken = False
        await client.rewind("one", "it is repaired", force=True)
        told.append(await result(world, "one"))
        await result(world, forked)
        return [*told, await _all_end(world)]

    return drive


async def enqueued(world: World) -> Any:
    client = world.client
    once = Debounce(key="k\u00e9y \u2603/\\#?", period=timedelta(seconds=10))
    first = await client.enqueue("journaled", 1, headers=HEADERS, debounce=once)
    second = await client.enqueue("journaled", 2, headers=HEADERS, debounce=once)
    assert first == second
    for number in (3, 4):
        await client.enqueue("journaled", number, f"j{number}", headers=HEADERS)
    told = [await result(world, name) for name in (first, "j3", "j4")]
    return [*told, await _all_end(world)]


async def updated(world: World) -> Any:
    client = world.client
    await client.start_new("serving", "one", 1)
    told: list[Any] = []
    for number in range(2):
        for turn in range(2):
            told.append(
                await client.update("one", "mapped", [number, turn, 5], update_id=f"u{number}{turn}", timeout=9000)
            )
            if not turn:
                try:
                    await client.update("one", "strict", [1, 2, 3], update_id=f"s{number}", timeout=9000)
                except UpdateFailedError as error:
                    told.append(type(error).__name__)
        await asyncio.sleep(300)
    return [told, await result(world, "one"), await _all_end(world)]


async def debounced(world: World) -> Any:
    client = world.client
    soon = Debounce(key="k", period=timedelta(seconds=20))
    ids: list[str] = []
    told: list[Any] = []
    for end in ("terminate", "cancel", "purge", ""):
        one = await client.start_new("branchy", client_input=None, debounce=soon)
        two = await client.start_new("branchy", client_input=3, debounce=soon)
        assert one == two
        ids.append(one)
        if end == "terminate":
            await asyncio.sleep(5)  # it waits for its time
            await client.terminate(one, "stop")
        elif end == "cancel":
            await asyncio.sleep(60)  # it runs
            await client.cancel(one, "stop")
        elif end == "purge":
            await asyncio.sleep(60)
            await client.terminate(one, "stop")
            await result(world, one)
            told.append(str((await client.get_status(one)).runtime_status))
            await all_given_back(world)
            await client.purge_instance_history(one)
            continue
        await result(world, one)
        told.append(str((await client.get_status(one)).runtime_status))
    again = await client.restart(ids[-1])
    told.append(await result(world, again))
    assert len(set(ids)) == 4
    return [*told, await _all_end(world)]


DONE = "nothing is left"
BRANCHY = ["left", [7, 8], "late"]
ROUND = ["x", "\u00fc", "x", "\u00fc"]
CALLED = "client>journaled"
JOURNALS = [[f"a{number}", [2 * number, CALLED], CALLED] for number in range(1, 6)]
WAITED = "TaskCancelledError"
ALL_HEADERS = [
    [2, "client>@tally@a"],
    [["a", "client>keyed"], ["b", "client>keyed"]],
    [[2, "client>child"], [4, "client>child"]],
    JOURNALS[2],
]
HOSTILE = ["the generator breaks", 0, 0, "failed", 0, 0, True, "SerializationError", "SerializationError"]
UPDATED = [[[0, 0, 5], "UpdateFailedError", [0, 1, 5], [1, 0, 5], "UpdateFailedError", [1, 1, 5]], [6, 7]]

SCENARIOS = [
    Scenario("journals direct", started("map_of_journals", None), [JOURNALS, DONE]),
    Scenario("journals batched", started("map_of_journals", 2), [JOURNALS, DONE]),
    Scenario("branchy direct", started("branchy", None), [BRANCHY, DONE]),
    Scenario("branchy batched", started("branchy", 3), [BRANCHY, DONE]),
    Scenario("rounds direct", started("branchy_rounds", [2, None, []]), [[ROUND] * 3, DONE]),
    Scenario("rounds batched", started("branchy_rounds", [2, 3, []]), [[ROUND] * 3, DONE]),
    Scenario("headers direct", started("headers_everywhere", None), [ALL_HEADERS, DONE]),
    Scenario("headers batched", started("headers_everywhere", 1), [ALL_HEADERS, DONE]),
    Scenario("hostile direct", started("hostile_items", None), [HOSTILE, DONE]),
    Scenario("hostile batched", started("hostile_items", 2), [HOSTILE, DONE]),
    Scenario("waits direct", started("waits_in_map", None), [WAITED, DONE]),
    Scenario("waits batched", started("waits_in_map", 2), [WAITED, DONE]),
    Scenario("branchy cancelled", stopped("branchy", 2, "cancel", 70), ["Canceled", BRANCHY, DONE]),
    Scenario("branchy terminated", stopped("branchy", None, "terminate", 70), ["Terminated", BRANCHY, DONE]),
    Scenario("journals cancelled", stopped("map_of_journals", 2, "cancel", 40), ["Canceled", JOURNALS, DONE]),
    Scenario("direct cancelled", stopped("map_of_journals", None, "cancel", 40), ["Canceled", JOURNALS, DONE]),
    Scenario("journals terminated", stopped("map_of_journals", 3, "terminate", 40), ["Terminated", JOURNALS, DONE]),
    Scenario("waits cancelled", stopped("waits_in_map", 2, "cancel", 2), ["Canceled", WAITED, DONE]),
    Scenario("waits terminated", stopped("waits_in_map", None, "terminate", 2), ["Terminated", WAITED, DONE]),
    Scenario("rounds cancelled", stopped("branchy_rounds", [5, 3, []], "cancel", 4), ["Canceled", [ROUND] * 6, DONE]),
    Scenario("enqueued", enqueued, [*JOURNALS[1:4], DONE]),
    Scenario("updated", updated, [*UPDATED, DONE]),
    Scenario("debounced", debounced, ["Terminated", "Canceled", "Terminated", "Completed", BRANCHY, DONE]),
]
BY_CLOCKS = ("enqueued", "debounced", "cancelled", "terminated")
"""Ends of names of scenarios in which a request comes too late if hosts and clients are slow."""
REPAIRED = ["Failed", [[f"a{number}", f"b{number}"] for number in range(1, 5)], DONE]
