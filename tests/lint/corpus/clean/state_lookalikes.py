"""Constants, registries filled at import, and sets whose order decides nothing."""

from __future__ import annotations

import functools
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from enum import Enum
from types import MappingProxyType

from durable_core import Orchestration, OrchestrationContext, activity, orchestrator

RATES = {"EUR": 1.0, "USD": 1.1}
NAMES = ["ada", "bob"]
FROZEN = MappingProxyType({"limit": 5})
HANDLERS: dict[str, Callable[[int], int]] = {}
SENT: list[str] = []
COUNT = 0


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def handler(name: str) -> Callable[[Callable[[int], int]], Callable[[int], int]]:
    def register(function: Callable[[int], int]) -> Callable[[int], int]:
        HANDLERS[name] = function
        return function

    return register


@handler("double")
def double(number: int) -> int:
    return 2 * number


def _fill() -> None:
    RATES["GBP"] = 0.9


_fill()
RATES["CHF"] = 1.0


@activity
def send(name: str) -> int:
    global COUNT
    COUNT += 1
    SENT.append(name)
    return COUNT


@functools.cache
def squares(limit: int) -> tuple[int, ...]:
    return tuple(number * number for number in range(limit))


@orchestrator
def constants(ctx: OrchestrationContext, currency: str) -> Orchestration[float]:
    rate = RATES.get(currency, 1.0) * FROZEN["limit"]
    doubled = HANDLERS["double"](3)
    for name in NAMES:
        yield from ctx.call_activity(send, name)
    for color in Color:
        yield from ctx.call_activity(send, color.value)
    rates = RATES | {"JPY": 160.0}
    rates["SEK"] = 11.0
    names = [*NAMES]
    names.append("eve")
    return rate + doubled + len(rates) + len(names) + sum(squares(3))


@orchestrator
def own_variables(ctx: OrchestrationContext, names: list[str]) -> Orchestration[dict[str, int]]:
    SENT: list[str] = []
    COUNT = 0
    totals: defaultdict[str, int] = defaultdict(int)
    numbers = itertools.count(1)
    for name in names:
        SENT.append(name)
        COUNT += 1
        totals[name] += next(numbers)
        yield from ctx.call_activity(send, name)
    return totals | {"sent": len(SENT), "count": COUNT}


@orchestrator
def sets_without_order(ctx: OrchestrationContext, names: list[str]) -> Orchestration[int]:
    unique = set(names)
    for name in sorted(unique):
        yield from ctx.call_activity(send, name)
    for name in dict.fromkeys(names):
        yield from ctx.call_activity(send, name)
    for number in {1, 2, 3}:
        yield from ctx.call_activity(send, str(number))
    for name in names:
        if name not in unique:
            continue
        unique.discard(name)
        yield from ctx.call_activity(send, name)
    total = 0
    for name in unique:
        total += len(name)
    upper = {name.upper() for name in unique}
    longest = max((len(name) for name in unique), default=0)
    ordered = sorted(list(unique | upper), key=len)
    ordered = sorted(ordered)
    yield from ctx.task_all([ctx.call_activity(send, name) for name in ordered])
    return total + longest + len(upper)


@orchestrator
def counted(ctx: OrchestrationContext, texts: list[str]) -> Orchestration[list[tuple[str, int]]]:
    counts = yield from ctx.task_all([ctx.call_activity("count", text) for text in texts])
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return sorted(total.items(), key=lambda entry: (-entry[1], entry[0]))


@orchestrator
def names_become_lists(ctx: OrchestrationContext, names: list[str]) -> Orchestration[None]:
    wanted = set(names)
    wanted = sorted(wanted)
    for name in wanted:
        yield from ctx.call_activity(send, name)
