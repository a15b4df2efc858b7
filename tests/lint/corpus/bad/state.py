"""State outside of the instance, and the order of sets."""

import itertools
from collections import defaultdict, deque
from contextvars import ContextVar

import settings_of_shop
from settings_of_shop import limits
from durable_core import OrchestrationContext, activity, orchestrator

COUNT = 0
SEEN = []
TOTALS: dict[str, int] = defaultdict(int)
QUEUE = deque()
NUMBERS = itertools.count(1)
TENANT = ContextVar("tenant")
RATES = {"EUR": 1.0}


class Statistics:
    total = 0


STATISTICS = Statistics()


@activity
def load_rates(rates: dict[str, float]) -> None:
    RATES.update(rates)


@orchestrator
def changes(ctx: OrchestrationContext, number: int):
    global COUNT  # expect: DC502
    COUNT += 1
    SEEN.append(number)  # expect: DC502
    TOTALS["all"] += number  # expect: DC502
    QUEUE.appendleft(number)  # expect: DC502
    Statistics.total += number  # expect: DC502
    STATISTICS.total = number  # expect: DC502
    settings_of_shop.debug = True  # expect: DC502
    del SEEN[0]  # expect: DC502
    yield from ctx.call_activity("store", next(NUMBERS))  # expect: DC502


@orchestrator
def reads(ctx: OrchestrationContext, amount: float):
    if amount * RATES["EUR"] > limits["order"]:  # expect: DC503, DC503
        yield from ctx.call_activity("ask")
    if settings_of_shop.debug and TENANT.get() == "x":  # expect: DC503, DC503
        yield from ctx.call_activity("trace")


@orchestrator
def orders(ctx: OrchestrationContext, names: list[str], groups: set[str]):
    unique = set(names)
    for name in unique:  # expect: DC501
        yield from ctx.call_activity("mail", name)
    for at, name in enumerate({name.lower() for name in names}):  # expect: DC501
        yield from ctx.call_activity("mail", [at, name])
    yield from ctx.task_all([ctx.call_activity("mail", name) for name in unique - {"ada"}])  # expect: DC501
    tasks = [begin(ctx, name) for name in unique]  # expect: DC501
    yield from ctx.task_all(tasks)
    as_list = list(unique)
    yield from ctx.task_all([ctx.call_activity("mail", name) for name in as_list])  # expect: DC501
    yield from ctx.task_all(ctx.call_activity("mail", group) for group in groups)  # expect: DC501
    yield from ctx.task_all(map(lambda name: ctx.call_activity("mail", name), unique))  # expect: DC501
    first = next(iter(unique))  # expect: DC501
    while unique:
        yield from ctx.call_activity("mail", [first, unique.pop()])  # expect: DC501
    for name in {"ada", "bob"}:  # expect: DC501
        ctx.send_event(name, "Hello")
    for name in frozenset(names).union(groups):  # expect: DC501
        yield from ask(ctx, name)


def begin(ctx: OrchestrationContext, name: str):
    return ctx.call_activity("begin", name)


def ask(ctx: OrchestrationContext, name: str):
    yield from ctx.call_activity("ask", name)
