"""A child may have an id that is in use once that is an earlier child of the same parent, and has ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, SubOrchestrationFailedError, orchestrator
from durable_core.errors import InstanceAlreadyExistsError
from durable_core.hub.instance_row import Instance
from durable_core.models import ParentLink, RuntimeStatus
from durable_core.runtime.turn.children import is_of_earlier_call
from durable_core.testing.simulation import World
from durable_core.testing.virtual_time import START

SECOND = timedelta(seconds=1)


@orchestrator
def child(ctx: OrchestrationContext, what: str) -> Orchestration[str]:
    if what == "waits":
        return (yield from ctx.wait_for_external_event("Go"))
    yield from ctx.create_timer(SECOND)
    if what == "fails":
        raise ValueError(what)
    return what


@orchestrator
def calls(ctx: OrchestrationContext, given: list[str]) -> Orchestration[list[str]]:
    """Children of one id, one after the other."""
    found: list[str] = []
    for what in given:
        try:
            result = yield from ctx.call_sub_orchestrator(child, what, "shared")
        except SubOrchestrationFailedError as error:
            result = "exists" if error.is_caused_by(InstanceAlreadyExistsError) else "failed"
        found.append(result)
    return found


@orchestrator
def at_once(ctx: OrchestrationContext) -> Orchestration[Any]:
    first = ctx.call_sub_orchestrator(child, "waits", "shared")
    second = ctx.call_sub_orchestrator(child, "x", "shared")
    yield from ctx.task_any([first, second])
    return second.is_faulted, first.is_completed


REGISTRY = Registry().add(child, calls, at_once)


def test_an_id_of_an_earlier_child_that_has_ended_is_taken_again() -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.start_new(calls, "one", client_input=["a", "fails", "b", "fails", "c"])
        done = await client.wait_for_completion("one", 600)
        assert done.output == ["a", "failed", "b", "failed", "c"]
        await client.start_new(calls, "one", client_input=["again"], if_exists="restart_if_done")
        assert (await client.wait_for_completion("one", 600)).output == ["again"]
        assert (await client.get_status("shared")).output == "again"
        await asyncio.sleep(60)
        listed = [status.instance_id for status in await client.get_status_all()]
        assert sorted(listed) == ["one", "shared"]

    World(REGISTRY).run(drive)


@pytest.mark.parametrize("ended", [False, True])
def test_an_id_of_somebody_elses_instance_is_refused_also_when_that_has_ended(ended: bool) -> None:
    async def drive(world: World) -> None:
        client = world.client
        await client.start_new(child, "shared", client_input="mine" if ended else "waits")
        await asyncio.sleep(60)
        await client.start_new(calls, "one", client_input=["a"])
        assert (await client.wait_for_completion("one", 600)).output == ["exists"]
        assert (await client.get_status("shared")).output == ("mine" if ended else None)
        await client.start_new(calls, "another", client_input=["b"])
        assert (await client.wait_for_completion("another", 600)).output == ["exists"]

    World(REGISTRY).run(drive)


def test_an_id_of_a_child_that_runs_is_refused() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new(at_once, "one")
        assert (await world.client.wait_for_completion("one", 600)).output == [True, False]

    World(REGISTRY).run(drive)


@pytest.mark.parametrize(
    ("earlier", "is_earlier"),
    [
        (ParentLink("p", "x", 0, 1), True),
        (ParentLink("p", "x", 1, 4, 2), True),
        (ParentLink("p", "x", 1, 5, 1), True),
        (ParentLink("p", "x", 1, 5, 2), False),  # the call itself
        (ParentLink("p", "x", 1, 5, 3), False),
        (ParentLink("p", "x", 1, 6), False),
        (ParentLink("p", "x", 2, 1), False),
        (ParentLink("p", "y", 7, 7), True),  # of another life of the parent, and made before
        (ParentLink("q", "x", 0, 1), False),
        (None, False),
    ],
)
def test_a_start_that_is_late_takes_no_id_from_a_later_call(earlier: ParentLink | None, is_earlier: bool) -> None:
    link = ParentLink("p", "x", 1, 5, 2)
    present = Instance(
        instance_id="shared", execution_id="e", name="child", version="", status=RuntimeStatus.FAILED,
        created=START, updated=START, input="null", parent=earlier,
    )  # fmt: skip
    assert is_of_earlier_call(present, link, START + SECOND) is is_earlier
    assert not is_of_earlier_call(present.but(status=RuntimeStatus.RUNNING), link, START + SECOND)
    if earlier is not None and earlier.execution_id != link.execution_id:
        assert not is_of_earlier_call(present, link, START - SECOND)
