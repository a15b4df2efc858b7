"""Interleavings about entities and locks (N1 to N31, P1)."""

# pyright: reportPrivateUsage=false
# A play takes rules out of the code by their names.

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest

from durable_core import EntityContext, EntityId, Orchestration, OrchestrationContext, Registry, entity, orchestrator
from durable_core.engine import critical_section, executor, generator
from durable_core.engine.events import Event, ForEntity
from durable_core.errors import DamagedRowError
from durable_core.hub.entities import store
from durable_core.hub.entities.keys import LIVE_RANGE, ROW_KEY
from durable_core.hub.entities.operations import Operation, OperationKind
from durable_core.hub.entities.row import EntityRow, Lock
from durable_core.hub.entities.store import Entities
from durable_core.hub.instances import Carried
from durable_core.runtime.entities import actor as entity_actor
from durable_core.runtime.entities import batch, parcels, rules
from durable_core.runtime.entities import sweep as sweep_module
from durable_core.runtime.entities.batch import Batch
from durable_core.runtime.entities.post import Post
from durable_core.runtime.turn import actor, after_end, commit, dispatch, redispatch, terminate
from durable_core.runtime.turn.actor import Actor
from durable_core.runtime.turn.decision import Decision
from durable_core.runtime.turn.redispatch import NOTHING
from durable_core.storage.ports import Delete, Replace, Value

from .more_scenarios import noise
from .plays import Play, TakeOut, always
from .plays_of_turns import LOST
from .scenarios import Effects
from .stage import Stage, StagedHost

A, B, C = EntityId("log", "a"), EntityId("log", "b"), EntityId("log", "c")

PARCEL_A = r"insert \w+Entities log@a i"
PARCEL_B = r"insert \w+Entities log@b i"
READ_A = r"read \w+Entities log@a i"
BATCH_A = r"transact \w+Entities log@a "
BATCH_B = r"transact \w+Entities log@b "
TO_A, TO_B = '"n":"@log@a"', '"n":"@log@b"'
TO_ONE, TO_TWO = '"i":"one"', '"i":"two"'
LEFT = "left in the mailbox|is still locked|lost: no message"


