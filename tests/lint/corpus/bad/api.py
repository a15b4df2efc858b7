"""Wrong use of the durable API."""

import contextlib
import time
from contextlib import suppress
from functools import partial

from durable_core import Orchestration, OrchestrationContext, Saga, TaskCancelledError, activity, orchestrator


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
    yield from ctx.call_activity(charge, amount)


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
