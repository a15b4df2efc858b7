"""The list of instances is right: after a host that died while it refused a start, for what runs, with rows of a newer
version among those of this one, and for the filters that users write."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from durable_core import (
    DurableClient,
    Orchestration,
    OrchestrationContext,
    Registry,
    RuntimeStatus,
    activity,
    orchestrator,
)
from durable_core.errors import DamagedRowError, DurableError, InstanceAlreadyExistsError, NewerFormatError
from durable_core.hub.catalog import CLOSED, OPEN, Entry
from durable_core.hub.instance_row import Instance
from durable_core.hub.keys import INSTANCE_KEY
from durable_core.models import OrchestrationStatus
from durable_core.runtime.turn.decision import entry_of
from durable_core.testing.faults import FaultPlan, Moment
from durable_core.testing.simulation import World


@orchestrator
def waiter(ctx: OrchestrationContext) -> Orchestration[Any]:
    ctx.set_custom_status("waits")
    return (yield from ctx.wait_for_external_event("go"))


@orchestrator
def done(ctx: OrchestrationContext) -> Orchestration[str]:
    if False:
        yield
    return "done"


@activity
async def slow(seconds: int) -> None:
    await asyncio.sleep(seconds)


@orchestrator
def works(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(slow, 60)


def run(drive: Callable[[World], Awaitable[None]]) -> None:
    World(Registry().add(waiter, done, works, slow)).run(drive)


def ids(listed: list[OrchestrationStatus]) -> Counter[str]:
    return Counter(status.instance_id for status in listed)


async def started(world: World, *wanted: tuple[str, str]) -> None:
    for name, instance_id in wanted:
        await world.client.start_new(name, instance_id)
    await asyncio.sleep(5)


async def leave_orphans(world: World, instance_id: str) -> Instance:
    """What two dead hosts left of their starts with an id in use: they had written the catalogue's row."""
    hub = world.outside.hub
    instance = await hub.instances.get(instance_id)
    assert instance is not None
    for number in range(2):
        orphan = instance.but(execution_id=f"refused{number}", status=RuntimeStatus.PENDING, created=world.loop.now())
        await hub.catalog.open(entry_of(orphan))
    return instance


async def open_entries(world: World) -> list[Entry]:
    catalog = world.outside.hub.catalog
    return [entry for shard in catalog.shards for entry in await catalog.read(shard, OPEN)]


@pytest.mark.parametrize("name", ["waiter", "done"])
def test_a_start_that_was_refused_by_a_host_that_died_is_in_no_list(name: str) -> None:
    async def drive(world: World) -> None:
        await started(world, (name, "one"))
        await leave_orphans(world, "one")
        client = world.client
        assert ids(await client.get_status_all()) == {"one": 1}
        assert ids(await client.get_status_by(runtime_status=RuntimeStatus.PENDING)) == {}
        for show_input in (False, True):
            page = await client.list_instances(page_size=1, show_input=show_input)
            assert ids(page.instances) == {"one": 1}
            following = await client.list_instances(continuation_token=page.continuation_token, show_input=show_input)
            assert page.continuation_token is None or not ids(following.instances)

    run(drive)


@pytest.mark.parametrize("name", ["waiter", "done"])
def test_recovery_on_demand_takes_its_row_away_at_once(name: str) -> None:
    async def drive(world: World) -> None:
        await started(world, (name, "one"))
        instance = await leave_orphans(world, "one")
        assert (await world.client.recover()).orphans == 2
        left = [entry.execution_id for entry in await open_entries(world)]
        assert left == ([instance.execution_id] if name == "waiter" else [])
        assert ids(await world.client.get_status_all()) == {"one": 1}

    run(drive)


def test_the_timers_recovery_takes_its_row_away_in_time() -> None:
    async def drive(world: World) -> None:
        await started(world, ("waiter", "one"))
        await leave_orphans(world, "one")
        await asyncio.sleep(30 * 60)
        assert len(await open_entries(world)) == 1
        assert ids(await world.client.get_status_all()) == {"one": 1}

    run(drive)


def test_an_ended_instance_whose_restart_died_half_way_is_listed_again_after_a_recovery() -> None:
    async def drive(world: World) -> None:
        await started(world, ("done", "one"))
        instance = await leave_orphans(world, "one")
        await world.outside.hub.catalog.forget_closed(entry_of(instance))  # the first step of a restart
        await world.client.recover()
        [listed] = await world.client.get_status_all()
        assert (listed.instance_id, listed.runtime_status) == ("one", RuntimeStatus.COMPLETED)
        assert not await open_entries(world)

    run(drive)


def test_an_instance_is_listed_as_what_it_is_and_not_as_what_it_was_at_its_start() -> None:
    async def drive(world: World) -> None:
        await started(world, ("waiter", "waits"), ("done", "ends"), ("works", "works"))
        await world.client.start_new("waiter", "later", start_at=world.loop.now() + timedelta(hours=1))
        listed = {status.instance_id: status.runtime_status for status in await world.client.get_status_all()}
        assert listed == {"waits": "Running", "works": "Running", "ends": "Completed", "later": "Pending"}
        for status in RuntimeStatus:
            found = {listed.instance_id for listed in await world.client.get_status_by(runtime_status=[status])}
            assert found == {instance_id for instance_id, shown in listed.items() if shown is status}

    run(drive)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("kind", [OPEN, CLOSED])
