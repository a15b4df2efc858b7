"""One orchestrator per feature, for golden histories. The files beside this one were made by this code.

They must fit it in every later release: do not change what an orchestrator here decides; write another one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from datetime import timedelta
from typing import Any

from durable_core import (
    ActivityContext,
    AtLeast,
    EntityId,
    EntityOperationFailedError,
    Interceptor,
    JournalContext,
    Limit,
    MapFailedError,
    Orchestration,
    OrchestrationContext,
    OutgoingCall,
    RetryPolicy,
    Saga,
    StepFailedError,
    SubOrchestrationFailedError,
    Task,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
    Tolerate,
    activity,
    entity,
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


@orchestrator
def waits_with_children(ctx: OrchestrationContext) -> Orchestration[None]:
    """Sub-orchestrations that end when it ends."""
    ctx.call_sub_orchestrator(waits_for_nothing, None, f"{ctx.instance_id}-cancelled", parent_close="cancel")
    ctx.call_sub_orchestrator(waits_for_nothing, None, f"{ctx.instance_id}-terminated", parent_close="terminate")
    ctx.call_sub_orchestrator(waits_for_nothing, None, f"{ctx.instance_id}-abandoned", parent_close="abandon")
    yield from ctx.create_timer(timedelta(minutes=1))


@orchestrator
def waits_for_nothing(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("Never")


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


@activity(limit=Limit(name="oven", concurrency=1, key=lambda dish: dish))
def bake(dish: str) -> str:
    return dish


@orchestrator
def bakes(ctx: OrchestrationContext, dishes: list[str]) -> Orchestration[list[str]]:
    """Calls that wait for slots, and a section that holds one."""
    baked = yield from ctx.task_all([ctx.call_activity(bake, dish) for dish in dishes])
    with (yield from ctx.slot(Limit(name="table", concurrency=2, rate=5), "one", group="us", priority=1)):
        yield from ctx.wait_for_external_event("served")
    return baked


@orchestrator(limit=Limit(name="kitchen", concurrency=1, fair=lambda left: f"group {left % 2}"))
def shifts(ctx: OrchestrationContext, left: int) -> Orchestration[int]:
    """Waits for its slot before it begins, and holds it through its generations."""
    yield from ctx.call_activity(echo, f"shift {left}")
    if left:
        ctx.continue_as_new(left - 1)
        return left
    yield from ctx.wait_for_external_event("closed")
    return left


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


@entity(name="purse")
class Purse:
    coins: int = 0

    def put(self, coins: int) -> int:
        self.coins += coins
        return self.coins

    def take(self, coins: int) -> int:
        if coins > self.coins:
            raise ValueError(f"there are {self.coins} coins")
        self.coins -= coins
        return self.coins


@orchestrator
def purses(ctx: OrchestrationContext, coins: int) -> Orchestration[list[Any]]:
    """Signals, one of them delayed, calls, one of which fails, and a critical section; a lock that is withdrawn."""
    mine, yours = EntityId("Purse", "mine"), EntityId("Purse", "yours")
    ctx.signal_entity(mine, Purse.put, coins)
    ctx.signal_entity(yours, Purse.put, 1, at=timedelta(hours=1))
    found: list[Any] = [(yield from ctx.call_entity(mine, Purse.put, 1))]
    try:
        yield from ctx.call_entity(mine, Purse.take, 1000)
    except EntityOperationFailedError as error:
        found.append(error.failure.message)
    with (yield from ctx.lock(mine, yours)):
        found.append((yield from ctx.call_entity(mine, Purse.take, coins)))
        found.append((yield from ctx.call_entity(yours, Purse.put, coins)))
    ctx.lock(yours).cancel()
    return found


@orchestrator
def counter_of_votes(ctx: OrchestrationContext, votes: int) -> Orchestration[int]:
    """Updates: one that ends at once, one that waits, one that fails."""
    is_closed = False

    def vote(number: int) -> int:
        nonlocal votes
        votes += number
        return votes

    def positive(number: int) -> None:
        if number < 1:
            raise ValueError("at least one vote")

    def ask(city: str) -> Orchestration[int]:
        yield from ctx.call_activity(echo, city)
        number = yield from ctx.wait_for_external_event("Answered", int)
        return vote(number)

    def object_() -> None:
        raise LookupError("nobody may object")

    def close() -> int:
        nonlocal is_closed
        is_closed = True
        return votes

    ctx.set_update_handler("vote", vote, positive)
    ctx.set_update_handler("ask", ask)
    ctx.set_update_handler("object", object_)
    ctx.set_update_handler("close", close)
    yield from ctx.wait_condition(lambda: is_closed and ctx.all_updates_ended)
    return votes


def leg(ctx: OrchestrationContext, name: str, hours: int, log: list[str]) -> Orchestration[str]:
    """A branch of an excursion: two steps, undone by a third when it is cancelled."""
    try:
        seat = yield from ctx.call_activity(echo, f"seat in {name}")
        yield from ctx.create_timer(timedelta(hours=hours))
        return (yield from ctx.call_activity(echo, f"{seat}, paid"))
    except TaskCancelledError:
        log.append((yield from ctx.call_activity(echo, f"give back {name}")))
        raise


@orchestrator
def excursion(ctx: OrchestrationContext, guests: int) -> Orchestration[list[str]]:
    """Branches: both of two, with a time limit, the first of two, at most so many, one that is held and cancelled."""
    log: list[str] = []
    bus, lunch = yield from ctx.gather(leg(ctx, "bus", 1, log), leg(ctx, "lunch", 2, log))
    try:
        yield from ctx.with_timeout(leg(ctx, "boat", 30, log), timedelta(hours=3))
    except TaskTimeoutError:
        log.append("no boat")
    winner = yield from ctx.task_any([leg(ctx, "train", 9, log), leg(ctx, "plane", 1, log)])
    places = yield from ctx.task_all((leg(ctx, str(n), 1, log) for n in range(guests)), max_concurrency=2)
    held = ctx.branch(leg(ctx, "museum", 50, log))
    word = yield from ctx.wait_for_external_event("Word", str)
    held.cancel()
    try:
        yield from held
    except TaskCancelledError:
        log.append(word)
    return [bus, lunch, winner.result, *places, *log]


async def leg_in_async(ctx: OrchestrationContext, name: str, hours: int, log: list[str]) -> str:
    """The same branch in the second spelling."""
    try:
        seat = await ctx.call_activity(echo, f"seat in {name}")
        await ctx.create_timer(timedelta(hours=hours))
        return await ctx.call_activity(echo, f"{seat}, paid")
    except TaskCancelledError:
        log.append(await ctx.call_activity(echo, f"give back {name}"))
        raise


@orchestrator
async def excursion_in_async(ctx: OrchestrationContext, guests: int) -> list[str]:
    """``async def``: the same as ``excursion``, with a failure that one branch ends with and another one undoes."""
    log: list[str] = []

    async def refused() -> str:
        await ctx.create_timer(timedelta(minutes=30))
        return str(await ctx.call_activity(refuse, "lunch"))

    try:
        await ctx.gather(leg_in_async(ctx, "bus", 5, log), refused())
    except TaskFailedError as error:
        log.append(error.failure.type)
    with await ctx.slot(Limit(name="table", concurrency=2, rate=5), "two"):
        places = await ctx.task_all((leg_in_async(ctx, str(n), 1, log) for n in range(guests)), max_concurrency=2)
    word = await ctx.wait_for_external_event("Word", str)
    return [*places, *log, word]


@orchestrator
def waiter(ctx: OrchestrationContext) -> Orchestration[list[str]]:
    """Updates whose handlers are ``async def``, one of which its orchestrator leaves unfinished."""
    orders: list[str] = []

    async def order(dish: str) -> int:
        orders.append(await ctx.call_activity(echo, dish))
        await ctx.create_timer(timedelta(minutes=10))
        return len(orders)

    async def wait_for_guests() -> None:
        await ctx.wait_for_external_event("Guests")

    ctx.set_update_handler("order", order)
    ctx.set_update_handler("wait", wait_for_guests, unfinished="abandon")
    yield from ctx.wait_condition(lambda: len(orders) == 2)
    yield from ctx.create_timer(timedelta(hours=1))
    return orders


class Stamping(Interceptor):
    """Gives each call a header of its own. The history holds them, and fits the code without this interceptor."""

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["by"] = f"{ctx.name}, {call.kind}"


@orchestrator
def told_of_headers(ctx: OrchestrationContext) -> Orchestration[Any]:
    return (yield from ctx.call_activity(echo, dict(ctx.headers)))


@orchestrator
def headed(ctx: OrchestrationContext) -> Orchestration[list[Any]]:
    """Headers: as many calls as the instance has of them, each kind of call with headers of its own."""
    purse = EntityId("purse", ctx.headers["tenant"])
    told: list[Any] = [(yield from ctx.call_sub_orchestrator(told_of_headers, instance_id="headed-child"))]
    for _ in range(ctx.headers["calls"]):
        told.append((yield from ctx.call_activity(echo, "again", inline=False)))
    ctx.signal_entity(purse, Purse.put, 3)
    told.append((yield from ctx.call_entity(purse, Purse.take, 1)))
    ctx.start_orchestration(told_of_headers, instance_id="headed-other")
    return told


@activity
def read_page(number: int) -> str:
    if number % 4 == 3:
        raise LookupError(f"no page {number}")
    return f"page {number}"


@orchestrator
def maps(ctx: OrchestrationContext, pages: int) -> Orchestration[list[Any]]:
    """Windows of work: in this history and in batches, with each policy, one of them exceeded, and one cancelled."""
    direct = yield from ctx.map(read_page, [0, 1, 2], max_concurrency=2)
    lazily = yield from ctx.map(echo, (number for number in range(pages)), max_concurrency=4, batch_size=3)
    settled = yield from ctx.map(read_page, range(pages), policy="all_settled", max_concurrency=2, batch_size=4)
    first = yield from ctx.map(child, [1, -1], policy=AtLeast(1), max_concurrency=1)
    try:
        yield from ctx.map(read_page, range(pages), policy=Tolerate(share=0.1), max_concurrency=2)
        failed = ""
    except MapFailedError as error:
        failed = error.failure.message
    ctx.map(child, range(pages), max_concurrency=1, batch_size=2).cancel()
    yield from ctx.create_timer(timedelta(seconds=1))
    return [direct, lazily, settled.values, sorted(settled.errors), first.values, failed]


STUMBLED: set[int] = set()


@activity
def stumble(number: int) -> int:
    """Fails at its first call with some of the numbers."""
    if number % 3 == 1 and number not in STUMBLED:
        STUMBLED.add(number)
        raise LookupError(f"{number} stumbles")
    return number


@orchestrator
def stumbles(ctx: OrchestrationContext, number: int) -> Orchestration[list[Any]]:
    """Three maps that fail: of an item before the last, of the sum of batches that have completed, and of a batch."""
    settled = yield from ctx.map(stumble, range(number), policy="all_settled", max_concurrency=2)
    direct = [item.result for item in settled]
    summed = yield from ctx.map(
        stumble, range(30, 30 + number), policy=Tolerate(count=1), max_concurrency=2, batch_size=3
    )
    strict = yield from ctx.map(stumble, range(60, 60 + number), max_concurrency=2, batch_size=3)
    return [direct, summed.values, strict]


@orchestrator
def errands(ctx: OrchestrationContext, number: int) -> Orchestration[list[Any]]:
    """One call after another, none of them inline: a host of work runs the turns between them, and some of the calls
    in a row. An event, a call that fails at first, and one that fails for good."""
    done: list[Any] = []
    for errand in range(number):
        done.append((yield from ctx.call_activity(echo, errand, inline=False)))
    done.append((yield from ctx.wait_for_external_event("More", str)))
    done.append((yield from ctx.call_activity(slowly, 2, inline=False, retry=TWICE)))
    try:
        yield from ctx.call_activity(refuse, "more", inline=False)
    except TaskFailedError as error:
        done.append(error.failure.type)
    done.append((yield from ctx.call_activity(echo, "home", inline=False)))
    return done


@activity
def slowly(ctx: ActivityContext, attempts: int) -> int:
    if ctx.attempt < attempts:
        raise TimeoutError("not yet")
    return ctx.attempt


@activity(journal=True)
async def journaled(ctx: JournalContext, number: int) -> list[Any]:
    """Two waits at once, a child, a timeout; an attempt that fails behind a wait."""
    said, _ = await asyncio.gather(ctx.wait_for_event("Said", returns=str), ctx.sleep(timedelta(minutes=5)))
    if ctx.attempt == 1 and number:
        raise TimeoutError("the first attempt fails")
    try:
        await ctx.wait_for_event("Never", timeout=timedelta(minutes=1))
    except TaskTimeoutError:
        said = await ctx.step("said", str.upper, said)
    return [said, await ctx.call_sub_orchestrator("child", number)]


@orchestrator
def journals(ctx: OrchestrationContext, number: int) -> Orchestration[list[Any]]:
    """A journaled activity that waits beside a call of the orchestrator's own."""
    waiting = ctx.call_activity(journaled, number, retry=TWICE)
    first = yield from ctx.call_activity(echo, number)
    told = yield from waiting
    last = yield from ctx.call_activity(echo, number + 1)
    return [first, told, last]
