"""Interleavings about a rewind of an ended instance, and of its children (R20-R29), forks (R30-R32), and maps
(R39)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    Tolerate,
    activity,
    orchestrator,
)
from durable_core.engine.events import Segment
from durable_core.engine.executor import OrchestrationExecutor
from durable_core.engine.mapping.task import MapTask
from durable_core.engine.state import ExecutionState
from durable_core.errors import DurableError, OperationRefusedError, TaskFailedError
from durable_core.hub import catalog, voiding
from durable_core.hub.catalog import OPEN
from durable_core.hub.inbox import InboxRow
from durable_core.hub.instance_row import Instance
from durable_core.hub.instances import Instances
from durable_core.hub.keys import INSTANCE_KEY
from durable_core.models import RuntimeStatus
from durable_core.runtime import fork, recovery, rewind
from durable_core.runtime.turn import actor, children, freshness, inline_steps, new_events, redispatch, rewind_plan
from durable_core.testing.faults import HostCrashError

from .plays import Play, always
from .plays_of_turns import LOST, SEND_CONTROL
from .scenarios import Effects
from .stage import Stage, StagedHost

TRANSACTION = r"transact \w+Instances one"
AGAIN = "rewound in vain"


def rewind_registry(stage: Callable[[], Stage], effects: Effects) -> Registry:
    @activity
    async def mark(ctx: ActivityContext, text: str) -> str:
        effects.runs[ctx.idempotency_key] += 1
        await stage().during(text)
        return text

    @activity
    async def mend(ctx: ActivityContext) -> str:
        """Fails as long as it is broken when it begins."""
        effects.runs[ctx.idempotency_key] += 1
        is_broken = effects.broken
        await stage().during("mend")
        if is_broken:
            raise ValueError("it is broken")
        return "mended"

    @orchestrator
    def repairs(ctx: OrchestrationContext) -> Orchestration[str]:
        mended = yield from ctx.call_activity(mend, inline=False)
        return mended

    @orchestrator
    def repairs_step(ctx: OrchestrationContext) -> Orchestration[str]:
        def step() -> str:
            if effects.broken:
                raise ValueError("it is broken")
            return "mended"

        mended = yield from ctx.run("step", step)
        return mended

    @orchestrator
    def repairs_then_waits(ctx: OrchestrationContext) -> Orchestration[str]:
        item = ctx.wait_for_external_event("Item", str)
        yield from ctx.call_activity(mend, inline=False)
        got = yield from item
        return got

    @orchestrator
    def waits_then_repairs(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """The event and the failure may come in one commit."""
        done = yield from ctx.task_all(
            [ctx.wait_for_external_event("Item", str), ctx.call_activity(mend, inline=False)]
        )
        return list(done)

    @orchestrator
    def compensates(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            policy = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))
            mended = yield from ctx.call_activity(mend, inline=False, retry=policy)
        except TaskFailedError:
            yield from ctx.call_activity(mark, "undo", inline=False)
            raise
        return mended

    @orchestrator
    def mother(ctx: OrchestrationContext) -> Orchestration[str]:
        mended = yield from ctx.call_sub_orchestrator(repairs, instance_id="child")
        return mended

    @orchestrator
    def collect(ctx: OrchestrationContext) -> Orchestration[str]:
        item = yield from ctx.wait_for_external_event("Item", str)
        return item

    @orchestrator
    def guardian(ctx: OrchestrationContext) -> Orchestration[str]:
        item = yield from ctx.call_sub_orchestrator(collect, instance_id="child")
        return item

    @orchestrator
    def tells(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(mark, "first", inline=False)
        ctx.send_event("listener", "Told", "once")
        mended = yield from ctx.call_activity(mend, inline=False)
        return mended

    @orchestrator
    def collect_two(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        one = yield from ctx.wait_for_external_event("Told", str)
        two = yield from ctx.wait_for_external_event("Told", str)
        return [one, two]

    @orchestrator
    def guardian_late(ctx: OrchestrationContext) -> Orchestration[str]:
        yield from ctx.call_activity(mark, "first", inline=False)
        item = yield from ctx.call_sub_orchestrator(collect, instance_id="child")
        return item

    @orchestrator
    def maps(ctx: OrchestrationContext) -> Orchestration[list[str]]:
        """Each batch completes with one failed item; together they are too many."""
        found = yield from ctx.map("item", range(4), policy=Tolerate(count=1), max_concurrency=1, batch_size=2)
        return found.values

    @activity
    async def item(ctx: ActivityContext, number: int) -> str:
        effects.runs[ctx.idempotency_key] += 1
        effects.tries[str(number)] += 1
        if effects.broken and number in (0, 3):
            raise ValueError("it is broken")
        return str(number)

    registry = Registry().add(
        maps,
        item,
        tells,
        collect_two,
        guardian_late,
        mark,
        mend,
        repairs,
        repairs_step,
        repairs_then_waits,
        waits_then_repairs,
        compensates,
    )
    return registry.add(mother, collect, guardian)


async def _failed(stage: Stage, orchestrator_: str) -> StagedHost:
    """Instance "one" has failed, by the host that is returned; what failed is mended since."""
    host = stage.host()
    await stage.client.start_new(orchestrator_, "one")
    while await host.take_next():
        continue
    status = (await stage.client.get_status("one")).runtime_status
    assert status is RuntimeStatus.FAILED
    stage.effects.broken = False
    return host


async def _ends_as(stage: Stage, output: object = "mended") -> None:
    await stage.ends_well()
    status = await stage.client.get_status("one")
    assert status.output == output, f"{AGAIN}: {status.runtime_status} {status.failure}"


# ---------------------------------------------------------------- R20, R21, R23: rows


async def a_host_that_lists_the_end_late_does_not_hide_the_run_after_a_rewind(stage: Stage) -> None:
    """A host commits the end and stalls before it tells the catalogue. The instance is rewound, but the door dies
    before it rings. The host goes on; then recovery looks for open instances."""
    host, door = stage.host(), stage.host()
    await stage.client.start_new("repairs", "one")
    await host.handle("control")
    stalled = host.hold(r"transact \w+Catalog")
    turn = await host.begin("work")
    await stalled.reached()
    stage.effects.broken = False
    door.crash_at(SEND_CONTROL)
    with suppress(HostCrashError):
        await door.client.rewind("one")
    stalled.let_go()
    await asyncio.wait([turn])
    await asyncio.sleep(200)
    await stage.host().app.recover()
    await _ends_as(stage)


def _same_key_for_every_run(patch: pytest.MonkeyPatch) -> None:
    always(catalog, "run_of", "")(patch)


async def a_rewind_that_its_door_did_not_finish_is_forgotten(stage: Stage) -> None:
    """The door opens the catalogue row of the next run and dies. Recovery comes at once, and again later."""
    await _failed(stage, "repairs")
    door, host = stage.host(), stage.host()
    door.crash_at(TRANSACTION)
    with suppress(HostCrashError):
        await door.client.rewind("one")
    await host.app.recover()
    assert [status.runtime_status for status in await stage.client.get_status_all()] == [RuntimeStatus.FAILED]
    await asyncio.sleep(1200)
    await host.app.recover()
    left = await stage.world.outside.hub.catalog.read("00", OPEN)
    assert not left, f"listed as open for ever: {left}"
    await stage.ends_well()


def _take_it_for_its_own_run(patch: pytest.MonkeyPatch) -> None:
    async def of_another_run(*_: Any) -> bool:
        return False

    patch.setattr(recovery.Recovery, "_of_another_run", of_another_run)


async def a_purge_that_meets_a_rewind_deletes_all_or_nothing(stage: Stage) -> None:
    """The instance has chunk rows. The door has read it and stalls before its write. A purge deletes the rows around
    the instance's, and stalls in its turn. Both go on."""
    host = await _failed(stage, "repairs")
    stage.effects.broken = True
    await stage.client.rewind("one")  # so that there are chunk rows
    while await host.take_next():
        continue
    stage.effects.broken = False
    door, purger = stage.host(), stage.host()
    writes = door.hold(TRANSACTION)
    rewinding = asyncio.create_task(door.client.rewind("one"))
    await writes.reached()
    deleted = purger.hold(TRANSACTION, "after")
    purging = asyncio.create_task(purger.client.purge_instance_history("one"))
    await deleted.reached()
    writes.let_go()
    await asyncio.wait([rewinding])
    deleted.let_go()
    await asyncio.wait([purging])
    assert isinstance(rewinding.exception(), DurableError), "rewound without its history"
    assert not await stage.client.get_status("one")


