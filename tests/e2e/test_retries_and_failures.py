"""Retries and failures through the whole runtime, in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from durable_core import (
    ActivityContext,
    NonRetriableError,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryOptions,
    RetryPolicy,
    RuntimeStatus,
    SubOrchestrationFailedError,
    TaskFailedError,
    activity,
    orchestrator,
)
from durable_core.settings import Settings
from durable_core.testing.simulation import World

SECOND = timedelta(seconds=1)
LOOP: dict[str, Callable[[], float]] = {}
TRIES: dict[str, list[float]] = {}


@activity
def flaky(ctx: ActivityContext, told: dict[str, Any]) -> int:
    TRIES.setdefault(told["name"], []).append(asyncio.get_running_loop().time())
    if ctx.attempt <= told["failures"]:
        raise OSError(f"attempt {ctx.attempt}")
    return ctx.attempt


@activity(retry=RetryPolicy(max_attempts=4, first_interval=SECOND, backoff=1))
def four_times(told: dict[str, Any]) -> int:
    TRIES.setdefault(told["name"], []).append(0)
    raise OSError("again and again")


@activity
def final(told: dict[str, Any]) -> int:
    TRIES.setdefault(told["name"], []).append(0)
    raise NonRetriableError("no use")


@activity
def leaves(how: str) -> None:
    match how:
        case "exit":
            raise SystemExit(3)
        case "shy":
            raise Shy
        case "group":
            raise ExceptionGroup("two", [KeyError("k"), ValueError("v")])
        case _:
            raise Picky("a", b=2)


class Shy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


class Picky(LookupError):
    def __init__(self, a: str, *, b: int) -> None:
        super().__init__(f"{a} and {b}")


POLICIES: dict[str, RetryPolicy | None] = {
    "none": None,
    "five": RetryPolicy(max_attempts=5, first_interval=10 * SECOND, backoff=2, max_interval=30 * SECOND),
    "options": RetryOptions(2_000, 3),
    "bounded": RetryPolicy(max_attempts=99, first_interval=100 * SECOND, backoff=1, total_timeout=350 * SECOND),
    "type": RetryPolicy(max_attempts=9, non_retriable=[OSError]),
    "name": RetryPolicy(max_attempts=9, non_retriable=["OSError"]),
    "predicate": RetryPolicy(max_attempts=9, first_interval=SECOND, retry_if=lambda failure: "1" in failure.message),
    "broken predicate": RetryPolicy(max_attempts=9, retry_if=lambda failure: bool(1 / 0)),
    "long": RetryPolicy(max_attempts=2, first_interval=timedelta(days=20), max_interval=timedelta(days=30)),
    "jitter": RetryPolicy(max_attempts=2, first_interval=1000 * SECOND, max_interval=1000 * SECOND, jitter=1.0),
}


@orchestrator
def retries(ctx: OrchestrationContext, told: dict[str, Any]) -> Orchestration[Any]:
    try:
        match told.get("as", "activity"):
            case "activity":
                return (yield from ctx.call_activity(flaky, told, retry=POLICIES[told["policy"]]))
            case "with retry":
                policy = POLICIES[told["policy"]] or RetryPolicy()
                return (yield from ctx.call_activity_with_retry("flaky", policy, told))
            case "child":
                return (yield from ctx.call_sub_orchestrator(tries, told, retry=POLICIES[told["policy"]]))
            case other:
                return (yield from ctx.call_activity(other, told))
    except TaskFailedError as error:
        return error.failure.message


@orchestrator
def tries(ctx: OrchestrationContext, told: dict[str, Any]) -> Orchestration[int]:
    """Fails as often as it is told: its id tells the attempt."""
    attempt = int(ctx.instance_id.rsplit(".", 1)[1]) if "." in ctx.instance_id else 1
    yield ctx.create_timer(ctx.current_utc_datetime)
    TRIES.setdefault(told["name"], []).append(0)
    if attempt <= told["failures"]:
        raise OSError(f"attempt {attempt}")
    return attempt


@orchestrator
def wide(ctx: OrchestrationContext, width: int) -> Orchestration[list[int]]:
    calls = [ctx.call_activity(flaky, {"name": "wide", "failures": 1}, retry=POLICIES["jitter"]) for _ in range(width)]
    return (yield from ctx.task_all(calls))


@orchestrator
def child_of_leaves(ctx: OrchestrationContext, how: str) -> Orchestration[None]:
    yield from ctx.call_activity(leaves, how)


@orchestrator
def parent_of_leaves(ctx: OrchestrationContext, how: str) -> Orchestration[list[object]]:
    try:
        yield from ctx.call_sub_orchestrator(child_of_leaves, how)
    except SubOrchestrationFailedError as error:
        inner = error.failure.cause
        assert inner is not None
        return [error.failure.type, inner.type, inner.message, inner.stack_trace]
    return []


REGISTRY = Registry().add(flaky, four_times, final, leaves, retries, tries, wide, child_of_leaves, parent_of_leaves)


def run(name: str, told: Any, cache: int = 1 << 26) -> tuple[OrchestrationStatus, World]:
    TRIES.clear()
    world = World(REGISTRY, settings=Settings(warm_cache=cache), counting=True)

    async def scenario(world: World) -> OrchestrationStatus:
        await world.client.start_new(name, "one", told)
        status = await world.client.wait_for_completion("one", 0)
        while not status.is_terminal:
            await asyncio.sleep(600)
            status = await world.client.get_status("one", show_history=True)
        return await world.client.get_status("one", show_history=True)

    status = world.run(scenario)
    assert not world.errors, world.errors
    assert not world.failures, world.failures
    return status, world


def gaps(name: str) -> list[int]:
    times = TRIES[name]
    return [round(after - before) for before, after in pairwise(times)]


@pytest.mark.parametrize("cache", [1 << 26, 0], ids=["warm", "cold"])
@pytest.mark.parametrize(
    ("policy", "failures", "output", "waits"),
    [
        ("none", 1, "attempt 1", []),
        ("five", 3, 4, [10, 20, 30]),
        ("five", 9, "attempt 5", [10, 20, 30, 30]),
        ("options", 2, 3, [2, 2]),
        ("bounded", 99, "attempt 4", [100, 100, 100]),
        ("type", 9, "attempt 1", []),
        ("name", 9, "attempt 1", []),
        ("predicate", 9, "attempt 2", [1]),
        ("broken predicate", 9, "attempt 1", []),
        ("long", 1, 2, [20 * 86_400]),
    ],
)
def test_an_activity_is_tried_as_its_policy_says(
    policy: str, failures: int, output: object, waits: list[int], cache: int
) -> None:
    told = {"name": policy, "policy": policy, "failures": failures}
    status, _ = run("retries", told, cache)
    assert status.output == output
    found = gaps(policy)
    assert len(found) == len(waits)
    assert all(wait <= gap <= wait + 1 for wait, gap in zip(waits, found, strict=True)), found


@pytest.mark.parametrize(("policy", "attempts"), [("five", 5), ("options", 3), ("none", 1), ("type", 1)])
def test_a_sub_orchestration_is_tried_as_its_policy_says(policy: str, attempts: int) -> None:
    status, _ = run("retries", {"as": "child", "name": policy, "policy": policy, "failures": 99})
    assert status.output == f"attempt {attempts}"
    assert len(TRIES[policy]) == attempts
    status, _ = run("retries", {"as": "child", "name": policy, "policy": policy, "failures": attempts - 1})
    assert status.output == attempts


def test_both_spellings_and_the_decorator_are_heard() -> None:
    assert run("retries", {"as": "with retry", "name": "a", "policy": "options", "failures": 2})[0].output == 3
    assert run("retries", {"as": "four_times", "name": "b"})[0].output == "again and again"
    assert len(TRIES["b"]) == 4
    assert run("retries", {"as": "final", "name": "c"})[0].output == "no use"
    assert len(TRIES["c"]) == 1


def test_a_final_error_beats_every_policy() -> None:
    assert run("retries", {"as": "final", "name": "c"})[0].output == "no use"
    assert len(TRIES["c"]) == 1


def test_retries_do_not_grow_the_history_and_nothing_follows_the_last_failure() -> None:
    shapes: dict[int, tuple[int, Counter[str]]] = {}
    for failures in (0, 1, 4, 99):
        status, world = run("retries", {"name": "h", "policy": "five", "failures": failures})
        history = status.history_events or []
        shapes[failures] = (len(history), Counter(event["EventType"] for event in history))
        ended = max(TRIES["h"])
        assert world.loop.time() - ended < 1000
        sends = [request for request in world.counted.counts.requests if request.kind == "queue.send"]
        # the wake-up, then for each further attempt one work message, and one for its result where it is not warm
        assert len(sends) <= 1 + 2 * (len(TRIES["h"]) - 1)
    assert shapes[0] == shapes[1] == shapes[4]
    assert shapes[99][0] == shapes[0][0]
    assert shapes[99][1]["TimerCreated"] == 0


def test_each_attempt_of_a_wide_fan_out_has_a_jitter_of_its_own() -> None:
    status, _ = run("wide", 12)
    assert status.output == [2] * 12
    second = TRIES["wide"][12:]
    assert len({round(at) for at in second}) > 6


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("exit", "SystemExit", "3"),
        ("shy", f"{__name__}.Shy", "(its text cannot be had: str() raised RuntimeError)"),
        ("group", "ExceptionGroup", "two (2 sub-exceptions)"),
        ("picky", f"{__name__}.Picky", "a and 2"),
    ],
)
def test_whatever_an_activity_raises_reaches_parent_and_client(how: str, kind: str, message: str) -> None:
    status, _ = run("parent_of_leaves", how)
    assert status.output[:3] == ["durable_core.errors.ActivityFailedError", kind, message]
    assert "in leaves" in status.output[3]
    status, _ = run("child_of_leaves", how)
    assert status.runtime_status is RuntimeStatus.FAILED
    assert status.failure is not None
    assert status.failure.cause is not None
    assert (status.failure.cause.type, status.failure.cause.message) == (kind, message)
    assert "in child_of_leaves" in status.failure.stack_trace
