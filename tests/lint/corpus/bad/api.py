"""Wrong use of the durable API."""

import contextlib
import time
from contextlib import suppress
from functools import partial

from durable_core import (
    EntityId,
    Limit,
    Orchestration,
    OrchestrationContext,
    Saga,
    TaskCancelledError,
    activity,
    orchestrator,
)

OVEN = Limit(name="oven", concurrency=1)
PURSE = EntityId("purse", "one")


@activity
def charge(amount: int) -> str:
    return str(amount)


@activity
def refund(ctx: OrchestrationContext, receipt: str) -> None:  # expect: DC405
    return None


def keep(ctx, amount: int) -> str:
    return ""


def pay(ctx: OrchestrationContext, amount: int):
    receipt = yield from ctx.call_activity(charge, amount)
    return receipt


@orchestrator
def forgets(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    ctx.call_activity(charge, amount)  # expect: DC401
    ctx.create_timer(amount)  # expect: DC401
    ctx.task_all([ctx.call_activity(charge, part) for part in range(3)])  # expect: DC401
    ctx.wait_for_external_event("Paid")  # expect: DC401
    lost = ctx.call_sub_orchestrator("child")  # expect: DC401
    pay(ctx, amount)  # expect: DC401
    unused = pay(ctx, amount)  # expect: DC401
    saga = ctx.saga()
    saga.compensate()  # expect: DC401
    step: object = ctx.run("x", len, "x")  # expect: DC401
    parts = [pay(ctx, part) for part in range(3)]  # expect: DC401
    both = [ctx.call_activity(charge, 1), amount]  # expect: DC401
    ctx.slot(OVEN)  # expect: DC401
    ctx.call_entity(PURSE, "put", 1)  # expect: DC401
    with ctx.slot(OVEN):  # expect: DC401
        yield from ctx.call_activity(charge, amount)
    with ctx.lock(PURSE) as held:  # expect: DC401
        yield from ctx.call_activity(charge, held)
    yield from ctx.call_activity(charge, amount)


@orchestrator
def returns_a_generator(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    if amount > 5:
        return ctx.call_activity(charge, amount)  # expect: DC401
    yield from ctx.call_activity(charge, amount)
    return pay(ctx, amount)  # expect: DC401


async def settle(ctx: OrchestrationContext, amount: int) -> None:
    await ctx.call_activity(charge, amount)


@orchestrator
def gives_wrongly(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    yield from ctx.task_all(pay(ctx, amount))  # expect: DC410
    yield from ctx.task_any(settle(ctx, amount))  # expect: DC410
    one = pay(ctx, amount)
    for task in ctx.as_completed(one):  # expect: DC410
        yield from task
    yield from ctx.gather([pay(ctx, 1), pay(ctx, 2)])  # expect: DC410
    yield from ctx.gather(pay(ctx, part) for part in range(3))  # expect: DC410
    several = [pay(ctx, part) for part in range(3)]
    yield from ctx.gather(several)  # expect: DC410
    yield from ctx.with_timeout([pay(ctx, 1)], amount)  # expect: DC410
    ctx.branch(several).cancel()  # expect: DC410
    yield from ctx.gather(pay, pay(ctx, amount))  # expect: DC410
    yield from ctx.task_all([settle, pay(ctx, amount)])  # expect: DC410
    yield from ctx.task_all([pay(ctx, 1)] * 3)  # expect: DC410
    two = pay(ctx, amount)
    yield from ctx.gather(two, two)  # expect: DC410


@orchestrator
def reads_late(ctx: OrchestrationContext, amounts: list[int]) -> Orchestration[None]:
    tasks: list[object] = []
    by_name: dict[str, object] = {}
    for amount in amounts:
        doubled = amount * 2
        tasks.append(ctx.run("double", lambda: amount * 2))  # expect: DC411
        by_name[str(amount)] = ctx.run("double", lambda: doubled)  # expect: DC411

        def pays():
            yield from ctx.call_activity(charge, amount)
            yield from ctx.call_activity(charge, doubled)  # expect: DC411

        def waits(number: int):
            for _ in range(number):
                yield from ctx.call_activity(charge, amount)  # expect: DC411

        tasks.append(ctx.branch(pays()))
        tasks.append(ctx.branch(waits(2)))
    yield from ctx.task_all([ctx.wait_condition(lambda: tasks[n]) for n in range(3)])  # expect: DC411
    yield from ctx.task_all((ctx.run("x", lambda: n + m) for n in range(3) for m in amounts))  # expect: DC411, DC411
    yield from ctx.task_all(tasks)


@orchestrator
def takes_updates(ctx: OrchestrationContext) -> Orchestration[None]:
    def book(seat: str):
        yield [ctx.call_activity(charge, 1)]  # expect: DC402

    async def forgets(seat: str) -> None:
        settle(ctx, 1)  # expect: DC401

    ctx.set_update_handler("book", book)
    ctx.set_update_handler("settle", forgets)
    yield from ctx.wait_condition(lambda: ctx.all_updates_ended)


@orchestrator
def yields(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    yield [ctx.call_activity(charge, part) for part in range(3)]  # expect: DC402
    yield ctx.call_activity(charge, 1), ctx.call_activity(charge, 2)  # expect: DC402
    yield  # expect: DC402
    yield amount and 5 or 6
    yield 5  # expect: DC402
    yield pay(ctx, amount)  # expect: DC402
    yield from [ctx.call_activity(charge, 1)]  # expect: DC402

    def body(saga: Saga):
        yield [ctx.call_activity(charge, 1)]  # expect: DC402

    yield from ctx.run_saga(body)


@orchestrator
def direct(ctx: OrchestrationContext, amount: int) -> Orchestration[list[str]]:
    parts = [charge(part) for part in range(amount)]  # expect: DC403
    receipt = charge(amount)  # expect: DC403
    yield from ctx.call_activity(charge, charge(1))  # expect: DC403
    return [*parts, receipt]


@orchestrator
def swallows(ctx: OrchestrationContext, amount: int) -> Orchestration[str]:
    try:
        yield from ctx.call_activity(charge, amount)
    except:  # expect: DC404
        return "failed"
    try:
        yield from ctx.call_activity(charge, amount)
    except BaseException as error:  # expect: DC404
        return repr(error)
    try:
        yield from ctx.call_activity(charge, amount)
    except (ValueError, Exception):  # expect: DC404
        pass
    with suppress(Exception):  # expect: DC404
        yield from ctx.call_activity(charge, amount)
    with contextlib.suppress(BaseException):  # expect: DC404
        yield from pay(ctx, amount)
    try:
        yield from ctx.call_activity(charge, amount)
    except GeneratorExit:  # expect: DC404
        yield from ctx.call_activity(charge, -amount)
    for part in range(3):
        try:
            yield from ctx.call_activity(charge, part)
        except TaskCancelledError:
            return "cancelled"
        except Exception:  # expect: DC404
            continue
    return "done"


@orchestrator
def leaks(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    yield from ctx.call_activity(charge, ctx)  # expect: DC405
    yield from ctx.run("keep", keep, ctx, amount)  # expect: DC405
    yield from ctx.run("keep", partial(keep, ctx), amount)  # expect: DC405
    yield from ctx.run("keep", lambda: keep(ctx, amount))  # expect: DC405

    def step() -> str:
        ctx.set_custom_status("charging")  # expect: DC405
        return keep(ctx.new_uuid(), ctx.random.randint(1, 6))  # expect: DC405, DC405

    yield from ctx.run("step", step)


@orchestrator
def turns(ctx: OrchestrationContext) -> Orchestration[None]:
    done = False

    def finish() -> None:
        nonlocal done
        done = True

    ctx.on_event("Done", finish)
    while not done:  # expect: DC406
        pass
    while not done:  # expect: DC406
        time.sleep(1)  # expect: DC306
    count = 0
    while True:  # expect: DC406
        count += 1
    yield from ctx.call_activity(charge, count)


@orchestrator
def acts(ctx: OrchestrationContext) -> Orchestration[None]:
    asked = 0
    items: list[int] = []
    seen: dict[str, int] = {}

    def take() -> int:
        ctx.set_custom_status("asked")  # expect: DC407
        seen["asked"] = 1  # expect: DC407
        return items.pop()  # expect: DC407

    def count() -> int:
        nonlocal asked  # expect: DC407
        asked += 1
        return asked

    def helper() -> int:
        ctx.send_event("other", "Asked")  # expect: DC407
        return 1

    def may_add(number: int) -> None:
        nonlocal asked  # expect: DC407
        asked += 1
        if number < 0:
            raise ValueError(number)

    ctx.set_update_handler("add", lambda number: items.append(str(number)), may_add)
    ctx.set_update_handler("event", lambda: None, validator=lambda: ctx.send_event("other", "Asked"))  # expect: DC407
    ctx.set_query_handler("take", take)
    ctx.set_query_handler("count", count)
    ctx.set_query_handler("event", lambda: helper())
    yield from ctx.wait_condition(lambda: ctx.call_activity(charge, 1))  # expect: DC407


@orchestrator
def replays(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    if not ctx.is_replaying:  # expect: DC408
        yield from ctx.call_activity(charge, amount)
    is_first = not ctx.is_replaying
    replaying = ctx.is_replaying
    if replaying:  # expect: DC408
        return
    ctx.set_custom_status("old") if ctx.is_replaying else ctx.set_custom_status("new")  # expect: DC408
    yield from ctx.call_activity(charge, is_first)


@orchestrator
def calls_what_no_host_runs(ctx: OrchestrationContext, amount: int) -> Orchestration[None]:
    yield from ctx.call_activity(keep, amount)  # expect: DC409
    yield from ctx.call_activity_with_retry(keep, None, amount)  # expect: DC409
    yield from ctx.call_activity(replays, amount)  # expect: DC409
    yield from ctx.call_sub_orchestrator(keep)  # expect: DC409
    yield from ctx.call_sub_orchestrator(charge, amount)  # expect: DC409
    ctx.start_orchestration(pay, amount)  # expect: DC409


@orchestrator
def maps(ctx: OrchestrationContext, amounts: list[int]) -> Orchestration[None]:
    ctx.map(charge, amounts)  # expect: DC401
    yield from ctx.map(keep, amounts)  # expect: DC409
    yield from ctx.map(charge, set(amounts))  # expect: DC501
    yield from ctx.map(charge, (amount for amount in set(amounts) if amount))  # expect: DC501


@activity(limit=OVEN)
def bake(dish: str) -> str:
    return dish


@orchestrator(limit=OVEN)
def menu(ctx: OrchestrationContext, dishes: list[str]) -> Orchestration[None]:
    for dish in dishes:
        yield from ctx.call_activity(bake, dish)  # expect: DC412
    yield from ctx.call_sub_orchestrator(menu, dishes[1:])  # expect: DC412
    with (yield from ctx.slot(OVEN)):  # expect: DC412
        yield from ctx.call_activity(charge, 1)