def _purge_without_a_claim(patch: pytest.MonkeyPatch) -> None:
    async def purge(self: Instances, instance: Instance) -> None:
        table = self._table  # pyright: ignore[reportPrivateUsage]
        found = await table.read_range(instance.instance_id, "", INSTANCE_KEY, select=["d"])
        await self._delete_all(instance.instance_id, [row.key for row in found.rows])  # pyright: ignore[reportPrivateUsage]
        await table.delete(instance.instance_id, INSTANCE_KEY, instance.etag)

    patch.setattr(Instances, "purge", purge)


# ---------------------------------------------------------------- R22, R24, R25: what is dispatched and what comes back


async def a_stale_host_does_not_drop_the_result_of_what_is_done_again(stage: Stage) -> None:
    """Host 1 records the failure and stays warm; host 2 ends the run. After the rewind host 2 tries again, in vain.
    Host 1 gets the next attempt, of what it knows to be done, and hands the result to its own warm state."""
    first, second = stage.host(), stage.host()
    await stage.client.start_new("compensates", "one")
    await first.handle("control")
    for _ in range(2):
        await first.handle("work")
        await asyncio.sleep(5)
    while await second.take_next():
        continue
    await stage.client.rewind("one", force=True)
    await second.handle("control")
    await second.handle("work")
    await asyncio.sleep(5)
    stage.effects.broken = False
    await first.handle("work")
    await _ends_as(stage)