def test_an_instance_that_ends_while_a_page_is_read_is_in_it_once(kind: str, moment: Moment) -> None:
    """Its row moves from the open ones to the closed ones. Whichever of the two is read at that time, and whichever
    answer comes first, the instance is in the list, and is counted once."""
    ended: list[str] = []
    to_end: list[str] = []

    async def gate(operation: str, when: Moment) -> None:
        if to_end and when == moment and re.match(rf"read \w+Catalog 00 {kind}", operation):
            instance_id = to_end.pop()
            await world.hosts[0].app.client.raise_event(instance_id, "go")
            await asyncio.sleep(5)
            assert (await world.hosts[0].app.client.get_status(instance_id)).is_terminal
            ended.append(instance_id)

    async def drive(world: World) -> None:
        await started(world, *(("waiter", f"i{number}") for number in range(4)))
        everything = Counter(f"i{number}" for number in range(4))
        to_end.append("i1")
        assert ids(await world.client.get_status_all()) == everything
        to_end.append("i2")
        counted = await world.outside.hub.catalog.count(100)
        assert counted.statuses.total() == 4, counted
        to_end.append("i3")
        paged: Counter[str] = Counter()
        token = None
        while True:
            page = await world.client.list_instances(page_size=1, continuation_token=token)
            paged += ids(page.instances)
            if (token := page.continuation_token) is None:
                break
        assert paged == everything
        assert ended == ["i1", "i2", "i3"]

    world = World(Registry().add(waiter), outside=FaultPlan(gate=gate))
    world.run(drive)


def test_details_are_shown_without_the_input_where_they_are_asked_for() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new("waiter", "one", {"big": "input"})
        await asyncio.sleep(5)
        for shows_input in (True, False):
            [listed] = (await world.client.list_instances(show_input=shows_input, show_details=True)).instances
            assert listed.custom_status == "waits"
            assert listed.input_ == ({"big": "input"} if shows_input else None)

    run(drive)


# ---------------------------------------------------------------- rows that this version cannot read


async def change_row(world: World, instance_id: str, **props: Any) -> None:
    table = world.storage.table(world.outside.hub.names.instances)
    await table.merge(instance_id, INSTANCE_KEY, props)


@pytest.mark.parametrize(
    ("props", "error"),
    [
        ({"fmt": 99}, NewerFormatError),
        ({"status": "Hibernating"}, NewerFormatError),
        ({"created": "yesterday"}, DamagedRowError),
        ({"parent": "{"}, DamagedRowError),
        ({"tags": 7}, DamagedRowError),
    ],
    ids=str,
)
def test_a_row_that_cannot_be_read_concerns_its_own_instance_alone(props: Any, error: type[DurableError]) -> None:
    async def drive(world: World) -> None:
        client = world.client
        await started(world, ("waiter", "odd"), ("done", "odd-ended"), ("waiter", "fine"), ("done", "fine-ended"))
        for instance_id in ("odd", "odd-ended"):
            await change_row(world, instance_id, **props)
        table = world.storage.table(world.outside.hub.names.instances)
        before = {key: await table.get(key, INSTANCE_KEY) for key in ("odd", "odd-ended")}
        for show_input in (False, True):
            page = await client.list_instances(show_input=show_input)
            assert ids(page.instances) == {"odd": 1, "odd-ended": 1, "fine": 1, "fine-ended": 1}
            reasons = {status.instance_id: status.stuck_reason for status in page.instances}
            assert not reasons["fine"]
            assert not show_input or all(f"'{odd}'" in str(reasons[odd]) for odd in before), reasons
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: client.get_status("odd"),
            lambda: client.raise_event("odd", "go"),
            lambda: client.terminate("odd"),
            lambda: client.purge_instance_history("odd"),
            lambda: client.start_new("waiter", "odd"),
            lambda: client.wait_for_completion("odd", 1),
        ]
        for call in calls:
            with pytest.raises(error, match="'odd'"):
                await call()
        await client.recover()
        assert await client.purge_instance_history_by(datetime(2000, 1, 1, tzinfo=UTC)) == 1
        assert ids(await client.get_status_all()) == {"odd": 1, "odd-ended": 1, "fine": 1}
        await client.raise_event("fine", "go", 7)
        assert (await client.wait_for_completion("fine", 60)).output == 7
        assert {key: await table.get(key, INSTANCE_KEY) for key in before} == before, "the row was written"

    run(drive)


