"""Explanations of what is held up, lost or unreadable, and of the rarer waits: each made for real."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    Registry,
    RetryPolicy,
    RuntimeStatus,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.codec import PayloadCodec
from durable_core.hang_watch import HangWatch
from durable_core.settings import Settings
from durable_core.testing.faults import FaultPlan
from durable_core.testing.simulation import World

from .explained import HOUR, MINUTES, Look, check, client_without_code, stop_hosts, tell

SLOWLY = RetryPolicy(max_attempts=3, first_interval=timedelta(minutes=5), backoff=1.0)


@activity(inline=False)
async def slow(_: Any) -> None:
    await asyncio.sleep(4 * HOUR)


@activity(inline=False, max_concurrency=2, rate=50)
async def limited(_: Any) -> None:
    await asyncio.sleep(4 * HOUR)


@activity(inline=False, queue="gpu")
async def trains(_: Any) -> None:
    await asyncio.sleep(4 * HOUR)


@activity
def broken(_: Any) -> None:
    raise ValueError("no")


@orchestrator
def calls(ctx: OrchestrationContext, what: str) -> Orchestration[None]:
    limit = timedelta(minutes=30) if what == "slow" else None
    activities = {"slow": slow, "limited": limited, "trains": trains}
    yield from ctx.call_activity(activities[what], None, schedule_to_close=limit)


@orchestrator
def asks(ctx: OrchestrationContext, name: str) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event(name))


@orchestrator
def calls_back(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.callback("payment").task)


@orchestrator
def again(ctx: OrchestrationContext, number: int) -> Orchestration[None]:
    if number == 0:
        ctx.continue_as_new(1)
        return
    yield from ctx.wait_for_external_event("Go")


@orchestrator
def uses_the_clock(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.create_timer(timedelta(seconds=time.time() % 7))


@orchestrator
def endless(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("Go")
    while True:
        pass


@orchestrator
def retries_a_child(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_sub_orchestrator(fails_once_then_asks, None, "try", retry=SLOWLY)


@orchestrator
def fails_once_then_asks(ctx: OrchestrationContext) -> Orchestration[None]:
    if not ctx.instance_id.endswith(".2"):
        raise ValueError("the first attempt fails")
    yield from ctx.wait_for_external_event("Go")


@orchestrator
def retries_late(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(broken, None, retry=SLOWLY)


@orchestrator
def middle(ctx: OrchestrationContext, below: tuple[str, Any]) -> Orchestration[Any]:
    return (yield from ctx.call_sub_orchestrator(below[0], below[1], "low"))


@orchestrator
def top(ctx: OrchestrationContext, below: tuple[str, Any]) -> Orchestration[Any]:
    return (yield from ctx.call_sub_orchestrator(middle, below, "mid"))


ALL = (
    slow, limited, trains, broken, calls, asks, calls_back, again, uses_the_clock, endless, retries_a_child,
    fails_once_then_asks, retries_late, middle, top,
)  # fmt: skip


class Backwards(PayloadCodec):
    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def world(**more: Any) -> World:
    return World(Registry().add(*ALL), **more)


@pytest.fixture(params=["with the code", "from storage alone"])
def has_code(request: pytest.FixtureRequest) -> bool:
    return request.param == "with the code"


# ---------------------------------------------------------------- rarer waits


def test_a_callback_names_itself_and_not_its_secret(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("calls_back", None))
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "callback"}
        assert "the URL of its callback 'payment' is called (faults/test_explain_more.py:" in found.sentence
        assert "callback/" not in str(found.to_json())

    tell(story, has_code, world())


def test_a_step_that_runs(has_code: bool) -> None:
    async def long_step() -> None:
        await asyncio.sleep(HOUR)

    @orchestrator
    def steps(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("Begin")
        yield from ctx.task_all([ctx.run("price", long_step), ctx.create_timer(timedelta(hours=2))])

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("steps", "one")
        await asyncio.sleep(1)
        await world.client.raise_event("one", "Begin")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.cause == "step"
        assert "Step 'price' (task 1, faults/test_explain_more.py:" in found.sentence
        assert "It also waits for a timer at 02:00:01 UTC" in found.sentence.replace("02:00 UTC", "02:00:01 UTC")

    tell(story, has_code, World(Registry().add(steps), quiet=True))


def test_an_activity_with_limits_and_one_of_a_queue_of_its_own(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("calls", "one", "limited")
        await world.client.start_new("calls", "two", "trains")
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "activity"
        assert (" max_concurrency=2 on each host; rate=50 per second on each host." in found.sentence) is has_code
        found = await look("two")
        assert found.details["queue"] == "durable-work-gpu"

    tell(story, has_code, world(quiet=True))


def test_a_host_that_is_asked_says_what_runs_in_it_and_which_slots_are_taken() -> None:
    async def story(world: World, _: Look) -> None:
        for name in ("one", "two"):
            await world.client.start_new("calls", name, "limited")
        await asyncio.sleep(MINUTES)
        await world.client.start_new("top", "three", ("calls", "limited"))
        await asyncio.sleep(2 * MINUTES)
        app = world.hosts[0].app
        first, third = [await app.client.explain(name) for name in ("one", "three")]
        for found in (first, third):
            check(found)
        host = app.host.id
        assert f"runs on host {host}, which was asked, since 00:00:00 UTC (" in first.sentence.replace(
            "00:00 UTC", "00:00:00 UTC"
        )
        assert f"waits on host {host}, which was asked, for a slot." in third.sentence
        assert f" max_concurrency=2 on each host: both taken on {host}, which was asked;" in third.sentence
        assert third.sentence.endswith("1 call waits there.")
        details = (await app.client.explain("low")).details
        assert (details["maxConcurrency"], details["taken"], details["waiting"]) == (2, 2, 1)

    tell(story, True, world(quiet=True))


def test_an_inline_activity_that_reports_nothing_runs_in_a_host_that_is_named(has_code: bool) -> None:
    @activity(inline=True)
    async def silent(_: Any) -> None:
        await asyncio.sleep(4 * HOUR)

    @orchestrator
    def runs_inline(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(silent, None)

    async def story(world: World, look: Look) -> None:
        await serve(world)
        first, second = (host.app.host.id for host in world.hosts)
        await world.client.start_new("runs_inline", "one")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert "it runs inside the host that ran its orchestrator" in found.sentence
        assert "That is one of 'simulated' (" in found.sentence
        assert first in found.sentence
        assert second in found.sentence
        here = [host for host in world.hosts if host.app.instance_cache.is_at_work("one")]
        [running] = here
        told = await running.app.client.explain("one")
        check(told)
        assert f"runs on host {running.app.host.id}, which was asked, since 00:00" in told.sentence
        rows = world.outside.hub.hosts
        [row] = [row for row in await rows.read() if row.id == running.app.host.id]
        await asyncio.sleep(7 * MINUTES)
        await rows.write(row, is_new=False)  # as if it had not been able to write it since
        lost = await look("one")
        assert f"'simulated' ({running.app.host.id}), last seen at 00:00 UTC (8 min ago)" in lost.sentence
        assert lost.sentence.endswith("If its host has died, its message comes back within its lease.")

    tell(story, has_code, World(Registry().add(silent, runs_inline), hosts=2, quiet=True))


def test_an_activity_that_reports_progress_runs_on_a_host(has_code: bool) -> None:
    @activity(inline=False)
    async def ships(ctx: ActivityContext, number: int) -> None:
        for done in range(1 if number < 3 else 100):
            ctx.heartbeat({"done": done, "of": "\x1b[2J"})
            await asyncio.sleep(2 if number < 3 else 60)

    @orchestrator
    def ships_all(ctx: OrchestrationContext) -> Orchestration[None]:
        for number in range(4):
            yield from ctx.call_activity(ships, number)

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("ships_all", None))
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "activity"}
        assert "Activity 'ships' (task 4, faults/test_explain_more.py:" in found.sentence
        host = world.hosts[0].app.host.id
        assert f"runs on host {host} since 00:00 UTC (9 min) (95% of the last 3 calls here" in found.sentence
        assert "up to 2 s)" in found.sentence
        assert "its last report came at 00:" in found.sentence
        assert '{"done": ' in found.sentence

    tell(story, has_code, World(Registry().add(ships, ships_all, middle, top), quiet=True))


def test_an_attempt_that_has_reported_and_failed_does_not_run(has_code: bool) -> None:
    @activity(inline=False)
    async def reports(ctx: ActivityContext, _: Any) -> None:
        if ctx.attempt > 1:
            await asyncio.sleep(4 * HOUR)
        ctx.heartbeat("half")
        await asyncio.sleep(90)
        raise ValueError("no")

    @orchestrator
    def tries(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(reports, None, retry=SLOWLY)

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("tries", "one")
        await asyncio.sleep(MINUTES)
        assert "runs on host" in (await look("one")).sentence
        await asyncio.sleep(20 * MINUTES)
        found = await look("one")
        assert found.cause == "activity"
        assert "runs on host" not in found.sentence
        assert "failed 1" in found.sentence

    tell(story, has_code, World(Registry().add(reports, tries), quiet=True))


def test_a_call_that_is_past_its_limit(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("calls", "slow"))
        await asyncio.sleep(10 * MINUTES)
        assert (await look("low")).cause == "activity"
        await stop_hosts(world)
        await asyncio.sleep(30 * MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "past-its-limit"}
        assert "should have ended at 00:30 UTC (10 min ago) (schedule_to_close)" in found.sentence

    tell(story, has_code, world(quiet=True))


def test_a_child_that_is_tried_again_is_followed_in_its_latest_attempt(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("retries_a_child", "one")
        await asyncio.sleep(2 * MINUTES)
        found = await look("one")
        assert (found.cause, found.chain) == ("retry", ())
        assert "Sub-orchestration 'fails_once_then_asks' (task 1" in found.sentence
        assert "attempt 2 begins at 00:05 UTC (in 3 min)" in found.sentence
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert [link.instance_id for link in found.chain] == ["try.2"]
        assert "failed 1" in found.sentence
        assert "waits for the event 'Go'" in found.sentence
        tree = await world.client.tree("one")
        assert [child.instance_id for child in tree.top.children] == ["try.2"]

    tell(story, has_code, world())


def test_of_a_child_that_was_tried_in_vain_the_last_attempt_is_shown(has_code: bool) -> None:
    @orchestrator
    def always_fails(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(broken, None)

    @orchestrator
    def insists(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_sub_orchestrator(always_fails, None, "try", retry=SLOWLY)

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("insists", "one")
        await world.client.wait_for_completion("one", 2 * HOUR)
        found = await look("one")
        assert (found.cause, [link.instance_id for link in found.chain]) == ("failed", ["try.3"])
        assert "activity 'broken' (task 1" in found.chain[-1].sentence
        tree = await world.client.tree("one")
        assert [(child.instance_id, child.runtime_status) for child in tree.top.children] == [
            ("try.3", RuntimeStatus.FAILED)
        ]
        assert (await world.client.tree("try.3")).parent is not None

    tell(story, has_code, World(Registry().add(broken, always_fails, insists)))


def test_a_retry_whose_message_is_lost(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("retries_late", "one")
        await asyncio.sleep(MINUTES)
        await stop_hosts(world)
        for name in world.outside.hub.names.queues:
            await world.storage.queue(name).clear()
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "activity-lost"
        assert "attempt 2 was due at 00:05 UTC (6 min ago)" in found.sentence
        assert "recover" in found.action

    tell(story, has_code, world())


def test_a_generation_that_has_not_begun(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        plan = FaultPlan()

        async def die_after_the_first(what: str, moment: str) -> None:
            row = await world.storage.table(world.outside.hub.names.instances).get("one", "z", ["gen"])
            if moment == "after" and row is not None and row.props["gen"] == 1:
                plan.dead = True

        plan.gate = die_after_the_first
        world.add_host(plan=plan)
        await world.client.start_new("again", "one", 0)
        await asyncio.sleep(10 * MINUTES)
        found = await look("one")
        assert found.cause == "no-host"
        assert "Its generation 1 began at 00:00 UTC (10 min ago), and no host has taken it" in found.sentence

    tell(story, has_code, world(hosts=0))


def test_a_request_that_nobody_reads(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("asks", "one", "Go")
        await asyncio.sleep(MINUTES)
        await stop_hosts(world)
        await world.client.terminate("one", "enough")
        await asyncio.sleep(5 * MINUTES)
        found = await look("one")
        assert found.cause == "inbox-unread"
        assert "1 request to terminate in its inbox is unread since" in found.sentence

    tell(story, has_code, world())


# ---------------------------------------------------------------- hosts


async def serve(world: World) -> None:
    """Have the hosts listed, as real ones are."""
    for host in world.hosts:
        names = host.app.hub.names
        queues = (*(names.control if host.shape.control else ()), *(names.work if host.shape.work else ()))
        host.app.serve(queues)
    await asyncio.sleep(1)


def test_no_host_is_alive(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await serve(world)
        await world.client.start_new("top", "one", ("calls", "slow"))
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "activity"}
        assert "none of which waits to be taken" in found.sentence, "it runs"
        assert not found.needs_somebody
        await stop_hosts(world)
        await asyncio.sleep(12 * MINUTES)
        await world.client.start_new("asks", "two", "Go")
        for instance_id in ("one", "two"):
            found = await look(instance_id)
            assert (found.details["root"]["cause"] if found.chain else found.cause) == "no-host"
            assert "No host is alive" in found.sentence
            assert "the last one, 'simulated' (" in found.sentence
            assert "was seen at 00:" in found.sentence
            assert found.action.startswith("Start a host")
            assert found.needs_somebody

    tell(story, has_code, world())


def test_no_host_serves_the_queue(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await serve(world)
        await world.client.start_new("top", "one", ("calls", "trains"))
        await asyncio.sleep(3 * MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "no-host-for-queue"}
        assert "it waits in queue durable-work-gpu, or runs; the queue holds about 1 message" in found.sentence
        assert "the oldest that waits came at 00:00 UTC (3 min ago)" in found.sentence
        assert "No host alive serves queue='gpu'; alive: 'simulated' (" in found.sentence
        assert found.action.startswith("Start a host that serves queue='gpu'")

    tell(story, has_code, world(hosts=["control"]))


def test_hosts_of_other_code_are_named_with_their_builds(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        world.add_host(Registry().add(middle, top), build="B7")
        await serve(world)
        await world.client.start_new("top", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "no-orchestrator"}
        assert "Hosts alive: 'simulated' (" in found.sentence
        assert "of build B7." in found.sentence

    tell(story, has_code, world(hosts=0))


# ---------------------------------------------------------------- code that cannot go on


def test_code_that_uses_a_clock(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("uses_the_clock", None))
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "guard"}
        assert "orchestrator code used" in found.sentence
        assert "faults/test_explain_more.py:" in found.sentence
        assert "Change the code" in found.action

    tell(story, has_code, world(settings=Settings(guard=True)))


@pytest.fixture
def hang_watch() -> Iterator[None]:
    watch = HangWatch.start(0.25)
    assert watch is not None
    yield
    watch.stop()


@pytest.mark.usefixtures("hang_watch")
def test_code_that_does_not_end_is_not_run_again_to_explain_it(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("top", "one", ("endless", None))
        await asyncio.sleep(MINUTES)
        await world.client.raise_event("low", "Go")
        await asyncio.sleep(MINUTES)
        begun = time.monotonic()
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": "code-hangs"}
        assert "faults/test_explain_more.py:" in found.sentence
        assert time.monotonic() - begun < 60

    tell(story, has_code, world())


def test_messages_that_fail() -> None:
    async def drive(world: World) -> None:
        plan = FaultPlan()
        world.add_host(plan=plan)
        await world.client.start_new("asks", "one", "Go")
        await asyncio.sleep(MINUTES)

        async def refuse(what: str, moment: str) -> None:
            if moment == "before" and what.startswith("transact"):
                raise RuntimeError("the disk is full")

        plan.gate = refuse
        await world.client.raise_event("one", "Go")
        for client in (world.client, client_without_code(world)):
            found = await client.explain("one")
            for _ in range(100):
                if found.cause != "event":
                    break
                await asyncio.sleep(10)
                found = await client.explain("one")
            check(found)
            assert found.cause in ("messages-fail", "set-aside"), found
            assert "the disk is full" in found.sentence or found.cause == "set-aside"

    world(hosts=0).run(drive)


def test_of_two_that_failed_the_one_that_ended_the_run_is_named(has_code: bool) -> None:
    @activity
    def first(_: Any) -> None:
        raise ValueError("the same words")

    @activity
    def second(_: Any) -> None:
        raise ValueError("the same words")

    @orchestrator
    def ended_by_the_first(ctx: OrchestrationContext) -> Orchestration[None]:
        failures: list[TaskFailedError] = []
        for each in (first, second):
            try:
                yield from ctx.call_activity(each, None)
            except TaskFailedError as error:
                failures.append(error)
        raise failures[0]

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("ended_by_the_first", "one")
        await world.client.wait_for_completion("one", HOUR)
        found = await look("one")
        assert (found.cause, found.details["taskId"]) == ("failed", 1)
        assert "activity 'first' (task 1" in found.sentence

    tell(story, has_code, World(Registry().add(first, second, ended_by_the_first)))


# ---------------------------------------------------------------- rows that cannot be read


def test_rows_of_another_codec_here_and_two_levels_down(has_code: bool) -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("top", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await world.replace_hosts(None)
        client = world.hosts[0].app.client if has_code else client_without_code(world)
        found = await client.explain("one")
        check(found)
        assert found.cause == "unreadable"
        assert "codec" in found.sentence
        await world.client.raise_event("low", "Go")
        await asyncio.sleep(MINUTES)
        found = await client.explain("low")
        check(found)
        assert found.cause == "codec"
        assert "Give the app the codec" in found.action

    world(codec=Backwards()).run(drive)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"fmt": 99}, "unreadable"),
        ({"status": "Resting"}, "unreadable"),
        ({"created": "never"}, "unreadable"),
        ({"s1_0": '["c1",1.0,[["event of tomorrow"]]]'}, "unreadable"),
        ({"s1_0": "{"}, "unreadable"),
        ({"waits": '[["oracle","x","y",1]]'}, "unknown"),
    ],
    ids=["format", "status", "damaged", "event", "segment", "kind of wait"],
)
def test_what_this_version_cannot_read_is_said_also_of_a_child(
    has_code: bool, change: dict[str, Any], cause: str
) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("middle", "one", ("asks", "Go"))
        await world.client.start_new("asks", "two", "Go")
        await asyncio.sleep(MINUTES)
        await world.client.raise_event("low", "other")
        await world.client.raise_event("two", "other")
        await asyncio.sleep(MINUTES)
        table = world.storage.table(world.outside.hub.names.instances)
        for name in ("low", "two"):
            await table.merge(name, "z", change)
        found = await look("two")
        assert found.cause == cause
        found = await look("one")
        root = found.details.get("root", {"cause": found.cause})
        assert root["cause"] in (cause, "child-unreadable")

    tell(story, has_code, world())


@pytest.mark.parametrize(
    ("stored", "cause", "told", "action"),
    [
        ("{", "damaged", "is damaged", "Restore a backup."),
        ('["c1",1.0,[["event of tomorrow"]]]', "newer-format", "this version does not know", "Deploy the version"),
    ],
)
def test_an_instance_that_a_host_has_set_aside_for_its_rows_is_told_with_the_stored_reason(
    has_code: bool, stored: str, cause: str, told: str, action: str
) -> None:
    """A host meets a commit that it cannot read."""

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("middle", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await world.client.raise_event("low", "other")
        await asyncio.sleep(MINUTES)
        table = world.storage.table(world.outside.hub.names.instances)
        await table.merge("low", "z", {"s1_0": stored})
        await world.client.raise_event("low", "Go")
        await asyncio.sleep(15 * MINUTES)
        assert (await world.client.get_status("low")).stuck_reason
        found = await look("one")
        assert found.details["root"] == {"instanceId": "low", "cause": cause}
        assert "It is stuck: " in found.sentence
        assert told in found.sentence
        assert found.action.startswith(action)
        assert found.needs_somebody

    tell(story, has_code, world(settings=Settings(warm_cache=0)))


def test_a_row_without_waits_is_explained_by_its_open_calls(has_code: bool) -> None:
    """As one that a version committed last which did not record them."""

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("calls", "one", "slow")
        await world.client.start_new("asks", "two", "Go")
        await asyncio.sleep(MINUTES)
        table = world.storage.table(world.outside.hub.names.instances)
        for name in ("one", "two"):
            await table.merge(name, "z", {"waits": ""})
        found = await look("one")
        assert (found.cause, found.details["name"]) == ("activity", "slow")
        assert (await look("two")).cause == ("event" if has_code else "unknown")

    tell(story, has_code, world(quiet=True))


def test_the_id_of_a_child_that_another_instance_has(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("middle", "one", ("asks", "Go"))
        await asyncio.sleep(MINUTES)
        await world.client.terminate("low", recursive=False)
        await stop_hosts(world)
        await world.storage.table(world.outside.hub.names.instances).merge(
            "low", "z", {"parent": '["other","x",0,1,1]'}
        )
        found = await look("one")
        assert found.cause == "child-id-taken"
        assert "an id that another instance has" in found.sentence

    tell(story, has_code, world())


def test_a_chain_is_followed_for_eight_levels() -> None:
    @orchestrator
    def deep(ctx: OrchestrationContext, levels: int) -> Orchestration[None]:
        if levels == 0:
            yield from ctx.wait_for_external_event("Go")
        yield from ctx.call_sub_orchestrator(deep, levels - 1, f"level {levels}")

    async def story(world: World, look: Look) -> None:
        await world.client.start_new("deep", "one", 12)
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert len(found.chain) == 8
        assert found.chain[-1].instance_id == "level 5"
        assert "At the end of 8 levels is instance 'level 5'" in found.sentence

    tell(story, True, World(Registry().add(deep)))


def test_a_rewound_instance_is_explained_by_what_it_waits_for_now(has_code: bool) -> None:
    mended = False

    @activity
    def fails_until_mended(_: Any) -> None:
        if not mended:
            raise ValueError("no")

    @orchestrator
    def mends(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity(fails_until_mended, None)
        yield from ctx.wait_for_external_event("Go")

    async def story(world: World, look: Look) -> None:
        nonlocal mended
        await world.client.start_new("mends", "one")
        await world.client.wait_for_completion("one", HOUR)
        assert "`durable_core rewind one`" in (await look("one")).action
        mended = True
        await world.client.rewind("one", "mended")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert (found.cause, found.details["name"]) == ("event", "Go")

    tell(story, has_code, World(Registry().add(fails_until_mended, mends)))


# ---------------------------------------------------------------- instances of the framework


@orchestrator
def maps(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.map(slow, [1, 2, 3], batch_size=3)


@pytest.mark.parametrize("has_code", [True, False])
def test_a_batch_of_a_map_waits_for_its_activities_whoever_asks(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.start_new("maps", "one")
        await asyncio.sleep(MINUTES)
        found = await look("one")
        assert not found.needs_somebody, found
        assert "calls of 'slow' have ended" in found.sentence
        assert "not in this app" not in found.sentence

    tell(story, has_code, World(Registry().add(slow, maps)))


@pytest.mark.parametrize("has_code", [True, False])
def test_a_schedule_waits_for_its_next_run_or_is_paused(has_code: bool) -> None:
    async def story(world: World, look: Look) -> None:
        await world.client.create_schedule("hourly", "asks", cron="30 * * * *", client_input="Go")
        await asyncio.sleep(MINUTES)
        found = await look("durable.schedule:hourly")
        assert found.cause == "timer" and "durable.schedule.control" not in found.sentence + found.action
        await world.client.pause_schedule("hourly")
        await asyncio.sleep(MINUTES)
        found = await look("durable.schedule:hourly")
        assert (found.cause, found.needs_somebody) == ("paused", False)
        assert "`durable_core schedules resume hourly`" in found.action

    tell(story, has_code, World(Registry().add(slow, asks)))