async def what_a_rewind_decides_is_dispatched_by_whoever_loads_it(stage: Stage) -> None:
    """The door writes the rewind and dies before it rings. Recovery rings, with a bare wake-up."""
    await _failed(stage, "repairs")
    door = stage.host()
    door.crash_at(SEND_CONTROL)
    with suppress(HostCrashError):
        await door.client.rewind("one")
    await asyncio.sleep(200)
    await stage.host().app.recover()
    await _ends_as(stage)


async def a_step_that_is_done_again_is_run(stage: Stage) -> None:
    """A step has failed, of which the history holds no call. No message names it."""
    await _failed(stage, "repairs_step")
    await stage.client.rewind("one")
    await _ends_as(stage)


async def a_late_failure_of_before_does_not_end_the_run_after_a_rewind(stage: Stage) -> None:
    """Host 1 runs the activity for longer than its lease. Host 2 runs it too: it fails, and the run with it. The
    instance is rewound. Then the activity of host 1 fails, and its result arrives before the new one."""
    first, second = stage.host(), stage.host()
    await stage.client.start_new("repairs", "one")
    await second.handle("control")
    running = stage.hold_activity("mend")
    work = await first.begin("work")
    await running.reached()
    await stage.lease_expires()
    await second.handle("work")
    while await second.take_next():
        continue
    stage.effects.broken = False
    await stage.client.rewind("one")
    await second.handle("control")
    running.let_go()
    await asyncio.wait([work])
    await second.handle("control")
    await _ends_as(stage)