@pytest.mark.parametrize("props", [{"status": "Hibernating"}, {"created": "x"}, {"tags": "["}], ids=str)
def test_a_row_of_the_catalogue_that_cannot_be_read_hides_no_instance_and_is_left_alone(props: Any) -> None:
    async def drive(world: World) -> None:
        await started(world, ("waiter", "odd"), ("done", "odd-ended"), ("waiter", "fine"))
        hub = world.outside.hub
        table = world.storage.table(hub.names.catalog)
        odd = [row for row in (await table.read_range("00")).rows if "odd" in row.key]
        for row in odd:
            await table.merge(row.partition, row.key, props)
        expected = {"odd": "Running", "odd-ended": "Completed", "fine": "Running"}
        for show_input in (False, True):
            page = await world.client.list_instances(show_input=show_input)
            assert {status.instance_id: status.runtime_status for status in page.instances} == expected
        before = [await table.get(row.partition, row.key) for row in odd]
        await world.client.recover()
        await asyncio.sleep(1800)
        assert [await table.get(row.partition, row.key) for row in odd] == before

    run(drive)


def test_a_start_with_an_id_whose_row_cannot_be_read_leaves_nothing_behind() -> None:
    async def drive(world: World) -> None:
        await started(world, ("waiter", "odd"))
        await change_row(world, "odd", fmt=99)
        with pytest.raises(NewerFormatError):
            await world.client.start_new("waiter", "odd")
        assert len(await open_entries(world)) == 1

    run(drive)


# ---------------------------------------------------------------- filters

FOREVER = [
    datetime.min,
    datetime.min.replace(tzinfo=UTC),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
    datetime(1900, 1, 1, tzinfo=UTC),
    datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
    datetime(1970, 1, 1),
]
NEVER_BEFORE = [
    datetime(2286, 11, 21, tzinfo=UTC),
    datetime(9000, 1, 1),
    datetime.max,
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
]


def test_a_span_of_time_may_begin_and_end_whenever_a_datetime_can() -> None:
    async def drive(world: World) -> None:
        await started(world, *((name, f"{name}{n}") for name in ("done", "waiter") for n in range(3)))
        client = world.client
        for since in FOREVER:
            assert len(await client.get_status_by(since)) == 6, since
            assert not await client.get_status_by(None, since), since
            for until in NEVER_BEFORE:
                assert len(await client.get_status_by(since, until)) == 6, (since, until)
        for until in NEVER_BEFORE:
            assert not await client.get_status_by(until), until
            assert await client.purge_instance_history_by(until) == 0
        assert await client.purge_instance_history_by(datetime.min) == 3

    run(drive)


def test_a_time_without_an_offset_is_utc() -> None:
    async def drive(world: World) -> None:
        await started(world, ("done", "one"))
        [one] = await world.client.get_status_all()
        assert one.created_time is not None
        naive, second = one.created_time.replace(tzinfo=None), timedelta(seconds=1)
        assert len(await world.client.get_status_by(naive, naive)) == 1
        assert not await world.client.get_status_by(naive + second)
        assert not await world.client.get_status_by(None, naive - second)

    run(drive)


@pytest.mark.parametrize(
    "given",
    [RuntimeStatus.COMPLETED, "Completed", "completed", ["COMPLETED"], (RuntimeStatus.COMPLETED,), {"Completed": 1}],
    ids=str,
)
def test_one_status_or_several_may_be_given_and_by_name(given: Any) -> None:
    async def drive(world: World) -> None:
        await started(world, ("done", "one"), ("waiter", "two"))
        assert ids(await world.client.get_status_by(runtime_status=given)) == {"one": 1}
        assert ids((await world.client.list_instances(runtime_status=given)).instances) == {"one": 1}
        assert await world.client.purge_instance_history_by(datetime.min, None, given) == 1

    run(drive)


async def _never(client: DurableClient, **filters: Any) -> None:
    with pytest.raises(DurableError) as refusal:
        await client.list_instances(**filters)
    assert next(iter(filters)).replace("page_size", "page") in str(refusal.value), refusal.value


@pytest.mark.parametrize(
    "filters",
    [
        {"runtime_status": "Complete"},
        {"runtime_status": ["Completed", "Finished"]},
        {"runtime_status": 7},
        {"runtime_status": [None]},
        {"created_time_from": "2025-01-01"},
        {"created_time_to": 1700000000},
        {"instance_id_prefix": b"order-"},
        {"tags": {"number": 7}},
        {"page_size": 0},
        {"page_size": "ten"},
    ],
    ids=str,
)
def test_a_filter_that_cannot_be_is_refused_and_named(filters: dict[str, Any]) -> None:
    async def drive(world: World) -> None:
        await started(world, ("done", "one"))
        await _never(world.client, **filters)
        if "runtime_status" in filters:
            with pytest.raises(DurableError):
                await world.client.purge_instance_history_by(datetime.min, None, filters["runtime_status"])
        assert len(await world.client.get_status_all()) == 1

    run(drive)


def test_an_id_in_use_is_refused_and_nothing_is_left_of_the_refused_start() -> None:
    async def drive(world: World) -> None:
        await started(world, ("waiter", "one"))
        for _ in range(3):
            with pytest.raises(InstanceAlreadyExistsError):
                await world.client.start_new("waiter", "one")
        assert len(await open_entries(world)) == 1

    run(drive)
