"""Interleavings about turns: what is read before it is believed, what a redelivery must do again (R1-R7, R16-R19)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from durable_core.engine.events import TaskScheduled
from durable_core.engine.executor import OrchestrationExecutor, Turn
from durable_core.hub.instance_row import Instance
from durable_core.hub.messages import ControlMessage, WorkMessage
from durable_core.runtime.turn import actor, after_end, cannot_proceed, inline_activity, redispatch
from durable_core.runtime.turn.actor import Actor
from durable_core.runtime.turn.delivery import Delivery
from durable_core.runtime.turn.redispatch import NOTHING, Redispatch, to_redispatch
from durable_core.runtime.worker import Worker

from .plays import Play, always
from .stage import Stage

READ = r"read \w+ one i"
COMMIT = r"(merge|replace|transact) \w+Instances one"
SEND_WORK = r"send \S+-work "
SEND_CONTROL = r"send \S+-control "
LOST = "lost: no message is left"


# ---------------------------------------------------------------- R1 - R4


async def a_result_that_the_warm_state_never_heard_of_is_not_dropped(stage: Stage) -> None:
    """Host 1 schedules A through the queue and keeps its warm state. Host 2 runs A, commits the result, and sends B.
    Host 1 runs B, and hands the result to its own warm state, in which there is no B."""
    await stage.client.start_new("steps", "one", ["a", "b"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await second.handle("work")
    await second.handle("control")
    await first.handle("work")
    await stage.ends_well(exactly_once=True)


async def an_event_is_seen_by_a_host_that_is_warm(stage: Stage) -> None:
    """A host waits, warm. A client writes an inbox row and sends a bare wake-up."""
    await stage.client.start_new("collect", "one", 1)
    host = stage.host()
    await host.handle("control")
    await stage.client.raise_event("one", "Item", "a")
    await host.handle("control")
    await stage.ends_well()


async def a_reminder_of_what_another_host_has_recorded_is_not_dropped(stage: Stage) -> None:
    """Host 1 schedules A and keeps its warm state. Host 2 runs A, which fails, and records when it is to be tried
    again: nothing that is in any history. The reminder of that time reaches host 1."""
    await stage.client.start_new("insists", "one")
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await second.handle("work")
    await second.handle("control")
    await asyncio.sleep(20 * 60)
    await second.app.recover()  # arms what is due within ten minutes
    await asyncio.sleep(6 * 60)
    await first.handle("control")
    await stage.ends_well()


async def a_wake_up_that_comes_during_a_turn_gets_a_look_of_its_own(stage: Stage) -> None:
    """A host has read the inbox and not committed yet. An event is written and its wake-up sent; it comes to the
    same host, and is pooled behind the turn that has read already."""
    await stage.client.start_new("collect", "one", 1)
    host = stage.host()
    has_read = host.hold(READ, "after")
    turn = await host.begin("control")
    await has_read.reached()
    await stage.client.raise_event("one", "Item", "a")
    pooled = await host.begin("control")
    await asyncio.sleep(1)
    has_read.let_go()
    await asyncio.wait([turn, pooled])
    await stage.ends_well()


def _release_what_comes_during_a_turn(patch: pytest.MonkeyPatch) -> None:
    pool = Actor.deliver

    def deliver(self: Actor, delivery: Delivery) -> None:
        if self.is_turning and delivery.is_bare:
            delivery.release()  # the turn under way looks anyhow
        else:
            pool(self, delivery)

    patch.setattr(Actor, "deliver", deliver)


async def an_activity_that_runs_inline_is_not_run_by_a_host_that_finds_it_open(stage: Stage) -> None:
    """Host 1 schedules A and runs it inline. A wake-up for something else reaches host 2, which loads an instance
    that waits for A and nothing else."""
    await stage.client.start_new("inline_steps", "one", ["a"])
    await stage.client.raise_event("one", "Unheard", "x")
    first, second = stage.host(), stage.host()
    running = stage.hold_activity("a")
    turn = await first.begin("control")
    await running.reached()
    await second.handle("control")
    running.let_go()
    await asyncio.wait([turn])
    await stage.ends_well(exactly_once=True)


def _take_any_open_activity(patch: pytest.MonkeyPatch) -> None:
    def lone(_: Turn, live: OrchestrationExecutor) -> TaskScheduled | None:
        events = [pending.event for pending in live.pending.values()]
        return events[0] if len(events) == 1 and isinstance(events[0], TaskScheduled) else None

    patch.setattr(actor, "lone_activity", lone)


# ---------------------------------------------------------------- R5


async def what_a_dead_host_committed_and_did_not_dispatch_is_dispatched(stage: Stage) -> None:
    """A host commits "A is scheduled" and dies before it sends A. Its wake-up comes back, to another host."""
    await stage.client.start_new("steps", "one", ["a"])
    first, second = stage.host(), stage.host()
    first.crash_at(SEND_WORK)
    await first.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.ends_well()


async def a_redelivered_message_counts_as_one_behind_a_fresh_one_too(stage: Stage) -> None:
    """A host commits and dies before dispatch. Host 2 is in a turn when two wake-ups are pooled: first a fresh one,
    then the one that has come back."""
    await stage.client.start_new("steps", "one", ["a"])
    first, second = stage.host(), stage.host()
    first.crash_at(SEND_WORK)
    await first.handle("control")
    await asyncio.sleep(25)
    for item in ("x", "y"):
        await stage.client.raise_event("one", "Item", item)
    has_read = second.hold(READ, "after")
    turns = [await second.begin("control")]
    await has_read.reached()
    turns.append(await second.begin("control"))
    await asyncio.sleep(6)
    turns.append(await second.begin("control"))
    await asyncio.sleep(1)
    has_read.let_go()
    await asyncio.wait(turns)
    await stage.ends_well()


def _ask_only_the_first(patch: pytest.MonkeyPatch) -> None:
    def asked(
        instance: Instance, segments: Sequence[Any], batch: Sequence[Delivery], *more: Any, **kw: Any
    ) -> Redispatch:
        return to_redispatch(instance, segments, batch[:1], *more, **kw)

    patch.setattr(actor, "to_redispatch", asked)


async def a_redelivered_message_is_not_judged_by_a_warm_state(stage: Stage) -> None:
    """Host 2 records the result of A, and cannot delete its message. It comes back to host 3, which finds A recorded
    and an event in the inbox: it commits the event with the decision to run B, and dies before it sends B. The event's
    own wake-up finds nothing to do. The result comes back once more, to host 2, whose warm state knows A as done."""
    await stage.client.start_new("event_between", "one")
    first, second, third, fourth = (stage.host() for _ in range(4))
    await first.handle("control")
    await second.handle("work")
    cannot_delete = second.hold(r"delete \S+-control")
    await second.begin("control")
    await cannot_delete.reached()
    await stage.lease_expires()
    await stage.client.raise_event("one", "Item", "x")
    third.crash_at(SEND_WORK)
    await third.handle("control")
    await fourth.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.ends_well()


async def a_redelivery_repeats_no_more_than_its_own_turn_may_have_left(stage: Stage) -> None:
    """Six activities are under way. The result of one is recorded, and its message comes back: the others are not
    sent again, or every one of them would do the same in its turn."""
    await stage.client.start_new("fan", "one", list("abcdef"))
    first, second, third = stage.host(), stage.host(), stage.host()
    await first.handle("control")
    await second.handle("work")
    first.crash_at(r"delete \S+-control")
    await first.handle("control")
    await stage.lease_expires()
    await third.handle("control")
    again = [operation for operation in third.plan.operations if "-work" in operation]
    assert not again, f"repeated, though it is under way: {again}"
    await stage.ends_well(exactly_once=True)


def _repeat_everything(patch: pytest.MonkeyPatch) -> None:
    def everything(instance: Instance, _: object, batch: Sequence[Delivery], *more: Any, **kw: Any) -> Redispatch:
        return NOTHING.with_later_than(instance.first - 1 if any(delivery.redelivered for delivery in batch) else None)

    patch.setattr(actor, "to_redispatch", everything)


# ---------------------------------------------------------------- R6, R7


async def a_message_that_takes_anothers_place_is_a_redelivery_as_that_was(stage: Stage) -> None:
    """A host commits and dies before dispatch. The wake-up comes back to host 2, which stalls with it until it may
    no longer commit, and sends it on. The event that it would have committed is dealt with by host 3."""
    await stage.client.start_new("steps", "one", ["a"])
    first, second, third = stage.host(), stage.host(), stage.host()
    first.crash_at(SEND_WORK)
    await first.handle("control")
    await stage.lease_expires()
    await stage.client.raise_event("one", "Item", "x")
    has_read = second.hold(READ, "after")
    turn = await second.begin("control")
    await has_read.reached()
    await third.handle("control")
    await asyncio.sleep(20)
    has_read.let_go()
    await asyncio.wait([turn])
    await stage.ends_well()


def _send_a_bare_wake_up_on(patch: pytest.MonkeyPatch) -> None:
    def bare(delivery: Delivery, since: float | None, *, is_owed: bool) -> ControlMessage:
        message = delivery.message
        return ControlMessage(instance_id=message.instance_id, execution_id=message.execution_id)

    patch.setattr(cannot_proceed, "handed_over", bare)


async def a_result_that_is_sent_on_keeps_its_content(stage: Stage) -> None:
    """A host stalls with the result of A until it may no longer commit, and sends it on."""
    await stage.client.start_new("steps", "one", ["a"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await second.handle("work")
    has_read = second.hold(READ, "after")
    turn = await second.begin("control")
    await has_read.reached()
    await asyncio.sleep(20)
    has_read.let_go()
    await asyncio.wait([turn])
    await stage.ends_well(exactly_once=True)


async def what_a_redispatch_sends_brings_later_commits_to_be_dispatched(stage: Stage) -> None:
    """Host 1 runs A inline. All queues are purged, and recovery wakes it up: host 2 sends A once more. Host 1 commits
    the result of A, with the decision to call B, and dies. Only the second A leads to a dispatch of that commit."""
    await stage.client.start_new("inline_steps", "one", ["a", "b"])
    first, second = stage.host(), stage.host()
    running = stage.hold_activity("a")
    turn = await first.begin("control")
    await running.reached()
    for name in stage.world.outside.hub.names.queues:
        await stage.world.storage.queue(name).clear()
    await stage.world.outside.recover(full=True)
    await second.handle("control")
    first.crash_at(COMMIT, "after")
    running.let_go()
    await asyncio.wait([turn])
    await stage.ends_well()


async def a_commit_that_a_stalled_host_made_late_is_dispatched(stage: Stage) -> None:
    """Host 1 runs A inline; its lease is checked, and its write stalls. The message comes back to host 2, which sends
    A once more. The write of host 1 lands, decides that B is to run, and host 1 dies. The second A is the witness."""
    await stage.client.start_new("inline_steps", "one", ["a", "b"])
    await _stall_in_the_commit(stage, "a")


async def a_retry_that_a_stalled_host_recorded_late_is_sent(stage: Stage) -> None:
    """The same with an activity that fails: what host 1 records late is no end of A, but when it is tried again."""
    await stage.client.start_new("tries_again", "one")
    await _stall_in_the_commit(stage, "fail_once")


async def _stall_in_the_commit(stage: Stage, activity: str) -> None:
    first, second = stage.host(), stage.host()
    running = stage.hold_activity(activity)
    turn = await first.begin("control")
    await running.reached()
    writes = first.hold(COMMIT, "before")
    first.crash_at(COMMIT, "after")
    running.let_go()
    await writes.reached()
    await stage.lease_expires()
    await second.handle("control")
    writes.let_go()
    await asyncio.wait([turn])
    await stage.ends_well()


async def a_window_is_not_sent_again_by_its_own_results(stage: Stage) -> None:
    """A host sends the first two calls of a window and dies. Its message comes back, and host 2 sends both again. The
    results of these copies decide what is called next, which no other host can have left undispatched."""
    texts = [f"call {number}" for number in range(12)]
    await stage.client.start_new("window", "one", texts)
    first, second = stage.host(), stage.host()
    first.crash_at(r"delete \S+-control")
    await first.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.settle()
    twice = sum(runs - 1 for runs in stage.effects.runs.values())
    assert twice <= 2, f"{twice} calls ran again, of 2 that were in flight at the crash"
    await stage.ends_well()


def _let_every_copy_ask_for_all_that_is_later(patch: pytest.MonkeyPatch) -> None:
    def asked(
        instance: Instance, segments: Sequence[Any], batch: Sequence[Delivery], *more: Any, **kw: Any
    ) -> Redispatch:
        found = to_redispatch(instance, segments, batch, *more, **kw)
        for delivery in batch:
            found = found.with_later_than(delivery.message.after)
        return found

    patch.setattr(actor, "to_redispatch", asked)


def _forget_retries_that_are_no_news(patch: pytest.MonkeyPatch) -> None:
    def all_of_them(message: ControlMessage, _: Instance) -> set[int]:
        return {outcome.task_id for outcome in message.outcomes}

    patch.setattr(redispatch, "news_in", all_of_them)


async def the_end_is_listed_though_the_host_that_committed_it_dies(stage: Stage) -> None:
    """A host commits the end and dies before the catalogue hears of it. Its message comes back to an ended instance."""
    await stage.client.start_new("inline_steps", "one", ["a"])
    first, second = stage.host(), stage.host()
    first.crash_at(r"transact \w+Catalog")
    await first.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.ends_well()


async def a_parent_hears_of_its_childs_end_though_the_host_dies(stage: Stage) -> None:
    """A host commits the end of a child and dies before it tells the parent."""
    await stage.client.start_new("parent", "one")
    first, second, third = stage.host(), stage.host(), stage.host()
    await first.handle("control")
    await first.handle("control")
    await second.handle("work")
    third.crash_at(SEND_CONTROL)
    await third.handle("control")
    await stage.lease_expires()
    await second.handle("control")
    await stage.ends_well()


async def what_an_ended_instance_owes_to_others_is_done_before_it_is_purged(stage: Stage) -> None:
    """A host commits an end that sends an event and starts an orchestration, and dies before it does. The instance is
    purged before the message of that host comes back, and then finds nothing."""
    await _commit_and_die(stage, "announces")
    assert await stage.client.purge_instance_history("one") == 1
    await _others_have_heard(stage)


async def what_an_ended_instance_owes_to_others_is_done_before_it_is_started_again(stage: Stage) -> None:
    """The same, and a start takes the ended instance's place."""
    await _commit_and_die(stage, "announces")
    await stage.client.start_new("collect", "one", 0, if_exists="restart_if_done")
    await _others_have_heard(stage)


