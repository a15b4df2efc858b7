"""What the run-time guard costs: ``python -m benchmarks.guard``. The engine alone, without any store.

A chain of activities is stepped through one event at a time, in two forms: code that names no clock and no chance, and
code that names a clock, though it never comes to look at it; there the guard sees every call.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from durable_core import Orchestration, OrchestrationContext, orchestrator
from durable_core.converter import Converter
from durable_core.definitions import OrchestratorDefinition, definition_of
from durable_core.engine.events import ExecutionStarted, TaskCompleted
from durable_core.engine.executor import InstanceInfo, OrchestrationExecutor

STEPS = 1_000
ROUNDS = 15  # of which the quickest counts: the others were disturbed
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@orchestrator
def plain(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    total = 0
    for number in range(steps):
        total += yield from ctx.call_activity("act", number, returns=int)
    return total


@orchestrator
def names_a_clock(ctx: OrchestrationContext, steps: int) -> Orchestration[int]:
    total = 0
    for number in range(steps):
        total += yield from ctx.call_activity("act", number, returns=int)
        if number < 0:
            total += int(time.time())  # durable: ignore[DC101]
    return total


def microseconds_per_step(fn: Callable[..., Any], *, guard: bool) -> float:
    definition = definition_of(fn)
    assert isinstance(definition, OrchestratorDefinition)
    info = InstanceInfo(instance_id="i", execution_id="e", generation=0, name=definition.name, version="")
    live = OrchestrationExecutor(definition, info, Converter(), guard=guard)
    live.step(NOW, [ExecutionStarted(definition.name, "", STEPS)])
    started = time.process_time()
    for number in range(1, STEPS + 1):
        live.step(NOW, [TaskCompleted(number, number)])
    took = time.process_time() - started
    assert live.completion is not None
    return took / STEPS * 1e6


def main() -> None:
    print(f"Python {sys.version.split()[0]}, {STEPS:,} steps, microseconds of CPU per step, best of {ROUNDS}")
    for name, fn in (("plain", plain), ("names a clock", names_a_clock)):
        # off and on by turns, so that a disturbance meets both
        pairs = [(microseconds_per_step(fn, guard=False), microseconds_per_step(fn, guard=True)) for _ in range(ROUNDS)]
        off, on = (min(times) for times in zip(*pairs, strict=True))
        print(f"{name:14}  guard off {off:6.1f}   on {on:6.1f}   difference {on - off:+6.1f}")


if __name__ == "__main__":
    main()
