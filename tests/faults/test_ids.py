"""Every id that is accepted can do what any other can: timers, children and events have keys that hold it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, RetryPolicy, activity, orchestrator
from durable_core.errors import InvalidInstanceIdError, OrchestratorCodeError
from durable_core.instance_ids import MAX_ID_UNITS, check_instance_id
from durable_core.testing.simulation import World

EMOJI = "\N{GRINNING FACE}"
LONGEST = ["x" * 256, "\u6f22" * 256, EMOJI * 204 + "\u6f22" * 52, EMOJI * 230, "'" * 256, "%" * 256, " " * 256]


@activity
async def double(number: int) -> int:
    return 2 * number


@orchestrator
def child(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ctx.create_timer(timedelta(days=2))
    return (yield from ctx.call_activity(double, number))


@orchestrator
def parent(ctx: OrchestrationContext, rounds: int) -> Orchestration[Any]:
    first = yield from ctx.call_activity(double, rounds, schedule_to_close=timedelta(days=5))
    second = yield from ctx.call_sub_orchestrator(child, 4)
    yield from ctx.create_timer(timedelta(days=1))
    event = yield from ctx.wait_for_external_event("go")
    if rounds:
        ctx.continue_as_new(rounds - 1)
        return None
    return [first, second, event]


@pytest.mark.parametrize("instance_id", LONGEST, ids=lambda text: f"{ord(text[0]):x} {len(text)}")
def test_the_longest_ids_can_do_what_others_can(instance_id: str) -> None:
    async def drive(world: World) -> object:
        client = world.client
        assert await client.start_new(parent, instance_id, client_input=2) == instance_id
        for event in range(3):
            await client.raise_event(instance_id, "go", event)
        await asyncio.sleep(20 * 86400)
        status = await client.get_status(instance_id)
        listed = await client.get_status_by(instance_id_prefix=instance_id)
        assert len([one for one in listed if one.instance_id == instance_id]) == 1
        assert await client.purge_instance_history(instance_id) == 1
        return status.output

    assert World(Registry().add(parent, child, double)).run(drive) == [0, 8, 2]


@pytest.mark.parametrize("instance_id", ["x" * 257, EMOJI * 231, EMOJI * 256, EMOJI * 205 + "x" * 51])
def test_an_id_that_some_key_could_not_hold_is_refused_where_it_is_given(instance_id: str) -> None:
    with pytest.raises(InvalidInstanceIdError, match="at most"):
        check_instance_id(instance_id)

    async def drive(world: World) -> None:
        with pytest.raises(InvalidInstanceIdError, match="at most"):
            await world.client.start_new(child, instance_id, client_input=1)
        assert not await world.client.get_status_all()

    World(Registry().add(child, double)).run(drive)


def test_the_bound_is_the_longest_key_that_holds_an_id() -> None:
    timer = f"{10**9}-{'x' * 16}-{10**9}-{10**9}d-"
    assert len(timer) + MAX_ID_UNITS <= 512


@orchestrator
def asks(ctx: OrchestrationContext, given: list[Any]) -> Orchestration[str]:
    how, name = given
    try:
        match how:
            case "child":
                yield from ctx.call_sub_orchestrator(child, 1, name)
            case "retried child":
                yield from ctx.call_sub_orchestrator(child, 1, name, retry=RetryPolicy(max_attempts=3))
            case "detached":
                ctx.start_orchestration(child, 1, name)
            case "target":
                ctx.send_event(name, "go")
            case _:
                ctx.send_event("other", name)
    except OrchestratorCodeError as error:
        return str(error)
    return "taken"


ODD = ["", "a/b", "x" * 257, EMOJI * 231, 7]


@pytest.mark.parametrize(
    "given",
    [[how, name] for how in ("child", "retried child", "detached", "target") for name in ODD]
    + [["retried child", "x" * 255], ["event", ""], ["event", "x" * 257], ["event", 7]],
    ids=lambda given: f"{given[0]} {given[1]!r:.5} {len(str(given[1]))}",
)
def test_orchestrator_code_that_gives_an_id_or_a_name_that_cannot_be_is_told_so_at_its_line(given: list[Any]) -> None:
    """Refused only when it is dispatched, it would hold its instance for ever."""

    async def drive(world: World) -> None:
        await world.client.start_new(asks, "one", client_input=given)
        done = await world.client.wait_for_completion("one", 600)
        assert done.output != "taken"
        assert "test_ids.py:" in str(done.output)
        assert not world.errors

    World(Registry().add(asks, child, double)).run(drive)