async def what_a_commit_owes_to_others_is_done_before_another_host_ends_the_instance(stage: Stage) -> None:
    """A host commits a turn that sends an event and starts an orchestration, and dies before it does. An event leads a
    second host to the end of the instance. It is purged before the message of the first comes back."""
    await _commit_and_die(stage, "announces_first")
    await stage.client.raise_event("one", "Enough", "yes")
    await stage.host().handle("control")
    assert await stage.client.purge_instance_history("one") == 1
    await _others_have_heard(stage)


def _end_without_a_look(patch: pytest.MonkeyPatch) -> None:
    def nothing_undispatched(*_: Any) -> None:
        return None

    patch.setattr(actor.Actor, "_undispatched_after", nothing_undispatched)


async def _commit_and_die(stage: Stage, orchestrator: str) -> None:
    """A host dies with the commit of instance "one" that sends an event to "two" and starts "three"."""
    host, dying = stage.host(), stage.host()
    await stage.client.start_new("collect", "two", 1)
    await host.handle("control")
    await stage.client.start_new(orchestrator, "one")
    await host.handle("control")
    await stage.client.raise_event("one", "Item", "news")
    dying.crash_at(COMMIT, "after")
    await dying.handle("control")


async def _others_have_heard(stage: Stage) -> None:
    await stage.lease_expires()
    await stage.ends_well()
    outputs = [await stage.output(name) for name in ("two", "three")]
    assert outputs == [["news"], ["of three"]], f"lost with the purged instance: {outputs}"


