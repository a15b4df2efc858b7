"""One orchestrator per feature, for golden histories. The files beside this one were made by this code.

They must fit it in every later release: do not change what an orchestrator here decides; write another one.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    Orchestration,
    OrchestrationContext,
    RetryPolicy,
    Saga,
    StepFailedError,
    SubOrchestrationFailedError,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    activity,
    orchestrator,
)

TWICE = RetryPolicy(max_attempts=2, first_interval=timedelta(seconds=1))


@activity
def echo(value: Any) -> Any:
    return value


@activity
def refuse(value: Any) -> Any:
    raise LookupError(f"no {value}")


@orchestrator
def child(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    if number < 0:
        yield from ctx.call_activity(refuse, number)
    return (yield from ctx.call_activity(echo, number))


@orchestrator
def family(ctx: OrchestrationContext, number: int) -> Orchestration[list[Any]]:
    """Sub-orchestrations: several at once, one with an id of its own, one that fails, one that is not waited for."""
    first = ctx.call_sub_orchestrator(child, number)
    second = ctx.call_sub_orchestrator(child, number + 1, f"{ctx.instance_id}-second")
    sums: list[Any] = yield from ctx.task_all([first, second])
    try:
        yield from ctx.call_sub_orchestrator(child, -1, retry=TWICE)
    except SubOrchestrationFailedError as error:
        sums.append(error.failure.type)
    ctx.start_orchestration(child, 7, f"{ctx.instance_id}-detached")
    return sums


def _fail(what: str) -> str:
    raise LookupError(f"no {what}")


def _price(item: str) -> float:
    return len(item) / 2


@orchestrator
def steps(ctx: OrchestrationContext, item: str) -> Orchestration[list[Any]]:
    """Inline steps: alone, two at once, and one that fails."""
    number = yield from ctx.run("number", len, item)
    prices = yield from ctx.task_all([ctx.run("price", _price, item), ctx.run("price of two", _price, item * 2)])
    try:
        yield from ctx.run("fail", _fail, item, retry=TWICE)
    except StepFailedError as error:
        return [number, *prices, error.failure.message]
    return []


@orchestrator
def timers(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    """Timers: short, of days, cancelled; the context's clock, ids and random numbers."""
    began = ctx.current_utc_datetime
    yield from ctx.create_timer(timedelta(seconds=5))
    reminder = ctx.create_timer(timedelta(days=30))
    pause = ctx.create_timer(began + timedelta(days=2))
    yield from ctx.task_any([reminder, pause])
    reminder.cancel()
    seen = [ctx.new_uuid(), str(ctx.random.randrange(1000)), str(ctx.current_utc_datetime - began)]
    for _ in range(ctx.random.randrange(2, 5)):
        yield from ctx.create_timer(timedelta(seconds=1))
    return seen


