"""Why an instance does not go on: each cause in a situation that is really so, with the app's code and without it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    activity,
    orchestrator,
)
from durable_core.operate.explain.finding import NOTHING
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World

from .explained import HOSTILE, HOUR, MINUTES, Look, Story, check, client_without_code, stop_hosts, tell
from .test_holes import Bomb

EIGHT = RetryPolicy(max_attempts=8, first_interval=timedelta(minutes=8), backoff=1.0)


@activity
def fine(_: Any) -> str:
    return "fine"


@activity
def broken(ctx: ActivityContext, _: Any) -> None:
    raise ValueError(f"the gateway says no {HOSTILE}")


@activity
async def slow(_: Any) -> None:
    await asyncio.sleep(4 * HOUR)


@activity(inline=False)
async def slow_elsewhere(_: Any) -> None:
    await asyncio.sleep(20 * HOUR)


@activity(inline=False)
async def one_is_slow(number: int) -> int:
    await asyncio.sleep(20 * HOUR if number == 7 else 1)
    return number


@orchestrator
def asks(ctx: OrchestrationContext, name: str) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event(name))


@orchestrator
def retries(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(broken, None, retry=EIGHT)


@orchestrator
def fails(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(fine, None)
    yield from ctx.call_activity(broken, None)


@orchestrator
def sleeps(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(timedelta(hours=3))


@orchestrator
def works(ctx: OrchestrationContext, where: str) -> Orchestration[None]:
    yield from ctx.call_activity(slow if where == "inline" else slow_elsewhere, None)


@orchestrator
def fans_out(ctx: OrchestrationContext, width: int) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_activity(one_is_slow, number) for number in range(width)])


@orchestrator
def fans_out_children(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_sub_orchestrator(asks, f"Go{n}", f"part {n}") for n in range(3)])


@orchestrator
def waits_for_change(ctx: OrchestrationContext) -> Orchestration[None]:
    approved: list[str] = []
    ctx.on_event("approve", approved.append)
    yield from ctx.wait_condition(lambda: len(approved) == 2)


@orchestrator
def waits_for_nothing(ctx: OrchestrationContext) -> Orchestration[None]:
    paid = yield from ctx.call_activity(fine, None)
    yield from ctx.wait_condition(lambda: paid == "twice")


@orchestrator
def several(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_any([ctx.wait_for_external_event("Delivered"), ctx.create_timer(timedelta(days=14))])


@orchestrator
def middle(ctx: OrchestrationContext, below: tuple[str, Any]) -> Orchestration[Any]:
    return (yield from ctx.call_sub_orchestrator(below[0], below[1], "low"))


@orchestrator
def top(ctx: OrchestrationContext, below: tuple[str, Any]) -> Orchestration[Any]:
    return (yield from ctx.call_sub_orchestrator(middle, below, "mid"))


@orchestrator
def cleans_up(ctx: OrchestrationContext) -> Orchestration[None]:
    try:
        yield from ctx.wait_for_external_event("never")
    finally:
        yield from ctx.call_activity(slow_elsewhere, None)


ALL = (
    fine, broken, slow, slow_elsewhere, one_is_slow, asks, retries, fails, sleeps, works, fans_out, fans_out_children,
    waits_for_change, waits_for_nothing, several, middle, top, cleans_up,
)  # fmt: skip


def registry(*leave_out: object) -> Registry:
    return Registry().add(*(each for each in ALL if each not in leave_out))


@pytest.fixture(params=["with the code", "from storage alone"])
def has_code(request: pytest.FixtureRequest) -> bool:
    return request.param == "with the code"


def play(story: Story, has_code: bool, world: World | None = None) -> None:
    tell(story, has_code, world or World(registry()))


# ---------------------------------------------------------------- there, begun, ended


def test_no_instance(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        found = await look("o-1")
        assert (found.runtime_status, found.cause) == (None, "no-instance")
        assert "There is no instance 'o-1'" in found.sentence

    play(story, has_code)


def test_a_start_whose_host_died_after_the_catalogue_row(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        plan = FaultPlan()
        dying = world.add_host(plan=plan)
        plan.strikes[len(plan.operations)] = Fault.CRASH_AFTER
        with pytest.raises(HostCrashError):
            await dying.app.client.start_new("sleeps", "o-1")
        await asyncio.sleep(2 * MINUTES)
        found = await look("o-1")
        assert found.cause == "start-interrupted"
        assert "only its entry in the catalogue" in found.sentence
        assert "recovery removes the entry at 00:15 UTC (in 13 min)" in found.action
        await asyncio.sleep(30 * MINUTES)
        assert (await look("o-1")).cause == "no-instance"

    play(story, has_code, World(registry(), hosts=0))


def test_a_delayed_start(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("sleeps", "one", start_at=world.loop.now() + timedelta(hours=3))
        found = await look("one")
        assert found.cause == "delayed-start"
        assert found.sentence == "It begins at 03:00 UTC (in 3 h), as its starter asked."
        assert found.action.startswith(NOTHING)

    play(story, has_code)


def test_pending_and_no_host(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("sleeps", "one")
        found = await look("one")
        assert found.cause == "pending"
        assert "about 1 in queue durable-control" in found.sentence
        await asyncio.sleep(12 * MINUTES)
        found = await look("one")
        assert found.cause == "no-host"
        assert "at 00:00 UTC (12 min ago), and no host has taken it" in found.sentence
        assert "See that a host runs" in found.action

    play(story, has_code, World(registry(), hosts=0))


def test_failed_names_the_task_the_line_and_what_still_runs(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("fails", "one")
        await world.client.wait_for_completion("one", HOUR)
        found = await look("one")
        assert found.cause == "failed"
        assert "activity 'broken' (task 2, faults/test_explain.py:" in found.sentence
        assert ") failed: ValueError: the gateway says no" in found.sentence
        assert found.details["taskId"] == 2
        assert "restart one" in found.action
        assert found.waits == ()

    play(story, has_code)


def test_a_failure_is_followed_down_to_the_call_that_failed(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("fails", None))
        await world.client.wait_for_completion("one", HOUR)
        found = await look("one")
        assert [link.instance_id for link in found.chain] == ["mid", "low"]
        assert "sub-orchestration 'middle' (task 1, faults/test_explain.py:" in found.sentence
        assert found.sentence.count("the gateway says no") == 1
        assert "activity 'broken' (task 2, faults/test_explain.py:" in found.chain[-1].sentence
        assert "`durable_core rewind one`" in found.action, "its children are rewound with it"
        assert found.details["root"] == {"instanceId": "low", "cause": "failed"}

    play(story, has_code)


def test_terminated_while_its_child_runs_on(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("middle", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await world.client.terminate("one", "fraud " + HOSTILE, recursive=False)
        await world.client.wait_for_completion("one", HOUR)
        found = await look("one")
        assert found.cause == "terminated"
        assert "'fraud de [31mliver" in found.sentence
        assert "Its sub-orchestration still runs: 'low'." in found.sentence

    play(story, has_code)


def test_completed(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one", "Go")
        await world.client.raise_event("one", "Go")
        await world.client.wait_for_completion("one", HOUR)
        found = await look("one")
        assert (found.cause, found.chain) == ("completed", ())
        assert found.action == f"{NOTHING}it has ended."

    play(story, has_code)


def test_suspended_says_since_when_why_and_what_is_held(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one", "Go")
        await asyncio.sleep(MINUTES)
        await world.client.suspend("one", "fraud check")
        await asyncio.sleep(MINUTES)
        assert "Nothing has come for it" in (await look("one")).sentence
        await world.client.raise_event("one", "Go")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "suspended"
        assert "since 00:01 UTC (11 min): 'fraud check'. It holds 1 event." in found.sentence
        assert "`durable_core resume one`" in found.action

    play(story, has_code)


# ---------------------------------------------------------------- what it waits for


def test_an_event_and_one_that_came_under_another_name(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one", "Delivered")
        await asyncio.sleep(MINUTES)
        await world.client.raise_event("one", "invoice")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert (found.cause, found.details["name"]) == ("event", "Delivered")
        assert "waits for the event 'Delivered' (faults/test_explain.py:" in found.sentence
        assert "since 00:00 UTC (2 min)" in found.sentence
        assert "alike" not in found.details
        assert ("'invoice'" in found.sentence) is has_code, "only the code knows that it was not received"
        assert "`durable_core raise one Delivered`" in found.action
        await world.client.raise_event("one", "delivrd")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["alike"] == ["delivrd"]
        assert "'delivrd' - did the sender mean this event?" in found.sentence

    play(story, has_code)


def test_a_hostile_name_is_plain_text_and_quoted_for_the_shell(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one; reboot", HOSTILE)
        await asyncio.sleep(MINUTES)
        found = await look("one; reboot")
        assert "'one; reboot'" in found.action
        assert "rm -rf" in found.sentence

    play(story, has_code)


def test_a_retry_with_what_the_policy_allows(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("retries", "one")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "retry"
        assert f"failed {'2 of 8 times' if has_code else '2 times'}" in found.sentence
        assert "attempt 3 begins at 00:16 UTC (in 6 min)" in found.sentence
        assert "the last one at 00:08:00 UTC (119 s ago) on host " in found.sentence
        assert ": ValueError: the gateway says no" in found.sentence
        assert "'broken' (task 1, faults/test_explain.py:" in found.sentence

    play(story, has_code)


def test_a_timer_and_one_whose_reminder_is_lost(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("sleeps", "one")
        await asyncio.sleep(HOUR)
        found = await look("one")
        assert found.cause == "timer"
        assert "until a timer fires at 03:00 UTC (in 120 min)" in found.sentence.replace("2 h", "120 min")
        await stop_hosts(world)
        await asyncio.sleep(3 * HOUR)
        found = await look("one")
        assert found.cause == "timer-late"
        assert "was due at 03:00 UTC (60 min ago)" in found.sentence
        assert "recover" in found.action

    play(story, has_code)


@pytest.mark.parametrize("where", ["inline", "elsewhere"])
def test_an_activity_under_way(has_code: bool, where: str) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("works", "one", where)
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "activity"
        assert "Activity 'slow" in found.sentence
        assert ("it runs inside the host that ran its orchestrator" in found.sentence) is (where == "inline")
        assert "was called at 00:00 UTC (10 min ago)" in found.sentence

    play(story, has_code, World(registry(), quiet=True))


def test_an_activity_whose_message_is_lost(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("works", "one", "elsewhere")
        await asyncio.sleep(MINUTES)
        await world.storage.queue("durable-work").clear()
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.cause == "activity-lost"
        assert "no queue holds a message of it" in found.sentence

    play(story, has_code, World(registry(), hosts=["control"]))


def test_fan_out_counts_and_names_the_oldest_open_call(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("fans_out", "one", 40)
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.details["progress"] == {"done": 39, "calls": 40}
        assert "39 of 40 calls of 'one_is_slow' have ended" in found.sentence
        assert "the oldest open one is task 8." in found.sentence

    play(story, has_code, World(registry(), quiet=True))


def test_a_fan_out_of_children_follows_the_oldest_open_one(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("fans_out_children", "one")
        await asyncio.sleep(10 * MINUTES)
        await world.client.raise_event("part 0", "Go0")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.details["progress"] == {"done": 1, "calls": 3}
        assert [link.instance_id for link in found.chain] == ["part 1"]
        assert "1 of 3 calls of 'asks' have ended" in found.sentence

    play(story, has_code)


ROOTS: list[tuple[str, tuple[str, Any], str, str]] = [
    ("event", ("asks", "Go"), "event", "waits for the event 'Go'"),
    ("retry", ("retries", None), "retry", "attempt 3 begins at 00:16 UTC"),
    ("timer", ("sleeps", None), "timer", "until a timer fires at 03:00 UTC"),
    ("condition", ("waits_for_change", None), "condition", "for a condition"),
]


@pytest.mark.parametrize(("below", "cause", "words"), [root[1:] for root in ROOTS], ids=[root[0] for root in ROOTS])
def test_the_root_cause_is_found_two_levels_down(
    has_code: bool, below: tuple[str, Any], cause: str, words: str
) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", below)
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "child"
        assert [link.instance_id for link in found.chain] == ["mid", "low"]
        assert found.details["root"] == {"instanceId": "low", "cause": cause}
        assert words in found.sentence
        assert words in found.chain[-1].sentence
        alone = await look("low")
        assert (alone.cause, alone.action) == (cause, found.action)

    play(story, has_code)


def test_a_suspended_instance_two_levels_down(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await world.client.suspend("low", "a look")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "suspended"}
        assert "`durable_core resume low`" in found.action

    play(story, has_code)


def test_a_child_that_was_purged_and_one_whose_end_was_not_heard(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("middle", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await stop_hosts(world)
        plan = FaultPlan()

        async def die_after_its_end(what: str, moment: str) -> None:
            if moment == "after" and (await world.client.get_status("low")).is_terminal:
                plan.dead = True

        plan.gate = die_after_its_end
        world.add_host(plan=plan)
        await world.client.raise_event("low", "Go")
        await asyncio.sleep(MINUTES)
        assert plan.dead
        await world.storage.queue("durable-control").clear()
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "child-not-heard"
        assert "which has ended as Completed" in found.sentence
        child = await look("low")
        assert "Its parent 'one' has not recorded the end." in child.sentence
        assert "recover" in child.action
        table = world.storage.table(world.outside.hub.names.instances)
        await table.delete("low", "z")
        found = await look("one")
        assert found.cause == "child-missing"

    play(story, has_code)


def test_a_condition_names_what_it_was_checked_after(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("waits_for_change", "one")
        await asyncio.sleep(MINUTES)
        await world.client.raise_event("one", "approve", "first")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "condition"
        assert "It was last checked after event 'approve' came" in found.sentence
        assert "at 00:01 UTC (10 min ago)" in found.sentence

    play(story, has_code)


def test_nothing_can_wake_it_and_the_code_tells_the_line(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("waits_for_nothing", "one")
        await world.client.start_new("top", "above", ("waits_for_nothing", None))
        await asyncio.sleep(MINUTES)
        for instance_id in ("one", "above"):
            found = await look(instance_id)
            cause = found.cause if instance_id == "one" else found.details["root"]["cause"]
            if has_code:
                assert cause == "nothing"
                assert "It waits at faults/test_explain.py:" in found.sentence
                assert "`durable_core terminate " in found.action
            else:
                assert cause == "condition", "the code alone knows what can change its variables"

    play(story, has_code)


def test_several_things_are_told_with_the_first_in_full(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("several", "one")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.cause == "event"
        assert "It also waits for a timer at 2030-01-15 00:00 UTC (in 13 days)." in found.sentence
        assert [wait.kind for wait in found.waits] == ["event", "timer"]

    play(story, has_code)


def test_an_inbox_that_nobody_reads(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one", "Go")
        await asyncio.sleep(MINUTES)
        await stop_hosts(world)
        for _ in range(3):
            await world.client.raise_event("one", "Go")
        await asyncio.sleep(MINUTES)
        assert (await look("one")).cause == "event", "a host may read them at any moment"
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.cause == "inbox-unread"
        assert "3 events in its inbox are unread since 00:01 UTC (2 min)" in found.sentence
        assert "1 partition" in found.sentence

    play(story, has_code)


def test_a_cancellation_and_the_time_limit_are_told_beside_the_cause(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("cleans_up", "one", timeout=timedelta(hours=9))
        await asyncio.sleep(MINUTES)
        assert "The whole run ends at 09:00 UTC (in 8 h)." in (await look("one")).sentence
        await world.client.cancel("one", "too late")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "activity"
        assert "Its cancellation was asked for at 00:01 UTC (10 min ago) ('too late')" in found.sentence

    play(story, has_code, World(registry(), quiet=True))


# ---------------------------------------------------------------- held up


def test_an_orchestrator_that_no_host_has(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        world.add_host(registry(asks))
        await world.client.start_new("asks", "one", "Go")
        await asyncio.sleep(5 * MINUTES)
        found = await look("one")
        assert found.cause == "no-orchestrator"
        assert "It is waiting for a host that has it: there is no orchestrator 'asks'" in found.sentence
        assert "Deploy a host with this orchestrator" in found.action

    play(story, has_code, World(registry(), hosts=0))


def test_an_activity_that_no_host_has(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        world.add_host(registry(slow_elsewhere))
        await world.client.start_new("top", "one", ("works", "elsewhere"))
        await asyncio.sleep(5 * MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "no-activity"}
        assert "activity 'slow_elsewhere'" in found.sentence
        assert "Deploy a host with this activity" in found.action

    play(story, has_code, World(registry(), hosts=0))


def changed() -> Registry:
    @orchestrator(name="several")
    def other(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(fine, None)

    return registry(several).add(other)


@pytest.mark.parametrize("levels", [0, 2])
def test_code_and_history_that_differ_before_and_after_a_host_meets_them(levels: int) -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("top" if levels else "several", "one", ("several", None) if levels else None)
        await asyncio.sleep(MINUTES)
        await stop_hosts(world)
        host = world.add_host(changed(), build="B")
        here, alone = host.app.client, client_without_code(world)
        name = "low" if levels else "one"
        for client, cause in ((here, "does-not-fit"), (alone, "event")):
            found = await client.explain("one")
            check(found)
            assert (found.details["root"]["cause"] if levels else found.cause) == cause
        found = await here.explain(name)
        assert "does not fit its history at faults/test_explain.py:" in found.sentence
        assert "Build simulated committed last; this app is build B." in found.sentence
        await world.client.raise_event(name, "Delivered")
        await asyncio.sleep(MINUTES)
        for client in (here, alone):
            found = await client.explain("one")
            check(found)
            assert (found.details["root"]["cause"] if levels else found.cause) == "other-build"
            assert "waiting for a host of the build that committed last" in found.sentence
            assert "(the code at faults/test_explain.py:" in found.sentence
            assert "what to do" not in found.sentence
        await stop_hosts(world)
        world.add_host(changed())  # of the same build: no other host can go on
        await asyncio.sleep(20 * MINUTES)
        found = await alone.explain(name)
        check(found)
        assert found.cause == "does-not-fit"
        assert "no longer matches the history" in found.sentence
        assert "ctx.patched" in found.action

    World(registry()).run(drive)


def test_work_that_ends_its_host_is_set_aside(has_code: bool) -> None:
    bomb = Bomb()

    @activity(name="slow_elsewhere", inline=False)
    async def explodes(_: Any) -> None:
        bomb.touch("boom")

    async def story(world: World, look: Look) -> None:
        bomb.world = world
        await world.client.start_new("top", "one", ("works", "elsewhere"))
        for _ in range(400):
            await asyncio.sleep(30)
            if (await world.client.get_status("low")).stuck_reason:
                break
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "set-aside"}
        assert "moved to the poison queue" in found.sentence
        assert "Recovery tries it again at" in found.sentence
        assert "recover" in found.action

    play(story, has_code, World(registry(slow_elsewhere).add(explodes)))