def _purge_without_a_look(patch: pytest.MonkeyPatch) -> None:
    async def is_end_undispatched(*_: Any) -> bool:
        return False

    patch.setattr(after_end, "is_end_undispatched", is_end_undispatched)


# ---------------------------------------------------------------- turns of hosts that run a lone call


async def what_follows_a_lone_call_is_sent_though_the_host_that_ran_its_turn_dies(stage: Stage) -> None:
    """Host 2 runs A, which is all that the instance waits for, the turns that follow, and B to D, which they call. It
    dies before it sends E. No control message knows of that: the work message of A comes back."""
    await stage.client.start_new("steps", "one", list("abcdef"))
    first, second = stage.host(), stage.host()
    await first.handle("control")
    second.crash_at(SEND_WORK)
    await second.handle("work")
    await stage.lease_expires()
    await stage.ends_well(exactly_once=True)


async def a_lone_call_does_not_run_again_though_the_host_that_ran_its_turn_dies(stage: Stage) -> None:
    """Host 2 runs A, records its result, and dies before it knows that the commit is written."""
    await stage.client.start_new("steps", "one", ["a", "b"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    second.crash_at(COMMIT, "after")
    await second.handle("work")
    await stage.lease_expires()
    await stage.ends_well(exactly_once=True)


async def a_turn_after_a_lone_call_is_seen_by_the_host_that_was_warm(stage: Stage) -> None:
    """Host 1 calls A and stays warm. Host 2 runs A and the next turn, which calls B, and then B, with the turn that
    waits for an event. The wake-up of the event comes to host 1."""
    await stage.client.start_new("steps_and_event", "one", ["a", "b"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    await second.handle("work")
    await stage.client.raise_event("one", "Item", "x")
    await first.handle("control")
    await stage.ends_well(exactly_once=True)


async def a_call_that_runs_in_the_place_of_its_message_comes_back_with_that_of_the_first(stage: Stage) -> None:
    """Host 2 runs A and the next turn, which calls B, and runs B, for which there is no message. It dies with B."""
    await stage.client.start_new("steps", "one", ["a", "b", "c"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    running = stage.hold_activity("b")
    await second.begin("work")
    await running.reached()
    await asyncio.sleep(1)
    await second.stop()
    await stage.lease_expires()
    await stage.ends_well()


async def a_call_that_runs_in_the_place_of_its_message_is_not_run_by_a_host_that_finds_it_open(stage: Stage) -> None:
    """Host 2 runs A and the next turn, which calls B, and runs B. The wake-up of an event nobody waits for reaches
    host 1, which was warm, and loads an instance that waits for B and nothing else."""
    await stage.client.start_new("steps", "one", ["a", "b"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    running = stage.hold_activity("b")
    turn = await second.begin("work")
    await running.reached()
    await stage.client.raise_event("one", "Unheard", "x")
    await first.handle("control")
    running.let_go()
    await asyncio.wait([turn])
    await stage.ends_well(exactly_once=True)


def _run_any_open_activity_at_work(patch: pytest.MonkeyPatch) -> None:
    """Whoever finds a call open after the first turn runs it, whether or not it runs inline elsewhere."""

    def is_not_first(_: object, live: OrchestrationExecutor, __: object) -> bool:
        return len(live.history) > 1

    _take_any_open_activity(patch)
    patch.setattr(inline_activity, "_follows_at_work", is_not_first)


# ---------------------------------------------------------------- R16 - R18


async def a_host_whose_messages_may_be_gone_commits_nothing(stage: Stage) -> None:
    """A host stalls with the result of A. Host 2 gets it, records it, and deletes it. An event is written, and its
    sender is about to send the wake-up. The first host continues: it finds A recorded and the event new. It commits the
    event, dies before dispatch, and no message is left for a redelivery. The sender's wake-up finds nothing to do."""
    await stage.client.start_new("event_between", "one")
    first, second, third = stage.host(), stage.host(), stage.host()
    await second.handle("control")
    await third.handle("work")
    stalled = first.hold(READ)
    turn = await first.begin("control")
    await stalled.reached()
    await stage.lease_expires()
    await second.handle("control")
    about_to_ring = stage.outside.hold(SEND_CONTROL)
    sender = asyncio.create_task(stage.client.raise_event("one", "Item", "x"))
    await about_to_ring.reached()
    first.crash_at(SEND_WORK)
    stalled.let_go()
    await asyncio.wait([turn])
    await first.stop()
    about_to_ring.let_go()
    await sender
    await stage.ends_well()


async def a_host_that_dies_during_an_inline_activity_leaves_a_message_that_comes_back(stage: Stage) -> None:
    """A host commits "A is scheduled", runs A inline, and dies with it."""
    await stage.client.start_new("inline_steps", "one", ["a"])
    host = stage.host()
    running = stage.hold_activity("a")
    await host.begin("control")
    await running.reached()
    await asyncio.sleep(1)
    await host.stop()
    await stage.lease_expires()
    await stage.ends_well()


def _release_before_the_inline_activity(patch: pytest.MonkeyPatch) -> None:
    def take(batch: Sequence[Delivery]) -> list[asyncio.Future[None]]:
        for delivery in batch:
            delivery.release()
        return []

    patch.setattr(inline_activity, "take_callers", take)


async def an_activity_whose_result_is_recorded_does_not_run_again(stage: Stage) -> None:
    """A host runs A, sends the result, and dies before it deletes the work message. The result is recorded; then the
    work message comes back."""
    await stage.client.start_new("steps", "one", ["a"])
    first, second = stage.host(), stage.host()
    await first.handle("control")
    second.crash_at(r"delete \S+-work")
    await second.handle("work")
    await first.handle("control")
    await stage.lease_expires()
    await first.handle("work")
    await stage.ends_well(exactly_once=True)


def _run_all_again(patch: pytest.MonkeyPatch) -> None:
    async def all_of(_: Worker, message: WorkMessage) -> tuple[list[Any], frozenset[tuple[int, int]]]:
        return list(message.calls), frozenset()

    patch.setattr(Worker, "_not_done", all_of)


PLAYS = [
    Play(
        "R1", a_result_that_the_warm_state_never_heard_of_is_not_dropped, always(actor, "brings_unknown", False), LOST
    ),
    Play("R2", an_event_is_seen_by_a_host_that_is_warm, always(actor, "needs_row_check", False), LOST),
    Play("R2", a_reminder_of_what_another_host_has_recorded_is_not_dropped, always(actor, "is_stale", False), LOST),
    Play("R3", a_wake_up_that_comes_during_a_turn_gets_a_look_of_its_own, _release_what_comes_during_a_turn, LOST),
    Play(
        "R4",
        an_activity_that_runs_inline_is_not_run_by_a_host_that_finds_it_open,
        _take_any_open_activity,
        "run more than once",
    ),
    Play(
        "R5",
        what_a_dead_host_committed_and_did_not_dispatch_is_dispatched,
        always(actor, "to_redispatch", NOTHING),
        LOST,
    ),
    Play("R5", a_redelivered_message_counts_as_one_behind_a_fresh_one_too, _ask_only_the_first, LOST),
    Play("R5", a_redelivered_message_is_not_judged_by_a_warm_state, always(actor, "must_load_cold", False), LOST),
    Play(
        "R5",
        a_redelivery_repeats_no_more_than_its_own_turn_may_have_left,
        _repeat_everything,
        "though it is under way",
    ),
    Play("R6", a_message_that_takes_anothers_place_is_a_redelivery_as_that_was, _send_a_bare_wake_up_on, LOST),
    Play("R6", a_result_that_is_sent_on_keeps_its_content, _send_a_bare_wake_up_on, LOST),
    Play(
        "R6",
        what_a_redispatch_sends_brings_later_commits_to_be_dispatched,
        always(actor, "covered", None),
        LOST,
    ),
    Play("R6", a_commit_that_a_stalled_host_made_late_is_dispatched, always(actor, "covered", None), LOST),
    Play("R6", a_retry_that_a_stalled_host_recorded_late_is_sent, _forget_retries_that_are_no_news, LOST),
    Play(
        "R19",
        a_window_is_not_sent_again_by_its_own_results,
        _let_every_copy_ask_for_all_that_is_later,
        "a storm|ran again",
    ),
    Play(
        "R7",
        the_end_is_listed_though_the_host_that_committed_it_dies,
        always(actor, "redispatch_after_end", None),
        "still listed as open|these wait for ever",
    ),
    Play(
        "R7", a_parent_hears_of_its_childs_end_though_the_host_dies, always(actor, "redispatch_after_end", None), LOST
    ),
    Play("R7", what_an_ended_instance_owes_to_others_is_done_before_it_is_purged, _purge_without_a_look, LOST),
    Play("R7", what_an_ended_instance_owes_to_others_is_done_before_it_is_started_again, _purge_without_a_look, LOST),
    Play("R7", what_a_commit_owes_to_others_is_done_before_another_host_ends_the_instance, _end_without_a_look, LOST),
    Play("R16", a_host_whose_messages_may_be_gone_commits_nothing, always(actor, "may_be_lost", False), LOST),
    Play(
        "R17",
        a_host_that_dies_during_an_inline_activity_leaves_a_message_that_comes_back,
        _release_before_the_inline_activity,
        LOST,
    ),
    Play("R18", an_activity_whose_result_is_recorded_does_not_run_again, _run_all_again, "run more than once"),
    Play(
        "R5",
        what_follows_a_lone_call_is_sent_though_the_host_that_ran_its_turn_dies,
        always(actor, "to_redispatch", NOTHING),
        LOST,
        turns_at_work=True,
    ),
    Play(
        "R18",
        a_lone_call_does_not_run_again_though_the_host_that_ran_its_turn_dies,
        _run_all_again,
        "run more than once",
        turns_at_work=True,
    ),
    Play(
        "R2",
        a_turn_after_a_lone_call_is_seen_by_the_host_that_was_warm,
        always(actor, "needs_row_check", False),
        LOST,
        turns_at_work=True,
    ),
    Play(
        "R17",
        a_call_that_runs_in_the_place_of_its_message_comes_back_with_that_of_the_first,
        _release_before_the_inline_activity,
        LOST,
        turns_at_work=True,
    ),
    Play(
        "R4",
        a_call_that_runs_in_the_place_of_its_message_is_not_run_by_a_host_that_finds_it_open,
        _run_any_open_activity_at_work,
        "run more than once",
        turns_at_work=True,
    ),
]
