"""``client.restart``: under a new id, under its own, and with a crash at any of its operations."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, orchestrator
from durable_core.errors import (
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    OperationRefusedError,
)
from durable_core.models import Origin, RuntimeStatus
from durable_core.testing import TestEnvironment
from durable_core.testing.faults import Fault, FaultPlan, HostCrashError
from durable_core.testing.simulation import World
from tests.support.totals import Totals

from .exhaustive import strike_each
from .oracle import check, come_to_rest, watched
from .scenarios import Effects, make_registry, result


@orchestrator
def echo(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(hours=1))
    return text


@orchestrator(name="echo", version="2")
def newer_echo(ctx: OrchestrationContext, text: str) -> Orchestration[str]:
    yield from ctx.create_timer(timedelta(hours=1))
    return f"new {text}"


@orchestrator
def mother(ctx: OrchestrationContext) -> Orchestration[str]:
    text = yield from ctx.call_sub_orchestrator(echo, "child", "kid")
    return text


@pytest.fixture
def env() -> Any:
    with TestEnvironment(echo, mother) as env:
        yield env


def test_a_restart_takes_over_input_tags_and_time_limit_and_names_its_origin(env: TestEnvironment) -> None:
    client = env.client
    old = env.run(client.start_new("echo", "old", "a", tags={"shop": "berlin"}, timeout=timedelta(hours=2)))
    assert env.result("old") == "a"
    new = env.run(client.restart("old"))
    status = env.status(new)
    assert new != "old"
    assert (status.input_, status.tags, status.name) == ("a", {"shop": "berlin"}, "echo")
    assert status.restarted_from == Origin("old", getattr(old, "execution_id", ""))
    assert status.deadline is not None
    assert status.created_time is not None
    assert status.deadline - status.created_time == timedelta(hours=2)
    assert env.result(new) == "a"


def test_an_instance_that_runs_is_restarted_under_another_id_only(env: TestEnvironment) -> None:
    env.run(env.client.start_new("echo", "old", "a"))
    assert env.run(env.client.restart("old", new_instance_id="new", client_input="b")) == "new"
    with pytest.raises(OperationRefusedError, match="is Running and cannot be restarted under its own id"):
        env.run(env.client.restart("old", False))
    with pytest.raises(InstanceAlreadyExistsError):
        env.run(env.client.restart("old", new_instance_id="new"))
    assert (env.result("old"), env.result("new")) == ("a", "b")
    assert env.run(env.client.restart("old", False)) == "old"
    assert env.status("old").runtime_status is not RuntimeStatus.COMPLETED
    assert env.result("old") == "a"


def test_what_cannot_be_restarted_is_refused(env: TestEnvironment) -> None:
    first = env.run(env.client.start_new("mother", "old"))
    assert env.result("old") == "child"
    wrong: list[tuple[type[Exception], str, tuple[Any, ...], dict[str, Any]]] = [
        (InstanceNotFoundError, "no instance 'nobody'", ("nobody",), {}),
        (OperationRefusedError, "sub-orchestration of 'old'", ("kid", False), {}),
        (InvalidInputError, "new_instance_id", ("old", False), {"new_instance_id": "x"}),
        (InvalidInputError, "version '9'", ("old",), {"version": "9"}),
        (InvalidInputError, "not a valid str", ("kid",), {"client_input": 7}),
        (ExecutionGoneError, "earlier execution", ("old",), {"execution_id": "another"}),
    ]
    for error, problem, arguments, options in wrong:
        with pytest.raises(error, match=problem):
            env.run(env.client.restart(*arguments, **options))
    assert env.run(env.client.restart("kid", new_instance_id="orphan")) == "orphan"
    assert env.result("orphan") == "child"
    assert env.status("orphan").parent_instance_id is None
    assert env.run(env.client.restart(first, execution_id=getattr(first, "execution_id", "")))


def test_it_takes_the_newest_version_unless_one_is_given() -> None:
    with TestEnvironment(echo, newer_echo) as env:
        env.run(env.client.start_new("echo", "old", "a", version=""))
        new, same = (env.run(env.client.restart("old", version=version)) for version in (None, ""))
        assert (env.result(new), env.result(same)) == ("new a", "a")


def test_schedules_are_not_restarted(env: TestEnvironment) -> None:
    env.run(env.client.create_schedule("nightly", "mother", cron="0 2 * * *"))
    listed = env.run(env.client.list_instances(instance_id_prefix="durable."))
    with pytest.raises(InvalidInputError, match="belongs to the framework"):
        env.run(env.client.restart(listed.instances[0].instance_id))


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("has_new_id", [True, False])
def test_a_fault_at_any_storage_operation_leaves_one_instance_that_ends(
    has_new_id: bool, fault: Fault, totals: Totals
) -> None:
    """The door of another host restarts; after its death the caller tries again."""

    def run(plan: FaultPlan) -> tuple[object, World]:
        effects = Effects()
        world = World(make_registry(effects))
        oracle = watched(world)

        async def drive(world: World) -> Any:
            await world.client.start_new("chain", "one", 2, tags={"a": "b"})
            await result(world, "one")
            host = world.add_host(plan=plan)
            new = "two" if has_new_id else None
            with suppress(HostCrashError, Exception):
                await host.app.client.restart("one", has_new_id, new_instance_id=new)
            with suppress(OperationRefusedError, InstanceAlreadyExistsError):
                await world.client.restart("one", has_new_id, new_instance_id=new)
            await asyncio.sleep(1800)  # until recovery has forgotten the row of a start that came to nothing
            await come_to_rest(world)
            await check(world, effects, oracle=oracle)
            status = await world.client.get_status(new or "one")
            assert status.restarted_from is not None
            return status.output, status.tags, status.restarted_from.instance_id

        outcome = world.run(drive)
        world.plans[:] = [plan]
        return outcome, world

    strike_each(run, fault, (4, {"a": "b"}, "one"), totals, receipts=False, at_most=3)
