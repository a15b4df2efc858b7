"""Interleavings about executions and generations that follow each other, the inbox, the catalogue, the log (R8-R15,
R33)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from durable_core.engine import generator
from durable_core.errors import InstanceAlreadyExistsError, InstanceCompletedError, RowExistsError
from durable_core.hub import instances as instances_module
from durable_core.hub.catalog import CLOSED, Catalog, Entry
from durable_core.hub.inbox import InboxRow
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Instances
from durable_core.hub.times import inverted_ms
from durable_core.models import Operations, ParentLink, RuntimeStatus
from durable_core.runtime.start import Starts
from durable_core.runtime.turn import children, new_events, retries
from durable_core.runtime.turn.children import Children
from durable_core.runtime.turn.new_events import Mail
from durable_core.testing.faults import HostCrashError

from .oracle import check_order
from .plays import Play, always
from .plays_of_turns import COMMIT, LOST, SEND_CONTROL
from .stage import Stage, StagedHost

# ---------------------------------------------------------------- R8 - R11


async def a_late_result_of_an_earlier_generation_is_not_taken_for_one_of_this(stage: Stage) -> None:
    """Host 1 runs A of generation 0 for longer than its lease. Host 2 runs it again, the orchestrator continues as
    new, and waits for an activity with the same task id. The result of host 1 arrives."""
    await stage.client.start_new("renews", "one", 0)
    first, second = stage.host(), stage.host()
    await second.handle("control")
    running = stage.hold_activity("generation 0")
    work = await first.begin("work")
    await running.reached()
    await stage.lease_expires()
    await second.handle("work")
    running.let_go()
    await asyncio.wait([work])
    await second.handle("control")
    await stage.ends_well()
    found = await stage.output()
    assert found == "generation 1", f"another life's result: {found}"


async def a_late_result_of_an_earlier_execution_is_not_taken_for_one_of_this(stage: Stage) -> None:
    """A host runs A for long. The instance is terminated, purged, and started again with another input: it waits for
    an activity with the same task id. The result of the first life arrives."""
    await stage.client.start_new("steps", "one", ["first life"])
    first, second = stage.host(), stage.host()
    await second.handle("control")
    running = stage.hold_activity("first life")
    work = await first.begin("work")
    await running.reached()
    await stage.client.terminate("one")
    await second.handle("control")
    assert await stage.client.purge_instance_history("one") == 1
    await stage.client.start_new("steps", "one", ["second life"])
    await second.handle("control")
    running.let_go()
    await asyncio.wait([work])
    await second.handle("control")
    await stage.ends_well()
    found = await stage.output()
    assert found == ["second life"], f"another life's result: {found}"


async def a_request_that_was_meant_for_an_earlier_life_does_not_reach_this_one(stage: Stage) -> None:
    """A client asks to terminate: it reads "running", and stalls. The instance ends, is purged, and started again.
    Then the client writes its request."""
    await stage.client.start_new("steps", "one", ["first life"])
    host, other = stage.host(), stage.host()
    await host.handle("control")
    stalled = other.hold(r"insert \w+Instances one i")
    request = asyncio.create_task(other.client.terminate("one", "too late"))
    await stalled.reached()
    await host.handle("work")
    assert await stage.client.purge_instance_history("one") == 1
    await stage.client.start_new("steps", "one", ["second life"])
    stalled.let_go()
    await request
    await stage.ends_well()
    found = await stage.output()
    assert found == ["second life"], f"ended by another life's request: {found}"


def take_every_row(patch: pytest.MonkeyPatch) -> None:
    sort = Mail.sort

    def sort_all(inbox: Sequence[InboxRow], instance: Instance) -> Mail:
        return sort([replace(row, execution_id=instance.execution_id) for row in inbox], instance)

    patch.setattr(Mail, "sort", sort_all)


async def events_of_one_sender_come_in_order_through_hosts_with_different_clocks(stage: Stage) -> None:
    """A sender awaits each answer. Its first event is taken by a host whose clock is ahead, its second by one whose
    clock is behind; then both are read at once."""
    await stage.client.start_new("collect", "one", 2)
    ahead, behind = stage.host(ahead=300), stage.host(ahead=-300)
    await ahead.client.raise_event("one", "Item", "first")
    await asyncio.sleep(1)
    await behind.client.raise_event("one", "Item", "second")
    await stage.ends_well()
    found = await stage.output()
    assert found == ["first", "second"], f"out of order: {found}"


def _order_by_key(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(InboxRow, "order", property(lambda row: row.key))


async def an_event_that_one_generation_consumed_is_not_consumed_by_the_next(stage: Stage) -> None:
    """An orchestrator waits for an event and continues as new with it; the new generation knows nothing of the row."""
    await stage.client.start_new("collect_anew", "one", [])
    host = stage.host()
    await stage.client.raise_event("one", "Item", "first")
    await host.handle("control")
    await host.handle("control")
    await asyncio.sleep(1)
    with suppress(InstanceCompletedError):
        await stage.client.raise_event("one", "Item", "second")
    await stage.ends_well()
    found = await stage.output()
    assert found == ["first", "second"], f"consumed twice: {found}"


def _delete_consumed_rows_later(patch: pytest.MonkeyPatch) -> None:
    write = Instances._write  # pyright: ignore[reportPrivateUsage]

    async def write_only(
        self: Instances, instance_id: str, operations: list[Any], _: Sequence[str], written: Operations
    ) -> str:
        return await write(self, instance_id, operations, (), written)

    patch.setattr(Instances, "_write", write_only)


# ---------------------------------------------------------------- R12 - R14


async def a_child_whose_wake_up_was_not_sent_is_rung_by_the_next(stage: Stage) -> None:
    """A host writes the row of a child and dies before it sends the wake-up. The parent's message is
    redelivered: the child exists."""
    await stage.client.start_new("parent", "one")
    first, second = stage.host(), stage.host()
    first.crash_at(SEND_CONTROL)
    await first.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.ends_well()


def _skip_a_child_that_exists(patch: pytest.MonkeyPatch) -> None:
    start = Children.start

    async def start_new_only(self: Children, parent: Instance, *more: Any) -> None:
        dispatch, event, _, attempt = more
        link = ParentLink(parent.instance_id, parent.execution_id, dispatch.generation, event.task_id, attempt)
        child_id = children.child_id_of(parent, link, event.instance_id)
        if await self._hub.instances.get(child_id) is None:  # pyright: ignore[reportPrivateUsage]
            await start(self, parent, *more)

    patch.setattr(Children, "start", start_new_only)


async def a_child_ends_with_its_parent_whose_host_dies_right_after_the_commit(stage: Stage) -> None:
    """The parent ends while its child waits for ever. The host dies after the commit of that end, before it has sent
    anything. The message is redelivered."""
    await stage.client.start_new("ends_before_its_child", "one")
    first, second, third = stage.host(), stage.host(), stage.host()
    while await first.take_next():
        continue
    await stage.client.raise_event("one", "Go")
    second.crash_at(COMMIT, "after")
    await second.handle("control")
    await stage.lease_expires()
    await third.handle("control")
    await stage.ends_well()
    child = await stage.client.get_status("child")
    assert child.runtime_status is RuntimeStatus.TERMINATED, f"the child outlives its parent: {child}"


def _record_nothing(_: object) -> None: ...


def _close_no_children(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(generator, "close_children", _record_nothing)


async def a_child_of_the_next_generation_is_another_one(stage: Stage) -> None:
    """An orchestrator calls a child, continues as new, and calls a child with the same task id."""
    await stage.client.start_new("parent_anew", "one", 0)
    await stage.ends_well()
    found = await stage.output()
    assert found == ["child 1"], f"not its own child: {found}"


def _name_children_by_task(patch: pytest.MonkeyPatch) -> None:
    def child_id(parent: Instance, link: ParentLink, _: str) -> str:
        return f"{parent.instance_id}:{link.task_id}"

    patch.setattr(children, "child_id_of", child_id)


async def a_start_that_finds_the_id_unstarted_rings_for_it(stage: Stage) -> None:
    """A client writes the instance and dies before it sends the wake-up. Another client starts the same
    id, and is refused."""
    dying = stage.host()
    dying.crash_at(SEND_CONTROL)
    with suppress(HostCrashError):
        await dying.client.start_new("steps", "one", ["a"])
    with pytest.raises(InstanceAlreadyExistsError):
        await stage.client.start_new("steps", "one", ["a"])
    await stage.ends_well()


async def a_late_host_does_not_list_what_was_purged(stage: Stage) -> None:
    """A host commits the end and stalls before it tells the catalogue. The instance is purged. The host goes on."""
    await stage.client.start_new("inline_steps", "one", ["a"])
    host = stage.host()
    stalled = host.hold(r"(transact|delete) \w+Catalog")
    turn = await host.begin("control")
    await stalled.reached()
    assert await stage.client.purge_instance_history("one") == 1
    stalled.let_go()
    await asyncio.wait([turn])
    listed = [status.instance_id for status in await stage.client.get_status_all()]
    assert not listed, f"a ghost is listed: {listed}"


def _send_no_wake_up(patch: pytest.MonkeyPatch) -> None:
    async def send_nothing(_: Starts, __: Instance) -> None:
        return

    patch.setattr(Starts, "_send_start", send_nothing)


def _insert_the_closed_row_regardless(patch: pytest.MonkeyPatch) -> None:
    async def close(self: Catalog, entry: Entry) -> bool:
        key = f"{CLOSED}{inverted_ms(entry.created)}-{entry.execution_id}-{entry.instance_id}"
        await self.forget_open(entry)
        with suppress(RowExistsError):
            await self._table.insert("00", key, entry.props(self._encoding))  # pyright: ignore[reportPrivateUsage]
        return True

    patch.setattr(Catalog, "close", close)


# ---------------------------------------------------------------- R15


async def a_history_is_read_whole_while_its_log_is_rolled(stage: Stage) -> None:
    """A reader reads the instance row and stalls. The log is rolled: what the row held is now in a chunk row as well.
    Then the reader reads the chunk rows."""
    await stage.client.start_new("heavy_steps", "one", 24)
    host, reader = stage.host(), stage.host()
    await host.handle("control")
    for _ in range(11):
        await host.handle("work")
    before = await _base(stage)
    assert before > 0, "the log was rolled once, so that there are chunk rows to read"
    stalled = reader.hold(r"read \w+ one h")
    reading = asyncio.create_task(reader.client.get_status("one", show_history=True))
    await stalled.reached()
    while await _base(stage) == before:
        await host.handle("work")
    stalled.let_go()
    events = (await reading).history_events
    assert events is not None
    check_order(events)
    assert sum(event["EventType"] == "TaskCompleted" for event in events) == 11
    await _finish(stage, host, "Enough")


async def a_history_whose_generation_ends_while_it_is_read_is_read_again(stage: Stage) -> None:
    """A reader reads the instance row and stalls. The orchestrator continues as new, and the chunk rows of its old
    generation are collected. Then the reader reads the chunk rows: there are none."""
    await stage.client.start_new("heavy_anew", "one", 12)
    host, reader = stage.host(), stage.host()
    await host.handle("control")
    for _ in range(12):
        await host.handle("work")
    assert await _base(stage) > 0
    stalled = reader.hold(r"read \w+ one h")
    reading = asyncio.create_task(reader.client.get_status("one", show_history=True))
    await stalled.reached()
    await _finish(stage, host, "Anew")
    stalled.let_go()
    events = (await reading).history_events
    assert events is not None
    check_order(events)
    assert events[1]["EventType"] == "ExecutionStarted", "a history begins with its start"


async def _base(stage: Stage) -> int:
    instance = await stage.world.outside.hub.instances.get("one")
    assert instance is not None
    return instance.base


async def _finish(stage: Stage, host: StagedHost, event: str) -> None:
    await stage.client.raise_event("one", event, "now")
    while await host.take_next():
        continue
    await stage.ends_well()


def _add_up_what_was_read(patch: pytest.MonkeyPatch) -> None:
    def all_of(instance: Instance, chunks: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
        return [*chunks, *((seq, instance.log[seq]) for seq in sorted(instance.log))]

    patch.setattr(instances_module, "whole_log", all_of)


PLAYS = [
    Play(
        "R8",
        a_late_result_of_an_earlier_generation_is_not_taken_for_one_of_this,
        always(retries, "is_of_this_generation", True),
        "another life's result|never run",
    ),
    Play(
        "R8",
        a_late_result_of_an_earlier_execution_is_not_taken_for_one_of_this,
        always(new_events, "is_of_this_execution", True),
        "another life's result|never run",
    ),
    Play(
        "R9",
        a_request_that_was_meant_for_an_earlier_life_does_not_reach_this_one,
        take_every_row,
        "invariant 8: terminate for execution",
    ),
    Play(
        "R10",
        events_of_one_sender_come_in_order_through_hosts_with_different_clocks,
        _order_by_key,
        "out of order",
    ),
    Play(
        "R11",
        an_event_that_one_generation_consumed_is_not_consumed_by_the_next,
        _delete_consumed_rows_later,
        "consumed twice",
    ),
    Play("R12", a_child_whose_wake_up_was_not_sent_is_rung_by_the_next, _skip_a_child_that_exists, LOST),
    Play("R12", a_child_of_the_next_generation_is_another_one, _name_children_by_task, "not its own child"),
    Play("R33", a_child_ends_with_its_parent_whose_host_dies_right_after_the_commit, _close_no_children, LOST),
    Play("R13", a_start_that_finds_the_id_unstarted_rings_for_it, _send_no_wake_up, LOST),
    Play("R14", a_late_host_does_not_list_what_was_purged, _insert_the_closed_row_regardless, "a ghost is listed"),
    Play("R15", a_history_is_read_whole_while_its_log_is_rolled, _add_up_what_was_read, "recorded twice"),
    Play(
        "R15",
        a_history_whose_generation_ends_while_it_is_read_is_read_again,
        _add_up_what_was_read,
        "before it was scheduled|begins with its start",
    ),
]
