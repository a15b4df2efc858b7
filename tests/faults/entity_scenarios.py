"""Orchestrations and clients that use entities, each a shape of the protocol, and what must be true of entities at
rest."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    EntityContext,
    EntityId,
    Orchestration,
    OrchestrationContext,
    Registry,
    TaskFailedError,
    activity,
    entity,
    orchestrator,
)
from durable_core.hub.entities.keys import LIVE_RANGE, ROW_KEY
from durable_core.runtime.entities import rules
from durable_core.testing.simulation import World

from .more_scenarios import noise
from .scenarios import Effects, Scenario, result

A, B, C = EntityId("log", "a"), EntityId("log", "b"), EntityId("log", "c")


@entity(name="log")
@dataclass
class Log:
    """Keeps what it was told, in order, and a number that orchestrations change in two steps."""

    items: list[str] = field(default_factory=list[str])
    number: int = 0

    def add(self, text: str) -> int:
        self.items.append(text)
        return len(self.items)

    def get(self) -> int:
        return self.number

    def put(self, number: int) -> None:
        self.number = number

    def refuse(self, text: str) -> None:
        self.items.append(text)
        raise ValueError(f"{text} is refused")

    def forward(self, ctx: EntityContext, text: str) -> None:
        self.items.append(text)
        for target in ("b", "c"):
            ctx.signal_entity(EntityId("log", target), Log.add, f"{text} from {ctx.entity_key}")

    def begin(self, ctx: EntityContext, instance_id: str) -> None:
        ctx.start_new("adds", ["of the entity"], instance_id)

    def later(self, ctx: EntityContext, text: str) -> None:
        ctx.signal_entity(ctx.entity_id, Log.add, text, ctx.current_utc_datetime + timedelta(minutes=20))

    def end(self, ctx: EntityContext) -> None:
        ctx.destruct_on_exit()


def entity_registry(effects: Effects) -> Registry:
    @activity
    async def pause(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        return text

    @orchestrator
    def adds(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[int]]:
        """A signal and a call for each text, in commits of their own."""
        lengths: list[int] = []
        for text in texts:
            ctx.signal_entity(A, Log.add, f"{text} signaled")
            length = yield from ctx.call_entity(A, Log.add, f"{text} called")
            lengths.append(length)
        return lengths

    @orchestrator
    def sixty(ctx: OrchestrationContext) -> Orchestration[int]:
        for number in range(60):
            ctx.signal_entity(A, Log.add, str(number))
        yield from ctx.call_activity(pause, "p", inline=False)
        ctx.signal_entity(A, Log.add, "last")
        return 60

    @orchestrator
    def fan(ctx: OrchestrationContext) -> Orchestration[list[int]]:
        lengths = yield from ctx.task_all(
            [ctx.call_entity(target, Log.add, text) for text in ("one", "two") for target in (A, B)]
        )
        return lengths

    @orchestrator
    def anew(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        """A signal and a call in each of three generations, and a signal in the commit that ends each."""
        ctx.signal_entity(A, Log.add, f"{number}.1")
        yield from ctx.call_entity(B, Log.add, f"{number}.2")
        ctx.signal_entity(A, Log.add, f"{number}.3")
        if number < 2:
            ctx.continue_as_new(number + 1)
        return number

    @orchestrator
    def fails(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            yield from ctx.call_entity(A, Log.refuse, "this")
        except TaskFailedError as error:
            return error.failure.message
        return "it did not fail"

    @orchestrator
    def forwards(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[int]:
        for text in texts:
            ctx.signal_entity(A, Log.forward, text)
            yield from ctx.call_activity(pause, text, inline=False)
        return len(texts)

    @orchestrator
    def counts(ctx: OrchestrationContext, names: list[str]) -> Orchestration[int]:
        """Adds one to the number of each of these entities, which takes two operations: only locks keep it right."""
        ids = [EntityId("log", name) for name in names]
        total = 0
        with (yield from ctx.lock(*ids)):
            for each in ids:
                number = yield from ctx.call_entity(each, Log.get)
                yield from ctx.call_activity(pause, "p", inline=False)
                yield from ctx.call_entity(each, Log.put, number + 1)
                total += number
        return total

    @orchestrator
    def counts_anew(ctx: OrchestrationContext, generation: int) -> Orchestration[int]:
        """Holds the locks again in each generation, and ends the first without leaving the section."""
        section = yield from ctx.lock(A, B)
        number = yield from ctx.call_entity(B, Log.get)
        yield from ctx.call_entity(B, Log.put, number + 1)
        if generation < 1:
            ctx.continue_as_new(generation + 1)
            return 0
        section.release()
        return number

    @orchestrator
    def holds(ctx: OrchestrationContext, names: list[str]) -> Orchestration[str]:
        """Holds locks until it is told to go on, or is ended."""
        with (yield from ctx.lock(*[EntityId("log", name) for name in names])):
            ctx.set_custom_status("holds")
            found = yield from ctx.wait_for_external_event("Go", str)
            if found == "fail":
                raise ValueError("it is to fail")
            yield from ctx.call_entity(EntityId("log", names[0]), Log.add, "held")
        return found

    return Registry().add(Log, pause, adds, sixty, fan, anew, fails, forwards, counts, counts_anew, holds)


# ------------------------------------------------------------ at rest


async def items_of(world: World, target: EntityId) -> list[str]:
    found = await world.client.read_entity(target)
    return [] if found is None else found.state["items"]


async def number_of(world: World, target: EntityId) -> int:
    found = await world.client.read_entity(target)
    return 0 if found is None else found.state["number"]


async def entities_rest(world: World) -> None:
    """Wait until no message is left, no lock is held and nothing waits in a mailbox. AssertionError if that never
    comes.

    A duplicate may stay until the sweep: a host inserts a parcel again and dies before the wake-up, and its sender
    knows from an answer that the parcel was applied.
    """
    names, found = world.outside.hub.names, ["nothing"]
    for _ in range(400):
        queues = [*names.queues, *names.poison_queues]
        if not any([await world.storage.queue(name).count() for name in queues]):
            found = await _left(world)
            if not found:
                return
            if not any("locked" in each for each in found) and await _are_duplicates(world):
                await world.outside._sweep.run()  # pyright: ignore[reportPrivateUsage]
        await asyncio.sleep(30)
    raise AssertionError("; ".join(found))


async def _are_duplicates(world: World) -> bool:
    """Whether every parcel in a mailbox was applied before."""
    hub = world.outside.hub
    for shard in hub.entity_catalog.shards:
        for entry in await hub.entity_catalog.page(shard):
            loaded = await hub.entities.load(entry.entity)
            for parcel in loaded.parcels:
                cursor = None if loaded.row is None else loaded.row.cursors.get(parcel.stream)
                if cursor is None or not rules.is_applied(cursor, parcel):
                    return False
    return True


async def _left(world: World) -> list[str]:
    hub, found = world.outside.hub, list[str]()
    table = world.storage.table(hub.names.entities)
    for shard in hub.entity_catalog.shards:
        for entry in await hub.entity_catalog.page(shard):
            for row in (await table.read_range(entry.entity.partition, LIVE_RANGE)).rows:
                if row.key != ROW_KEY:
                    found.append(f"left in the mailbox of {entry.entity}: {row.key}")
                elif "lock" in row.props:
                    found.append(f"{entry.entity} is still locked: {row.props['lock']}")
    return found


def entity_scenario(name: str, orchestrator_name: str, data: Any, expected: Any, *shown: EntityId) -> Scenario:
    """The output of the orchestration, and what these entities were told."""

    async def drive(world: World) -> Any:
        await world.client.start_new(orchestrator_name, "one", data)
        output = await result(world, "one")
        await entities_rest(world)
        return [output, *[await items_of(world, each) for each in shown]]

    return Scenario(name, drive, expected)


async def _client_signals(world: World) -> Any:
    for number in range(5):
        await world.client.signal_entity(A, Log.add, str(number), signal_id=f"id {number}")
    await world.client.signal_entity(A, Log.add, "again", signal_id="id 3")
    await entities_rest(world)
    return await items_of(world, A)


async def _later(world: World) -> Any:
    await world.client.signal_entity(A, Log.add, "in an hour", world.loop.now() + timedelta(hours=1))
    await world.client.signal_entity(A, Log.add, "in two minutes", world.loop.now() + timedelta(minutes=2))
    await world.client.signal_entity(A, Log.later, "in twenty minutes")
    await world.client.signal_entity(A, Log.add, "now")
    await asyncio.sleep(1500)  # clocks differ by up to eight minutes, and messages are late
    early = set(await items_of(world, A)) - {"in twenty minutes"}
    await asyncio.sleep(2500)
    await entities_rest(world)
    return [sorted(early), sorted(await items_of(world, A))]


async def _begun(world: World) -> Any:
    await world.client.signal_entity(A, Log.begin, "two")
    output = None
    for _ in range(100):
        if await world.client.get_status("two"):
            output = await result(world, "two")
            break
        await asyncio.sleep(20)
    await entities_rest(world)
    return [output, await items_of(world, A)]


async def _crossing(world: World) -> Any:
    """Orchestrations with lock sets that cross."""
    sets = [["a", "b"], ["b", "a"], ["b", "c"], ["c", "a"]]
    for number, names in enumerate(sets):
        await world.client.start_new("counts", f"one-{number}", names)
    for number in range(len(sets)):
        await result(world, f"one-{number}")
    await entities_rest(world)
    return [await number_of(world, each) for each in (A, B, C)]


async def _large(world: World) -> Any:
    """A state that is kept in payload rows, and returns to an earlier value."""
    for salt in (1, 2, 1, 2):
        await world.client.signal_entity(A, Log.add, noise(200_000, salt))
        await world.client.signal_entity(A, Log.end)
    await world.client.signal_entity(A, Log.add, noise(200_000, 1))
    await entities_rest(world)
    table = world.storage.table(world.outside.hub.names.entities)
    rows = (await table.read_range(A.partition, "a", "b")).rows
    return [len(await items_of(world, A)), len(rows) <= 8]


async def _ended_while_holding(world: World) -> Any:
    outcomes: list[Any] = []
    for number, end in enumerate(("terminate", "cancel", "fail", "go")):
        name = f"one-{number}"
        await world.client.start_new("holds", name, ["a", "b"])
        for _ in range(500):
            if (await world.client.get_status(name)).custom_status == "holds":
                break
            await asyncio.sleep(5)
        if end == "terminate":
            await world.client.terminate(name, "enough")
        elif end == "cancel":
            await world.client.cancel(name, "enough")
        else:
            await world.client.raise_event(name, "Go", end)
        await result(world, name)
        outcomes.append(str((await world.client.get_status(name)).runtime_status))
        await world.client.purge_instance_history(name)
    await entities_rest(world)
    return [outcomes, await items_of(world, A)]


async def _ended_while_waiting(world: World) -> Any:
    """One holds, two others that wait are ended before they get the locks."""
    await world.client.start_new("holds", "one", ["b"])
    for name in ("two", "three"):
        await world.client.start_new("holds", name, ["a", "b", "c"])
    await asyncio.sleep(30)
    await world.client.terminate("two", "enough")
    await world.client.cancel("three", "enough")
    for name in ("two", "three"):
        await result(world, name)
    await world.client.raise_event("one", "Go", "go")
    await result(world, "one")
    await entities_rest(world)
    return await items_of(world, B)


SIXTY = [str(number) for number in range(60)]

ENTITY_SCENARIOS = [
    entity_scenario(
        "signals and calls", "adds", ["x", "y"], [[2, 4], ["x signaled", "x called", "y signaled", "y called"]], A
    ),
    entity_scenario("sixty signals", "sixty", None, [60, [*SIXTY, "last"]], A),
    entity_scenario("calls at once", "fan", None, [[1, 1, 2, 2], ["one", "two"], ["one", "two"]], A, B),
    entity_scenario("continue as new", "anew", 0, [2, [f"{n}.{k}" for n in range(3) for k in (1, 3)]], A),
    entity_scenario("a failed operation", "fails", None, ["this is refused", []], A),
    entity_scenario(
        "entities signal entities",
        "forwards",
        ["x", "y"],
        [2, ["x", "y"], ["x from a", "y from a"], ["x from a", "y from a"]],
        A,
        B,
        C,
    ),
    entity_scenario(
        "a lock of two",
        "counts",
        ["b", "a"],
        [0],
    ),
    entity_scenario("a lock of three", "counts", ["b", "a", "c"], [0]),
    entity_scenario("locks in two generations", "counts_anew", 0, [1]),
    Scenario("signals of a client", _client_signals, ["0", "1", "2", "3", "4"]),
    Scenario("an entity starts an orchestration", _begun, [[2], ["of the entity signaled", "of the entity called"]]),
    Scenario("a large state", _large, [1, True]),
]
SLOW_SCENARIOS = [
    Scenario(
        "delayed signals",
        _later,
        [["in two minutes", "now"], ["in an hour", "in twenty minutes", "in two minutes", "now"]],
    ),
    Scenario("crossing locks", _crossing, [3, 3, 2]),
    Scenario(
        "ended while it holds locks",
        _ended_while_holding,
        [["Terminated", "Canceled", "Failed", "Completed"], ["held"]],
    ),
    Scenario("ended while it waits for locks", _ended_while_waiting, ["held"]),
]
