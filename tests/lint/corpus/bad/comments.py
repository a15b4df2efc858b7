"""Comments that silence a rule, and those that are wrong."""

import random
import time
from datetime import UTC, datetime

from durable_core import orchestrator


@orchestrator
def silenced(ctx, names: list[str]):
    first = time.time()  # durable: ignore[DC101]
    second = [time.time(), random.random()]  # durable: ignore[DC101, DC201]
    # durable: ignore[DC101]  the log wants the real time
    third = ctx.call_activity(
        "note",
        [
            datetime.now(UTC),
            random.random(),  # expect: DC201
        ],
    )
    yield from third
    fourth = time.time()  # durable: ignore[DC201]  # expect: DC101, DC901
    fifth = "# durable: ignore[DC101]"
    # durable: ignore[DC501]
    for name in set(names):
        yield from ctx.call_activity("mail", [name, time.time()])  # expect: DC101
    sixth = 1  # durable: ignore[DC101]  # expect: DC901
    seventh = time.time()  # durable: ignore  # expect: DC101, DC902
    eighth = time.time()  # durable: ignore[DC999, DC101]  # expect: DC902
    return [first, second, fourth, fifth, sixth, seventh, eighth]