def _count_attempts_on(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(rewind_plan, "ATTEMPTS_OF_RUN", 0)
    _take_every_failure(patch)


def _take_every_failure(patch: pytest.MonkeyPatch) -> None:
    def is_of_this_run(*_: Any, **__: Any) -> bool:
        return True

    patch.setattr(OrchestrationExecutor, "is_of_this_run", is_of_this_run)


# ---------------------------------------------------------------- R26, R28: what was sent


async def a_request_to_end_the_failed_run_does_not_end_the_next(stage: Stage) -> None:
    """A client asks to terminate: it reads "running", and stalls. The run fails, and is rewound. Then the client writes
    its request."""
    host, other = stage.host(), stage.host()
    await stage.client.start_new("repairs", "one")
    await host.handle("control")
    stalled = other.hold(r"insert \w+Instances one i")
    request = asyncio.create_task(other.client.terminate("one", "too late"))
    await stalled.reached()
    while await host.take_next():
        continue
    stage.effects.broken = False
    await stage.client.rewind("one")
    stalled.let_go()
    await request
    await _ends_as(stage)


def _take_requests_of_every_run(patch: pytest.MonkeyPatch) -> None:
    def is_for(row: InboxRow, instance: Instance) -> bool:
        return row.execution_id == instance.execution_id

    patch.setattr(new_events, "is_for", is_for)


async def an_event_that_met_the_end_is_there_after_a_rewind(stage: Stage) -> None:
    """A client raises an event: it reads "running", and stalls. The run fails. The client writes the event and rings; a
    host looks, and the instance has ended. It is rewound, and waits for the event."""
    host, other = stage.host(), stage.host()
    await stage.client.start_new("repairs_then_waits", "one")
    await host.handle("control")
    stalled = other.hold(r"insert \w+Instances one i")
    request = asyncio.create_task(other.client.raise_event("one", "Item", "a"))
    await stalled.reached()
    while await host.take_next():
        continue
    stalled.let_go()
    await request
    await host.handle("control")
    stage.effects.broken = False
    await stage.client.rewind("one")
    await _ends_as(stage, "a")


async def what_void_commits_had_brought_is_told_again(stage: Stage) -> None:
    """An event and a failure are recorded by one commit, which the rewind makes void."""
    host, other = stage.host(), stage.host()
    await stage.client.start_new("waits_then_repairs", "one")
    await host.handle("control")
    await other.handle("work")
    await stage.client.raise_event("one", "Item", "a")
    await stage.host().handle("control")
    while await host.take_next():
        continue
    stage.effects.broken = False
    await stage.client.rewind("one")
    await _ends_as(stage, ["a", "mended"])


# ---------------------------------------------------------------- R27, R29: children


async def a_child_is_not_rewound_beside_a_parent_that_runs(stage: Stage) -> None:
    """A child has failed, and the notice is on its way to the parent. The child is to be rewound, alone."""
    host = stage.host()
    await stage.client.start_new("mother", "one")
    await host.handle("control")
    await host.handle("control", '"child"')
    await host.handle("work")
    while not (await stage.client.get_status("child")).is_terminal:
        await host.handle("control", '"child"')
    stage.effects.broken = False
    refused = False
    try:
        await stage.client.rewind("child", force=True)
    except OperationRefusedError:
        refused = True
    assert refused, f"{AGAIN}: the parent fails of a child that goes on"
    await stage.settle()
    await stage.client.rewind("one")
    await _ends_as(stage)


async def a_late_notice_of_a_childs_failure_does_not_end_the_parent_after_a_rewind(stage: Stage) -> None:
    """A host ends a child and stalls before it tells the parent. Its message comes back to another, which tells the
    parent. Both are rewound. The first host goes on."""
    first, second, third = stage.host(), stage.host(), stage.host()
    await stage.client.start_new("mother", "one")
    await second.handle("control")
    await second.handle("control", '"child"')
    await third.handle("work")
    stalled = first.hold(SEND_CONTROL)
    turn = await first.begin("control", '"child"')
    await stalled.reached()
    await stage.lease_expires()
    while await second.take_next():
        continue
    stage.effects.broken = False
    await stage.client.rewind("one")
    await second.handle("control")
    stalled.let_go()
    await asyncio.wait([turn])
    await _ends_as(stage)


async def a_request_of_the_void_run_does_not_end_the_child_of_the_next(stage: Stage) -> None:
    """A parent is terminated with its child; its host stalls before it tells the child. Another host tells it. Both are
    rewound. The first host goes on: it finds a child that runs."""
    first, second = stage.host(), stage.host()
    await stage.client.start_new("guardian", "one")
    await second.handle("control")
    await second.handle("control")
    await stage.client.terminate("one", "by mistake")
    stalled = first.hold(r"get \w+Instances child")
    turn = await first.begin("control")
    await stalled.reached()
    await stage.lease_expires()
    while await second.take_next():
        continue
    assert (await stage.client.get_status("child")).runtime_status is RuntimeStatus.TERMINATED
    await stage.client.rewind("one")
    while await second.take_next():
        continue
    assert (await stage.client.get_status("child")).runtime_status is RuntimeStatus.RUNNING
    stalled.let_go()
    await asyncio.wait([turn])
    while await second.take_next():
        continue
    with suppress(DurableError):
        await stage.client.raise_event("child", "Item", "a")
    await _ends_as(stage, "a")


# ---------------------------------------------------------------- R39: maps


async def failed_items_of_batches_that_have_completed_are_called_again(stage: Stage) -> None:
    """A map has failed of the sum of its batches. The host that takes up its rewind dies after its first commit, and
    another goes on."""
    await _failed(stage, "maps")
    await stage.client.rewind("one")
    host = stage.host()
    host.crash_at(TRANSACTION, "after")
    with suppress(HostCrashError):
        await host.take_next()
    await stage.lease_expires()
    await _ends_as(stage, ["0", "1", "2", "3"])
    assert stage.effects.tries == {"0": 2, "1": 1, "2": 1, "3": 2}


# ---------------------------------------------------------------- R30-R32: forks


async def a_fork_sends_nothing_again_that_its_source_has_sent(stage: Stage) -> None:
    """An orchestration sends an event, and its next call fails. The queues are lost when it has been forked, and all
    messages are sent again."""
    host = stage.host()
    await stage.client.start_new("collect_two", "listener")
    await stage.client.start_new("tells", "one")
    while await host.take_next():
        continue
    stage.effects.broken = False
    await stage.client.fork("one", until_failure=True, new_instance_id="two")
    await stage.client.recover()
    while await host.take_next():
        continue
    with suppress(DurableError):  # it has ended of a second one
        await stage.client.raise_event("listener", "Told", "enough")
    await stage.settle()
    found = await stage.output("listener")
    assert found == ["once", "enough"], f"sent again: {found}"


async def a_fork_does_not_take_the_child_of_its_source(stage: Stage) -> None:
    """A child with an id of its own is open. The instance is to be forked."""
    host = stage.host()
    await stage.client.start_new("guardian_late", "one")
    while await host.take_next():
        continue
    refused = False
    try:
        await stage.client.fork("one", until_task=2, new_instance_id="two")
    except OperationRefusedError:
        refused = True
    assert refused, "the fork fails of an instance that is its source's"


async def a_fork_that_begins_suspended_runs_nothing_before_it_is_resumed(stage: Stage) -> None:
    """An orchestration has failed of its call. Its fork begins suspended. The host that resumes it dies before it sends
    the call; another gets the message."""
    host, second = stage.host(), stage.host()
    await stage.client.start_new("collect_two", "listener")
    await stage.client.start_new("tells", "one")
    while await host.take_next():
        continue
    stage.effects.broken = False
    runs = stage.effects.runs.total()
    await stage.client.fork("one", until_failure=True, new_instance_id="two", suspended=True)
    while await host.take_next():
        continue
    await stage.client.recover()
    while await host.take_next():
        continue
    assert stage.effects.runs.total() == runs, "it ran while it was suspended"
    await stage.client.resume("two")
    host.crash_at(SEND_CONTROL.replace("control", "work"))
    await host.handle("control")
    await stage.lease_expires()
    while await second.take_next():
        continue
    await stage.settle()
    assert (await stage.client.get_status("two")).runtime_status == "Completed"


def _hold_nothing(patch: pytest.MonkeyPatch) -> None:
    always(ExecutionState, "hold", None)(patch)
    always(redispatch, "begins_held", False)(patch)


def _leave_no_commit_out(patch: pytest.MonkeyPatch) -> None:
    def all_commits(_: Instance, segments: Sequence[Segment]) -> Sequence[Segment]:
        return segments

    patch.setattr(redispatch, "own_commits", all_commits)


def _tell_nothing_again(patch: pytest.MonkeyPatch) -> None:
    always(voiding, "told_again", ())(patch)


def _drop_events_too(patch: pytest.MonkeyPatch) -> None:
    always(actor, "is_kept", False)(patch)


PLAYS: Sequence[Play] = [
    Play(
        "R20",
        a_host_that_lists_the_end_late_does_not_hide_the_run_after_a_rewind,
        _same_key_for_every_run,
        f"{LOST}|is listed as",
        rewind_registry,
    ),
    Play(
        "R21",
        a_rewind_that_its_door_did_not_finish_is_forgotten,
        _take_it_for_its_own_run,
        "listed as open for ever",
        rewind_registry,
    ),
    Play(
        "R22",
        a_stale_host_does_not_drop_the_result_of_what_is_done_again,
        always(freshness, "is_of_later_run", False),
        LOST,
        rewind_registry,
    ),
    Play(
        "R23",
        a_purge_that_meets_a_rewind_deletes_all_or_nothing,
        _purge_without_a_claim,
        "rewound without its history",
        rewind_registry,
    ),
    Play(
        "R24",
        what_a_rewind_decides_is_dispatched_by_whoever_loads_it,
        always(actor, "rewind_owed", None),
        LOST,
        rewind_registry,
    ),
    Play(
        "R24",
        a_step_that_is_done_again_is_run,
        always(inline_steps, "is_called_again", False),
        LOST,
        rewind_registry,
    ),
    Play(
        "R25",
        a_late_failure_of_before_does_not_end_the_run_after_a_rewind,
        _count_attempts_on,
        AGAIN,
        rewind_registry,
    ),
    Play(
        "R25",
        a_late_notice_of_a_childs_failure_does_not_end_the_parent_after_a_rewind,
        _take_every_failure,
        AGAIN,
        rewind_registry,
    ),
    Play(
        "R26",
        a_request_to_end_the_failed_run_does_not_end_the_next,
        _take_requests_of_every_run,
        AGAIN,
        rewind_registry,
    ),
    Play("R26", an_event_that_met_the_end_is_there_after_a_rewind, _drop_events_too, LOST, rewind_registry),
    Play(
        "R27",
        a_child_is_not_rewound_beside_a_parent_that_runs,
        always(rewind, "may_still_hear", False),
        AGAIN,
        rewind_registry,
    ),
    Play("R28", what_void_commits_had_brought_is_told_again, _tell_nothing_again, LOST, rewind_registry),
    Play(
        "R30",
        a_fork_sends_nothing_again_that_its_source_has_sent,
        _leave_no_commit_out,
        "sent again",
        rewind_registry,
    ),
    Play(
        "R31",
        a_fork_does_not_take_the_child_of_its_source,
        always(fork, "collisions", []),
        "the fork fails",
        rewind_registry,
    ),
    Play(
        "R32",
        a_fork_that_begins_suspended_runs_nothing_before_it_is_resumed,
        _hold_nothing,
        "while it was suspended",
        rewind_registry,
    ),
    Play(
        "R29",
        a_request_of_the_void_run_does_not_end_the_child_of_the_next,
        always(children, "is_of_void_run", False),
        AGAIN,
        rewind_registry,
    ),
    Play(
        "R39",
        failed_items_of_batches_that_have_completed_are_called_again,
        always(MapTask, "rewound", None),
        AGAIN,
        rewind_registry,
    ),
]
