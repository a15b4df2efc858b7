"""Unusual but right use of the durable API."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    ActivityFailedError,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Saga,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    activity,
    orchestrator,
)


@activity
def charge(amount: int) -> str:
    return str(amount)


@activity
async def refund(ctx: ActivityContext, receipt: str) -> None:
    await asyncio.sleep(0)


def is_busy(failure: object) -> bool:
    return asyncio.iscoroutine(failure)


POLICY = RetryPolicy(max_attempts=3, retry_if=is_busy)


def pay(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    try:
        return (yield from ctx.call_activity(charge, amount, retry=POLICY))
    except ActivityFailedError:
        return ""


def nothing(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ()


def parts(amount: int) -> Iterator[list[int]]:
    """A generator of plain values."""
    for at in range(amount):
        yield [at, at + 1]
    yield []


@orchestrator
def keeps_tasks(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    first = ctx.call_activity(charge, amount)
    _ = ctx.call_activity(charge, 0)  # nobody waits for it, on purpose
    tasks = [ctx.call_activity(charge, part) for part in range(3)]
    tasks.append(ctx.call_activity(charge, 9))
    named: dict[str, Task[str]] = {"late": ctx.call_activity(charge, 7)}
    deadline = ctx.create_timer(timedelta(days=1))
    ctx.start_orchestration("child", 1)
    ctx.send_event("other", "Started")
    winner = yield ctx.task_any([first, deadline])
    if winner is deadline:
        return "late"
    deadline.cancel()
    yield ctx.task_all(tasks)
    result = yield named["late"]
    yield from nothing(ctx)
    return result


@orchestrator
def calls_generators(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    runs: Callable[[OrchestrationContext, int], Orchestration[str]] = pay
    receipt = yield from pay(ctx, amount)
    other = pay(ctx, amount)
    receipt += yield from other
    receipt += yield from runs(ctx, 2)
    for first, second in parts(amount):
        receipt += yield from ctx.call_activity(charge, first + second)
    return receipt


@orchestrator
def cleans_up(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    try:
        receipt = yield from ctx.call_activity(charge, amount)
    except TaskCancelledError:
        yield from ctx.call_activity(refund, "all")
        raise
    except Exception as error:
        ctx.set_custom_status(repr(error))
        return "failed"
    try:
        yield from ctx.wait_for_external_event("Done", timeout=timedelta(hours=1))
    except BaseException:
        ctx.set_custom_status("stopped")
        raise
    with suppress(TaskTimeoutError):
        yield from ctx.wait_for_external_event("More", timeout=timedelta(hours=1))
    for _ in range(3):
        try:
            yield from ctx.call_activity(charge, amount)
        except (ActivityFailedError, TaskTimeoutError):
            continue
    try:
        int(receipt)
    except Exception:
        pass
    return receipt


@orchestrator
def cancelled_first(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    try:
        yield from ctx.call_activity(charge, amount)
    except TaskCancelledError:
        raise
    except Exception:
        pass
    return "done"


@orchestrator
def with_saga(ctx: OrchestrationContext, amount: int) -> Orchestration[list[str]]:
    def undo(receipt: str) -> Generator[Task[Any], Any, None]:
        yield from ctx.call_activity(refund, receipt)

    def body(saga: Saga) -> Generator[Task[Any], Any, list[str]]:
        receipt = yield from ctx.call_activity(charge, amount)
        saga.add_compensation(undo, receipt)
        saga.add_compensation(refund, receipt)
        return [receipt]

    saga = ctx.saga()
    saga.add_compensation(refund, "first")
    try:
        return (yield from ctx.run_saga(body))
    except TaskFailedError:
        yield from saga.compensate()
        raise


@orchestrator
def loops(ctx: OrchestrationContext) -> Orchestration[int]:
    count = 0
    while True:
        count += 1
        if count > 3:
            break
    while True:
        answer = yield from ctx.wait_for_external_event("Next", int)
        if answer == 0:
            return count
        count += answer


@orchestrator
def drains(ctx: OrchestrationContext, items: list[int]) -> Orchestration[int]:
    while items and items.pop():
        pass
    while (yield from ctx.wait_for_external_event("More", bool)):
        pass
    return len(items)


@orchestrator
def eternal(ctx: OrchestrationContext, round: int) -> Orchestration[None]:
    yield from ctx.create_timer(timedelta(hours=1))
    ctx.continue_as_new(round + 1)


@dataclass
class Cart:
    items: list[str]
    is_done: bool = False

    def add(self, item: str) -> None:
        self.items.append(item)

    def finish(self, _: object = None) -> None:
        self.is_done = True


@orchestrator
def handles_events(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    cart = Cart([])
    rejected = 0

    def on_bad(item: str) -> None:
        nonlocal rejected
        rejected += 1
        ctx.send_event("clerk", "Rejected", item)

    def progress() -> dict[str, int]:
        found: dict[str, int] = {}
        found["items"] = len(cart.items)
        found.update(rejected=rejected)
        return found

    ctx.on_event("Add", cart.add)
    ctx.on_event("Done", cart.finish)
    ctx.on_event("Bad", on_bad)
    ctx.set_query_handler("progress", progress)
    ctx.set_query_handler("items", lambda: sorted(cart.items))
    while not cart.is_done:
        yield from ctx.wait_condition(lambda: cart.is_done or len(cart.items) > 3, timeout=timedelta(days=1))
    return cart.items


@orchestrator
def steps_with_values(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    def keep(reference: str) -> str:
        ctx.logger.info("kept for %s", ctx.instance_id)
        return charge(amount) + reference  # in a step an activity is a function like any other

    first = yield from ctx.run("charge", charge, amount)
    second = yield from ctx.run("keep", keep, ctx.new_uuid())
    return first + second


class Flow:
    """Orchestrators may be made within functions and keep helper methods."""

    def __init__(self, ctx: OrchestrationContext) -> None:
        self.ctx = ctx
        self.steps: list[str] = []

    def step(self, name: str) -> Orchestration[str]:
        self.steps.append(name)
        return (yield from self.ctx.call_activity(charge, len(self.steps)))

    @property
    def count(self) -> int:
        return len(self.steps)


@orchestrator
def object_oriented(ctx: OrchestrationContext) -> Orchestration[int]:
    flow = Flow(ctx)
    yield from flow.step("first")
    yield from flow.step("second")
    return flow.count


def marked_below(amount: int) -> int:
    return amount


def renamed_below(amount: int) -> int:
    return amount


activity(marked_below)
RENAMED = activity(name="renamed")(renamed_below)


@orchestrator
def calls_what_is_marked_later(ctx: OrchestrationContext, chosen: Callable[[int], int]) -> Orchestration[int]:
    first = yield from ctx.call_activity(marked_below, 1)
    second = yield from ctx.call_activity(renamed_below, 1)
    third = yield from ctx.call_activity(RENAMED, 1)
    fourth = yield from ctx.call_activity("by_name", 1)
    fifth: int = yield from ctx.call_activity(chosen, 1)
    return first + second + third + fourth + fifth


@orchestrator
def takes_updates(ctx: OrchestrationContext) -> Orchestration[list[int]]:
    """Handlers change variables and wait; validators read."""
    numbers: list[int] = []
    is_closed = False

    def add(number: int) -> Orchestration[int]:
        numbers.append((yield from ctx.call_activity(charge, number)))
        return len(numbers)

    def may_add(number: int) -> None:
        if number in numbers:
            raise ValueError("it is there already")

    def close() -> int:
        nonlocal is_closed
        is_closed = True
        return len(numbers)

    ctx.set_update_handler("add", add, may_add)
    ctx.set_update_handler("close", close)
    yield from ctx.wait_condition(lambda: is_closed and ctx.all_updates_ended)
    return numbers