@orchestrator
def basket(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    """Events: a handler, a condition, waits with and without a time limit, an event sent to another instance."""
    items: list[Any] = []
    ctx.on_event("Add", items.append)
    ctx.set_query_handler("items", lambda: items)
    yield from ctx.wait_condition(lambda: len(items) >= 2, timeout=timedelta(hours=1))
    ctx.send_event(items[0], "Go", {"items": items})
    try:
        yield from ctx.wait_for_external_event("Coupon", str, timeout=timedelta(minutes=5))
    except TaskTimeoutError:
        items.append("no coupon")
    ctx.set_custom_status({"items": len(items)})
    paid = yield from ctx.wait_for_external_event("Paid", dict[str, int])
    return [*items, paid["cents"]]


@orchestrator
def listener(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.wait_for_external_event("Go"))


@orchestrator
def signature(ctx: OrchestrationContext, customer: str) -> Orchestration[str]:
    """A callback: its URL is handed out by an activity, and its answer comes from outside."""
    answer = ctx.callback("signature", str, timeout=timedelta(days=14))
    yield from ctx.call_activity(echo, {"to": customer, "url": answer.url})
    try:
        return (yield from answer.task)
    except TaskTimeoutError:
        return "not signed"


@orchestrator
def trip(ctx: OrchestrationContext, city: str) -> Orchestration[list[str]]:
    """A saga that is undone, and the failure that made it so."""

    def book(saga: Saga) -> Generator[Task[Any], Any, list[str]]:
        flight = yield from ctx.call_activity(echo, f"flight to {city}")
        saga.add_compensation(echo, f"cancel {flight}")
        car = yield from ctx.call_activity(echo, f"car in {city}")
        saga.add_compensation(echo, f"cancel {car}")
        hotel = yield from ctx.call_activity(refuse, f"hotel in {city}", retry=TWICE)
        return [flight, car, hotel]

    return (yield from ctx.run_saga(book))


@orchestrator
def rounds(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
    """continue_as_new, with events that are carried from one generation to the next."""
    name = yield from ctx.wait_for_external_event("next", str)
    yield from ctx.call_activity(echo, name)
    if left > 1:
        ctx.continue_as_new(left - 1)
        return 0
    yield from ctx.wait_for_external_event("stop")
    return left


@orchestrator
def film(ctx: OrchestrationContext, service: str) -> Orchestration[Any]:
    """A durable HTTP call that is answered by 202 at first."""
    response = yield from ctx.call_http("POST", f"{service}/films", {"title": "Cats"}, retry=TWICE)
    return response.json()


@orchestrator
def tidy(ctx: OrchestrationContext) -> Orchestration[str]:
    """Suspended and resumed, then cancelled: it cleans up and ends."""
    try:
        yield from ctx.wait_for_external_event("first")
        yield from ctx.call_sub_orchestrator(listener, None, f"{ctx.instance_id}-child")
    except TaskCancelledError:
        yield from ctx.call_activity(echo, "cleaned up")
        raise
    return "done"


@orchestrator
def fan(ctx: OrchestrationContext, width: int) -> Orchestration[int]:
    """Many at once with a bound, some of which fail; the first of several."""
    values = yield from ctx.task_all((ctx.call_activity(echo, n) for n in range(width)), max_concurrency=3)
    failing = ctx.call_activity(refuse, "luck")
    winner = yield from ctx.task_any([failing, ctx.create_timer(timedelta(days=1))])
    if winner is failing:
        try:
            yield from failing
        except TaskFailedError as error:
            if not error.is_caused_by(LookupError):
                raise
    return sum(values)


@orchestrator
def report(ctx: OrchestrationContext, region: str) -> Orchestration[str]:
    """What the schedule runs."""
    return (yield from ctx.call_activity(echo, f"report of {region}"))


@orchestrator(name="recipe", version="1")
def recipe_1(ctx: OrchestrationContext, dish: str) -> Orchestration[list[str]]:
    """An old version, kept for what was started with it."""
    return [(yield from ctx.call_activity(echo, f"boil {dish}"))]


@orchestrator(name="recipe", version="2")
def recipe_2(ctx: OrchestrationContext, dish: str) -> Orchestration[list[str]]:
    """Two changes inside a version: one that is new, and one whose old way nobody needs any more."""
    steps = [(yield from ctx.call_activity(echo, f"wash {dish}"))]
    ctx.deprecate_patch("peel")
    steps.append((yield from ctx.call_activity(echo, f"peel {dish}")))
    if ctx.patched("salt"):
        steps.append((yield from ctx.call_activity(echo, f"salt {dish}")))
    yield from ctx.wait_for_external_event("served")
    return steps


OFTEN = RetryPolicy(max_attempts=7, first_interval=timedelta(seconds=1), backoff=1.0)


@activity
def on_try(ctx: ActivityContext, number: int) -> int:
    """Succeeds at this attempt."""
    if ctx.attempt < number:
        raise LookupError(f"no luck at attempt {ctx.attempt}")
    return ctx.attempt


@orchestrator
def shop_child(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    """Succeeds in the second attempt of its parent, whose number is at the end of its id."""
    if not ctx.instance_id.endswith(".2"):
        yield from ctx.call_activity(refuse, number)
    return (yield from ctx.call_activity(echo, number))


@orchestrator
def retried(ctx: OrchestrationContext, attempts: int) -> Orchestration[list[Any]]:
    """Attempts of an activity, a step and a sub-orchestration."""
    made = [(yield from ctx.call_activity(on_try, attempts, retry=OFTEN))]
    made.append((yield from ctx.call_sub_orchestrator(shop_child, 3, retry=TWICE)))
    try:
        yield from ctx.run("fail", _fail, "tea", retry=TWICE)
    except StepFailedError:
        made.append((yield from ctx.call_activity(echo, "no tea")))
    return made


@orchestrator
def ended_by_two(ctx: OrchestrationContext) -> Orchestration[None]:
    """Fails because of two tasks, each of which was tried twice."""
    errors: list[TaskFailedError] = []
    for task in [ctx.call_activity(refuse, name, retry=TWICE) for name in ("salt", "pepper")]:
        try:
            yield from task
        except TaskFailedError as error:
            errors.append(error)
    raise ExceptionGroup("no spice", errors)