def entity_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    @entity(name="log")
    @dataclass
    class Log:
        items: list[str] = field(default_factory=list[str])
        number: int = 0

        def add(self, text: str) -> int:
            self.items.append(text)
            return len(self.items)

        def become(self, text: str) -> None:
            self.items = [text]

        def forward(self, ctx: EntityContext, text: str) -> None:
            ctx.signal_entity(B, "add", text)

        def get(self) -> int:
            return self.number

        def put(self, number: int) -> None:
            self.number = number

        def end(self, ctx: EntityContext) -> None:
            ctx.destruct_on_exit()

    @orchestrator
    def signals(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[int]:
        """A signal in each commit, with an event between two of them."""
        for number, text in enumerate(texts):
            if number:
                yield from ctx.wait_for_external_event("Go")
            ctx.signal_entity(A, "add", text)
        return len(texts)

    @orchestrator
    def anew(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
        """A signal in each of two generations; the first ends at once."""
        ctx.signal_entity(A, "add", f"of generation {number}")
        if number == 0:
            ctx.continue_as_new(1)
            return 0
        yield from ctx.wait_for_external_event("Go")
        return number

    @orchestrator
    def calls(ctx: OrchestrationContext, text: str) -> Orchestration[int]:
        return (yield from ctx.call_entity(A, "add", text))

    @orchestrator
    def waits(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
        """A signal in the first commit; the last comes with an event."""
        ctx.signal_entity(A, "add", text)
        return (yield from ctx.wait_for_external_event("Go", str))

    @orchestrator
    def locks(ctx: OrchestrationContext, names: list[str]) -> Orchestration[int]:
        """Locks these, and adds one to the number of the last, in two steps."""
        with (yield from ctx.lock(*[EntityId("log", name) for name in names])):
            last = EntityId("log", names[-1])
            number = yield from ctx.call_entity(last, "get")
            yield from ctx.call_entity(last, "put", number + 1)
        return number

    @orchestrator
    def holds(ctx: OrchestrationContext, names: list[str]) -> Orchestration[str]:
        with (yield from ctx.lock(*[EntityId("log", name) for name in names])):
            found = yield from ctx.wait_for_external_event("Go", str)
            if found == "fail":
                raise ValueError("it is to fail")
        return found

    @orchestrator
    def signals_then_locks(ctx: OrchestrationContext) -> Orchestration[int]:
        """A signal to b before the section in which b is locked."""
        ctx.signal_entity(B, "add", "before")
        yield from ctx.wait_for_external_event("Go")
        with (yield from ctx.lock(A, B)):
            return (yield from ctx.call_entity(B, "add", "inside"))

    @orchestrator
    def forwards_inside(ctx: OrchestrationContext) -> Orchestration[str]:
        """Inside the section, a is told to signal b, which is locked, too."""
        with (yield from ctx.lock(A, B)):
            yield from ctx.call_entity(A, "forward", "of a")
        return "left"

    @orchestrator
    def locks_again(ctx: OrchestrationContext) -> Orchestration[int]:
        """Leaves a section of two entities, and asks at once for the second alone."""
        with (yield from ctx.lock(A, B)):
            pass
        with (yield from ctx.lock(B)):
            return (yield from ctx.call_entity(B, "add", "locked again"))

    return Registry().add(
        Log, signals, anew, calls, waits, locks, holds, signals_then_locks, forwards_inside, locks_again
    )


# ------------------------------------------------------------ what must be true at rest


async def items(stage: Stage, target: EntityId = A) -> list[str]:
    found = await stage.world.client.read_entity(target)
    return [] if found is None else found.state["items"]


async def rests(stage: Stage) -> None:
    """Settle: every instance has ended, no lock is held, every mailbox is empty."""
    await stage.ends_well()
    hub = stage.world.outside.hub
    table = stage.world.storage.table(hub.names.entities)
    for target in (A, B, C):
        rows = (await table.read_range(target.partition, LIVE_RANGE)).rows
        left = [row.key for row in rows if row.key != ROW_KEY]
        assert not left, f"left in the mailbox of {target}: {left}"
        assert not any("lock" in row.props for row in rows), f"{target} is still locked"


async def both_are_locked_by(stage: Stage, host: StagedHost) -> None:
    """The request of "one", which is in the queue, is granted by a and by b; the answer is in the queue."""
    await host.handle("control", TO_A)
    await host.handle("control", TO_B)


# ------------------------------------------------------------ the order and the duplicates of a sender


async def a_later_commit_does_not_overtake_an_earlier_one(stage: Stage) -> None:
    """Host 1 commits the first signal and stalls before its parcel. An event reaches host 2, which commits the second
    signal and puts it into the mailbox. The entity runs before host 1 goes on."""
    await stage.client.start_new("signals", "one", ["first", "second"])
    first, second = stage.host(), stage.host()
    stalled = first.hold(PARCEL_A)
    turn = await first.begin("control")
    await stalled.reached()
    has_sent = second.hold(PARCEL_A, "after")  # that of the second signal; then its end would dispatch the first, too
    await stage.client.raise_event("one", "Go")
    other = await second.begin("control", TO_ONE)
    await has_sent.reached()
    await stage.client.signal_entity(A, "add", "of a client")
    await stage.host().handle("control", TO_A)
    stalled.let_go()
    has_sent.let_go()
    await asyncio.wait([turn, other])
    await rests(stage)
    told = [text for text in await items(stage) if text != "of a client"]
    assert told == ["first", "second"], f"out of order: {told}"


async def a_later_generation_does_not_overtake_an_earlier_one(stage: Stage) -> None:
    """The same over continue-as-new: the first generation ends with the commit of its signal."""
    await stage.client.start_new("anew", "one", 0)
    first, second = stage.host(), stage.host()
    stalled = first.hold(PARCEL_A)
    turn = await first.begin("control")
    await stalled.reached()
    await stage.client.raise_event("one", "Unheard")
    has_sent = second.hold(PARCEL_A, "after")
    other = await second.begin("control", TO_ONE)
    await has_sent.reached()
    await stage.client.signal_entity(A, "add", "of a client")
    await stage.host().handle("control", TO_A)
    stalled.let_go()
    has_sent.let_go()
    await asyncio.wait([turn, other])
    await stage.settle()
    await stage.client.raise_event("one", "Go")
    await rests(stage)
    told = [text for text in await items(stage) if text != "of a client"]
    assert told == ["of generation 0", "of generation 1"], f"out of order: {told}"


def _without_the_carry(patch: pytest.MonkeyPatch) -> None:
    real = parcels.previous_of

    def previous_of(first: int, decision: Decision, _carried: Sequence[Carried]) -> int:
        return real(first, decision, ())

    for module in (parcels, commit):
        patch.setattr(module, "previous_of", previous_of)


async def a_parcel_that_comes_again_is_not_applied_again(stage: Stage) -> None:
    """Host 1 has put the parcel into the mailbox and stalls. The entity applies it. Host 2 gets the message of host 1
    and puts the parcel into the mailbox again."""
    await stage.client.start_new("waits", "one", "once")
    first, second = stage.host(), stage.host()
    stalled = first.hold(r"send \S+-control .*@log@a", "after")
    turn = await first.begin("control")
    await stalled.reached()
    await second.handle("control", TO_A)
    await stage.lease_expires()
    await second.handle("control", TO_ONE)
    await second.handle("control", TO_A)
    stalled.let_go()
    await asyncio.wait([turn])
    await stage.client.raise_event("one", "Go", "end")
    await rests(stage)
    assert await items(stage) == ["once"], f"applied twice: {await items(stage)}"


async def two_hosts_that_run_one_batch_store_one(stage: Stage) -> None:
    """Host 1 has read the mailbox and stalls. Host 2 applies the same parcel."""
    await stage.client.signal_entity(A, "add", "once")
    first = stage.host()
    has_read = first.hold(READ_A, "after")
    turn = await first.begin("control")
    await has_read.reached()
    await stage.lease_expires()
    await stage.host().handle("control")
    has_read.let_go()
    await asyncio.wait([turn])
    await rests(stage)
    assert await items(stage) == ["once"], f"applied twice: {await items(stage)}"


def _unguarded(patch: pytest.MonkeyPatch) -> None:
    """A commit that compares nothing: neither the ETag nor the parcels."""
    real = Entities.commit

    async def write(self: Entities, before: Any, batch_commit: Any) -> Any:
        table: Any = self._table

        class Unguarded:
            async def transact(self, partition: str, operations: Sequence[Any]) -> list[str | None]:
                rows = (await table.read_range(partition, LIVE_RANGE)).rows
                there = {row.key for row in rows}
                kept: list[Any] = [op for op in operations if not isinstance(op, Delete) or op.key in there]
                kept = [Replace(op.key, op.props) if op.key == ROW_KEY and ROW_KEY in there else op for op in kept]
                return await table.transact(partition, kept)

            def __getattr__(self, name: str) -> Any:
                return getattr(table, name)

        patch.setattr(self, "_table", Unguarded())
        current = await self.read(batch_commit.row.entity)  # as if it had been read just now
        if current is not None and before is None:
            batch_commit.row = replace(batch_commit.row, cursors=current.cursors)
            batch_commit.state = '{"items":["once","once"],"number":0}'
        try:
            return await real(self, before, batch_commit)
        finally:
            patch.setattr(self, "_table", table)

    patch.setattr(Entities, "commit", write)


async def what_a_batch_owes_is_sent_by_the_next_host(stage: Stage) -> None:
    """Host 1 stores the batch of a call and dies before the answer."""
    await stage.client.start_new("calls", "one", "x")
    first = stage.host()
    await first.handle("control", TO_ONE)
    first.crash_at(BATCH_A, "after")
    await first.handle("control", TO_A)
    await rests(stage)
    assert await stage.output() == 1


async def an_entity_is_found_after_every_message_is_lost(stage: Stage) -> None:
    """The orchestration has ended, its parcel is in the mailbox. Every queue is purged before the entity is run."""
    await stage.client.start_new("signals", "one", ["x"])
    await stage.host().handle("control", TO_ONE)
    for name in stage.world.outside.hub.names.queues:
        await stage.world.storage.queue(name).clear()
    await stage.world.outside.recover(full=True)
    await rests(stage)
    assert await items(stage) == ["x"], "lost: the entity was not found"


async def what_a_commit_owes_to_an_entity_is_sent_before_another_host_ends_the_instance(stage: Stage) -> None:
    """Host 1 commits a signal and stalls before it sends it. Host 2 ends the instance, which is purged; host 1 dies."""
    await stage.client.start_new("waits", "one", "x")
    first, second = stage.host(), stage.host()
    stalled = first.hold(PARCEL_A)
    turn = await first.begin("control")
    await stalled.reached()
    await stage.client.raise_event("one", "Go", "end")
    await second.handle("control", TO_ONE)
    await stage.client.purge_instance_history("one")
    first.plan.dead = True
    stalled.let_go()
    await asyncio.wait([turn])
    await stage.settle()
    assert await items(stage) == ["x"], "lost: the signal was not sent"


async def what_the_last_commit_owes_to_an_entity_is_sent_before_a_purge(stage: Stage) -> None:
    """The host commits the signal that ends the instance and dies before it sends it. The instance is purged."""
    await stage.client.start_new("signals", "one", ["x"])
    first = stage.host()
    first.crash_at(PARCEL_A)
    await first.handle("control")
    await stage.client.purge_instance_history("one")
    await stage.settle()
    assert await items(stage) == ["x"], "lost: the signal was not sent"


async def a_redelivery_sends_the_parcel_of_a_host_that_died(stage: Stage) -> None:
    """The host commits a signal and dies before it sends it; its message comes back."""
    await stage.client.start_new("waits", "one", "x")
    first = stage.host()
    first.crash_at(PARCEL_A)
    await first.handle("control")
    await stage.settle()
    assert await items(stage) == ["x"], "lost: the signal was not sent"
    await stage.client.raise_event("one", "Go", "end")
    await rests(stage)


async def an_answer_is_kept_until_it_has_arrived(stage: Stage) -> None:
    """The answer to a call is in a queue that is purged. Meanwhile the entity has stored another batch."""
    await stage.client.start_new("calls", "one", "x")
    host = stage.host()
    await host.handle("control", TO_ONE)
    await host.handle("control", TO_A)
    await stage.client.signal_entity(A, "add", "y")
    await host.handle("control", TO_A)
    for name in stage.world.outside.hub.names.queues:
        await stage.world.storage.queue(name).clear()
    await stage.world.outside.recover(full=True)
    await rests(stage)
    assert await stage.output() == 1


async def a_grant_is_told_again(stage: Stage) -> None:
    """The grant of two locks is in a queue that is purged; meanwhile both entities have stored another batch."""
    await stage.client.start_new("locks", "one", ["a", "b"])
    host = stage.host()
    await host.handle("control", TO_ONE)
    await both_are_locked_by(stage, host)
    await stage.client.delete_entity(C)
    for name in stage.world.outside.hub.names.queues:
        await stage.world.storage.queue(name).clear()
    hub = stage.world.outside.hub
    row = await hub.entities.read(B)
    assert row is not None and row.lock is not None
    await _another_batch(stage, B)
    await _another_batch(stage, A)
    await stage.world.outside.recover(full=True)
    await rests(stage)


async def _another_batch(stage: Stage, target: EntityId) -> None:
    """The holder sends nothing, and others wait: a duplicate of its request makes the entity store a batch."""
    hub = stage.world.outside.hub
    row = await hub.entities.read(target)
    assert row is not None
    table = stage.world.storage.table(hub.names.entities)
    await table.merge(target.partition, ROW_KEY, {"out": "[]", "seq": row.seq + 1})


# ------------------------------------------------------------ cursors that have left the row


def _few_cursors(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rules, "CURSORS_KEPT", 0)
    patch.setattr(rules, "SPILLED_AT_ONCE", 0)


async def a_parcel_that_comes_again_late_is_known(stage: Stage) -> None:
    """Host 1 stalls after it has put the parcel into the mailbox. The entity applies it, and its cursor leaves the row;
    it counts as old. Then the message of host 1 comes back."""
    with pytest.MonkeyPatch.context() as patch:
        _few_cursors(patch)
        _no_time(patch)
        await stage.client.start_new("waits", "one", "once")
        first, second = stage.host(), stage.host()
        stalled = first.hold(r"send \S+-control .*@log@a", "after")
        turn = await first.begin("control")
        await stalled.reached()
        await second.handle("control", TO_A)
        await stage.client.signal_entity(A, "add", "x")  # the batch of x lets the cursor go
        await second.handle("control", TO_A)
        await stage.lease_expires()
        await second.handle("control", TO_ONE)
        stalled.let_go()
        await asyncio.wait([turn])
        await stage.settle()
        await stage.client.raise_event("one", "Go", "end")
        await rests(stage)
    assert await items(stage) == ["once", "x"], f"applied twice: {await items(stage)}"


async def a_parcel_that_comes_again_soon_is_known(stage: Stage) -> None:
    """Host 1 stalls before it puts the parcel into the mailbox. Host 2 gets its message, and does it; the entity
    applies it, and its cursor leaves the row at once, since there are many senders. Then host 1 goes on: its parcel
    does not say that it may have been there before."""
    with pytest.MonkeyPatch.context() as patch:
        _few_cursors(patch)
        await stage.client.start_new("waits", "one", "once")
        first, second = stage.host(), stage.host()
        stalled = first.hold(PARCEL_A)
        turn = await first.begin("control")
        await stalled.reached()
        await stage.lease_expires()
        await second.handle("control", TO_ONE)
        await second.handle("control", TO_A)
        await stage.client.signal_entity(A, "add", "x")
        await second.handle("control", TO_A)
        stalled.let_go()
        await asyncio.wait([turn])
        await stage.settle()
        await stage.client.raise_event("one", "Go", "end")
        await rests(stage)
    assert await items(stage) == ["once", "x"], f"applied twice: {await items(stage)}"


async def a_cursor_stays_while_its_stream_has_a_parcel_in_the_mailbox(stage: Stage) -> None:
    """As above, but the entity reads the late parcel a quarter of an hour later, in a batch that is full without it."""
    with pytest.MonkeyPatch.context() as patch:
        await stage.client.start_new("waits", "one", "once")
        first, second = stage.host(), stage.host()
        stalled = first.hold(PARCEL_A)
        turn = await first.begin("control")
        await stalled.reached()
        await stage.lease_expires()
        await second.handle("control", TO_ONE)
        await second.handle("control", TO_A)
        await stage.client.signal_entity(A, "add", "x")
        stalled.let_go()
        await asyncio.wait([turn])
        await asyncio.sleep(1000)
        _few_cursors(patch)
        patch.setattr(batch, "MAX_CONSUMED", 1)
        await stage.settle()
        await stage.client.raise_event("one", "Go", "end")
        await rests(stage)
    assert await items(stage) == ["once", "x"], f"applied twice: {await items(stage)}"


def _blind_to_the_mailbox(patch: pytest.MonkeyPatch) -> None:
    real = batch.cursors_to_spill

    def to_spill(cursors: Any, _in_mailbox: set[str], touched: set[str]) -> list[str]:
        return real(cursors, set(), touched)

    patch.setattr(batch, "cursors_to_spill", to_spill)


# ------------------------------------------------------------ the sweep


DAY = 24 * 3600


async def sweep(host: StagedHost) -> None:
    await host.app._sweep.run()


async def the_cursor_of_an_orchestration_that_runs_stays(stage: Stage) -> None:
    """Host 1 stalls after it has put the parcel into the mailbox, for nine days. The sweep runs, then the message of
    host 1 comes back."""
    await stage.client.start_new("waits", "one", "once")
    first, second = stage.host(), stage.host()
    stalled = first.hold(r"send \S+-control .*@log@a", "after")
    turn = await first.begin("control")
    await stalled.reached()
    await second.handle("control", TO_A)
    await asyncio.sleep(9 * DAY)
    await sweep(second)
    await second.handle("control", TO_ONE)
    stalled.let_go()
    await asyncio.wait([turn])
    await stage.settle()
    await stage.client.raise_event("one", "Go", "end")
    await rests(stage)
    assert await items(stage) == ["once"], f"applied twice: {await items(stage)}"


def _nobody_is_open(patch: pytest.MonkeyPatch) -> None:
    real = sweep_module.to_forget

    def to_forget(cursors: Any, in_mailbox: Any, _open: Any, now: Any) -> list[str]:
        return real(cursors, in_mailbox, (), now)

    patch.setattr(sweep_module, "to_forget", to_forget)


async def a_client_that_has_no_answer_may_signal_again(stage: Stage) -> None:
    """The sweep runs between the two."""
    await stage.client.signal_entity(A, "add", "once", signal_id="x")
    host = stage.host()
    await host.handle("control")
    await asyncio.sleep(DAY)
    await sweep(host)
    await stage.client.signal_entity(A, "add", "once", signal_id="x")
    await rests(stage)
    assert await items(stage) == ["once"], f"applied twice: {await items(stage)}"


def _at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(sweep_module, "FORGOTTEN_AFTER", timedelta(0))


async def an_ended_instance_sends_nothing_again_after_days(stage: Stage) -> None:
    """The host ends the instance, and stalls before its message is deleted, for nine days. The sweep forgets the
    instance, then its message comes back."""
    await stage.client.start_new("signals", "one", ["once"])
    first, second = stage.host(), stage.host()
    stalled = first.hold(r"delete \S+-control")
    turn = await first.begin("control")
    await stalled.reached()
    await second.handle("control", TO_A)
    await asyncio.sleep(9 * DAY)
    await sweep(second)
    await second.handle("control", TO_ONE)
    stalled.let_go()
    await asyncio.wait([turn])
    await rests(stage)
    assert await items(stage) == ["once"], f"applied twice: {await items(stage)}"


async def a_deleted_entity_knows_its_senders(stage: Stage) -> None:
    """The sweep runs after an entity was deleted; then a client signals again what it had signaled before."""
    await stage.client.signal_entity(A, "add", "once", signal_id="x")
    host = stage.host()
    await host.handle("control")
    await stage.client.delete_entity(A)
    await host.handle("control")
    await sweep(host)
    await stage.client.signal_entity(A, "add", "once", signal_id="x")
    await rests(stage)
    assert await items(stage) == [], "applied twice"


def _without_cursors(patch: pytest.MonkeyPatch) -> None:
    real = sweep_module.is_empty

    def is_empty(row: EntityRow, _spilled: int, whole: Any) -> bool:
        return real(replace(row, cursors={}), 0, whole)

    patch.setattr(sweep_module, "is_empty", is_empty)


async def a_sender_that_has_seen_the_catalogue_row_may_be_slow(stage: Stage) -> None:
    """Host 1 makes sure that the catalogue row is there, and stalls before its parcel. The sweep runs twice. Host 1
    goes on, and every message is lost."""
    await stage.client.start_new("signals", "one", ["x"])
    first, second = stage.host(), stage.host()
    stalled = first.hold(PARCEL_A)
    turn = await first.begin("control")
    await stalled.reached()
    await sweep(second)
    await sweep(second)
    stalled.let_go()
    await asyncio.wait([turn])
    for name in stage.world.outside.hub.names.queues:
        await stage.world.storage.queue(name).clear()
    await stage.world.outside.recover(full=True)
    await stage.settle()
    assert await items(stage) == ["x"], "left in the mailbox"


async def an_entity_is_made_again_by(stage: Stage, host: StagedHost) -> None:
    """After a life in which it has sent something to b, of which this host knows that it was sent."""
    await stage.client.signal_entity(A, "forward", "first")
    await host.handle("control", TO_A)
    await stage.client.delete_entity(A)
    await host.handle("control", TO_A)
    await stage.settle()
    await asyncio.sleep(9 * DAY)
    await sweep(host)
    await stage.client.signal_entity(A, "add", "x")


async def the_signals_of_a_new_life_are_no_duplicates(stage: Stage) -> None:
    """An entity that signals another one is deleted, forgotten, made again, and signals once more."""
    host = stage.host()
    await an_entity_is_made_again_by(stage, host)
    await stage.client.signal_entity(A, "forward", "second")
    await rests(stage)
    assert await items(stage, B) == ["first", "second"], "taken for a duplicate"


def _one_life(patch: pytest.MonkeyPatch) -> None:
    real = entity_actor.EntityActor._fresh

    def fresh(self: Any) -> EntityRow:
        return replace(real(self), life="life")

    patch.setattr(entity_actor.EntityActor, "_fresh", fresh)


async def what_a_new_life_owes_is_sent(stage: Stage) -> None:
    """Host 1 has sent what the second batch of an entity owed. The entity is deleted, forgotten, and made again; host 2
    stores its second batch and dies. Host 1 gets the message."""
    first, second = stage.host(), stage.host()
    await an_entity_is_made_again_by(stage, first)
    await second.handle("control", TO_A)
    await stage.client.signal_entity(A, "forward", "second")
    second.crash_at(BATCH_A, "after")
    await second.handle("control", TO_A)
    await stage.lease_expires()
    await first.handle("control", TO_A)
    await rests(stage)
    assert await items(stage, B) == ["first", "second"], "lost: it was taken for sent"


def _by_seq_alone(patch: pytest.MonkeyPatch) -> None:
    def known_as(self: EntityRow) -> tuple[str, int]:
        return "", self.seq

    patch.setattr(EntityRow, "known_as", property(known_as))


# ------------------------------------------------------------ locks


async def crossing_sets_of_locks_end(stage: Stage) -> None:
    """One asks for a and b, two for b and a; each of the entities gets the requests before any is passed on."""
    await stage.client.start_new("locks", "one", ["a", "b"])
    await stage.client.start_new("locks", "two", ["b", "a"])
    host = stage.host()
    await host.handle("control", TO_ONE)
    await host.handle("control", TO_TWO)
    await rests(stage)


def _unsorted(patch: pytest.MonkeyPatch) -> None:
    def as_given(ids: tuple[EntityId, ...]) -> tuple[str, ...]:
        return tuple(dict.fromkeys(str(entity_id) for entity_id in ids))

    patch.setattr(critical_section, "in_lock_order", as_given)


async def others_wait_while_an_entity_is_locked(stage: Stage) -> None:
    """In a critical section a number is read and written; a client changes it between the two."""
    await stage.client.start_new("locks", "one", ["a"])
    host = stage.host()
    for containing in (TO_ONE, TO_A, TO_ONE, TO_A):
        await host.handle("control", containing)  # request, grant, the code reads, the entity answers
    await stage.client.signal_entity(A, "put", 10)
    await host.handle("control", TO_A)
    await rests(stage)
    found = await stage.world.client.read_entity(A)
    assert found is not None
    assert found.state["number"] == 10, f"changed inside a section: {found.state['number']}"


async def what_the_holder_sent_before_its_request_passes(stage: Stage) -> None:
    """Host 1 commits a signal to b and stalls before its parcel. Host 2 locks a and b, and calls b, whose parcel comes
    after the signal's."""
    await stage.client.start_new("signals_then_locks", "one")
    first, second = stage.host(), stage.host()
    stalled = first.hold(PARCEL_B)
    turn = await first.begin("control")
    await stalled.reached()
    await stage.client.raise_event("one", "Go")
    await second.handle("control", TO_ONE)
    await both_are_locked_by(stage, second)
    await second.handle("control", TO_ONE)
    await second.handle("control", TO_B)
    stalled.let_go()
    await asyncio.wait([turn])
    await rests(stage)
    assert await items(stage, B) == ["before", "inside"]


def _by_the_mark_of_the_section(patch: pytest.MonkeyPatch) -> None:
    def may_pass(lock: Lock | None, _stream: str, operations: Sequence[Operation]) -> bool:
        return lock is None or any(operation.section == lock.section for operation in operations)

    patch.setattr(batch, "may_pass", may_pass)


async def a_signal_to_a_locked_entity_does_not_hold_up_its_release(stage: Stage) -> None:
    """Inside a section of a and b, a signals b. The signal waits at b for the release, which comes from a, too."""
    await stage.client.start_new("forwards_inside", "one")
    await rests(stage)
    assert await items(stage, B) == ["of a"]


async def a_release_reaches_every_entity_of_the_chain(stage: Stage) -> None:
    """Locks of two are released by one decision."""
    await stage.client.start_new("locks", "one", ["a", "b"])
    await rests(stage)


def _to_the_first_alone(patch: pytest.MonkeyPatch) -> None:
    real: Any = Batch._pass_on

    def pass_on(self: Batch, operation: Operation) -> bool:
        return operation.kind is not OperationKind.RELEASE and real(self, operation)

    patch.setattr(Batch, "_pass_on", pass_on)


async def every_end_releases(stage: Stage) -> None:
    """An instance that holds locks is terminated, one fails, one is cancelled."""
    host = stage.host()
    for number, end in enumerate(("terminate", "fail", "cancel")):
        name = f"one-{number}"
        await stage.client.start_new("holds", name, ["a", "b"])
        await stage.settle()
        if end == "terminate":
            await stage.client.terminate(name)
        elif end == "fail":
            await stage.client.raise_event(name, "Go", "fail")
        else:
            await stage.client.cancel(name)
        await host.handle("control", name)
    await rests(stage)


def _no_release_at_the_end(patch: pytest.MonkeyPatch) -> None:
    for module in (executor, generator):
        always(module, "release_at_the_end", None)(patch)


async def an_end_without_code_releases(stage: Stage) -> None:
    """An instance that holds locks is stuck, and is terminated without its code."""
    await stage.client.start_new("holds", "one", ["a", "b"])
    await stage.settle()
    await stage.world.outside.hub.instances.mark_stuck("one", "for a test")
    await stage.client.terminate("one")
    await rests(stage)


async def a_request_waits_for_the_release_of_the_section_before(stage: Stage) -> None:
    """An orchestration leaves a section of a and b and asks at once for b alone. The request comes directly, the
    release by way of a."""
    await stage.client.start_new("locks_again", "one")
    host = stage.host()
    await host.handle("control", TO_ONE)
    await both_are_locked_by(stage, host)
    await host.handle("control", TO_ONE)  # leaves the section, and asks for b
    try:
        await host.handle("control", TO_B)  # before the release, which is at a
    except DamagedRowError as error:
        raise AssertionError(str(error)) from error
    await rests(stage)
    assert await items(stage, B) == ["locked again"]


# ------------------------------------------------------------ large states


async def a_large_state_that_returns_is_not_deleted(stage: Stage) -> None:
    """Host 1 stores the state Y, and stalls before it deletes the rows of X. Host 2 stores X again."""
    x, y = noise(200_000, 1), noise(200_000, 2)
    await stage.client.signal_entity(A, "become", x)
    first, second = stage.host(), stage.host()
    await second.handle("control", TO_A)
    await stage.client.signal_entity(A, "become", y)
    stalled = first.hold(r"delete \w+Entities log@a a")
    turn = await first.begin("control", TO_A)
    await stalled.reached()
    await stage.client.signal_entity(A, "become", x)
    await second.handle("control", TO_A)
    stalled.let_go()
    await asyncio.wait([turn])
    await stage.settle()
    try:
        assert await items(stage) == [x]
    except Exception as error:
        raise AssertionError(f"the state is gone: {error}") from error


def _in_the_stream_of_signals(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batch, "control_stream", batch.signal_stream)


def _no_entities(patch: pytest.MonkeyPatch) -> None:
    real = redispatch._is_for_others

    def is_for_others(event: Event) -> bool:
        return not isinstance(event, ForEntity) and real(event)

    patch.setattr(redispatch, "_is_for_others", is_for_others)


def _as_if_dispatched(patch: pytest.MonkeyPatch) -> None:
    async def is_end_undispatched(*_: Any) -> bool:
        return False

    patch.setattr(after_end, "is_end_undispatched", is_end_undispatched)


async def _nothing(*_: Any) -> None:
    return None


def _never_known(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Post, "enter", _nothing)


def _nothing_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Batch, "_answer_again", _nothing)


def _out_is_not_stored(patch: pytest.MonkeyPatch) -> None:
    real = store.row_props

    def row_props(row: EntityRow, cursors: Value, _out: Value) -> dict[str, Value]:
        return real(row, cursors, "[]")

    patch.setattr(store, "row_props", row_props)


def _no_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(batch, "YOUNG_SECONDS", -1e9)


_TWICE = "applied twice"
_LISTED: list[tuple[str, Callable[[Stage], Awaitable[None]], TakeOut, str]] = [
    (
        "N1",
        a_later_commit_does_not_overtake_an_earlier_one,
        always(batch, "waits_for_previous", False),
        "out of order",
    ),
    ("N2", a_later_generation_does_not_overtake_an_earlier_one, _without_the_carry, "out of order"),
    ("N3", a_parcel_that_comes_again_is_not_applied_again, always(batch, "is_applied", False), _TWICE),
    ("N4", two_hosts_that_run_one_batch_store_one, _unguarded, _TWICE),
    ("N5", what_a_batch_owes_is_sent_by_the_next_host, _out_is_not_stored, LOST),
    (
        "N6",
        what_a_batch_owes_is_sent_by_the_next_host,
        always(entity_actor.SentBatches, "has", True),
        LOST,
    ),
    ("N7", an_entity_is_found_after_every_message_is_lost, _never_known, LEFT),
    (
        "N8",
        a_sender_that_has_seen_the_catalogue_row_may_be_slow,
        always(sweep_module, "may_be_collected", True),
        LEFT,
    ),
    ("N9", the_signals_of_a_new_life_are_no_duplicates, _one_life, "taken for a duplicate"),
    ("N10", what_a_new_life_owes_is_sent, _by_seq_alone, "taken for sent"),
    (
        "N11",
        what_a_commit_owes_to_an_entity_is_sent_before_another_host_ends_the_instance,
        always(Actor, "_undispatched_after", None),
        "lost",
    ),
    ("N11", what_a_commit_owes_to_an_entity_is_sent_before_another_host_ends_the_instance, _no_entities, "lost"),
    (
        "N12",
        what_the_last_commit_owes_to_an_entity_is_sent_before_a_purge,
        _as_if_dispatched,
        "lost",
    ),
    ("N14", a_redelivery_sends_the_parcel_of_a_host_that_died, always(actor, "to_redispatch", NOTHING), "lost"),
    ("N16", an_answer_is_kept_until_it_has_arrived, _nothing_again, LOST),
    ("N17", a_grant_is_told_again, always(batch, "is_request_for", False), LOST),
    ("N18", a_parcel_that_comes_again_late_is_known, always(batch, "may_be_spilled", False), _TWICE),
    ("N19", a_parcel_that_comes_again_soon_is_known, _no_time, _TWICE),
    ("N20", a_cursor_stays_while_its_stream_has_a_parcel_in_the_mailbox, _blind_to_the_mailbox, _TWICE),
    ("N21", the_cursor_of_an_orchestration_that_runs_stays, _nobody_is_open, _TWICE),
    ("N22", a_client_that_has_no_answer_may_signal_again, _at_once, _TWICE),
    ("N23", an_ended_instance_sends_nothing_again_after_days, always(dispatch, "is_long_ago", False), _TWICE),
    ("N24", a_deleted_entity_knows_its_senders, _without_cursors, _TWICE),
    ("N25", crossing_sets_of_locks_end, _unsorted, LOST),
    ("N26", others_wait_while_an_entity_is_locked, always(batch, "may_pass", True), "changed inside"),
    ("N27", what_the_holder_sent_before_its_request_passes, _by_the_mark_of_the_section, LOST),
    (
        "N28",
        a_signal_to_a_locked_entity_does_not_hold_up_its_release,
        _in_the_stream_of_signals,
        LEFT,
    ),
    ("N29", a_release_reaches_every_entity_of_the_chain, _to_the_first_alone, LEFT),
    ("N30", every_end_releases, _no_release_at_the_end, LEFT),
    (
        "N30",
        an_end_without_code_releases,
        always(terminate, "releases_of", ()),
        LEFT,
    ),
    (
        "N31",
        a_request_waits_for_the_release_of_the_section_before,
        always(rules, "locks_anew", False),
        "a storm",
    ),
    (
        "P1",
        a_large_state_that_returns_is_not_deleted,
        always(store, "payload_owner_of", "content"),
        "the state is gone",
    ),
]
PLAYS = [Play(rule, perform, without, breaks, entity_registry) for rule, perform, without, breaks in _LISTED]
