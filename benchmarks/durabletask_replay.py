"""W8 of Microsoft's durabletask, for ``make bench PEERS=...``: run with the interpreter of an environment that has it.

    path/to/its/python benchmarks/durabletask_replay.py >> path/to/results/durabletask-default.jsonl

A history of 5,000 events of a chain, and of a fan-out, is decoded from the bytes in which its worker is sent it, and
replayed by that worker's own executor. How the bytes travel is not in the figure. Needs nothing of this project.
"""

from __future__ import annotations

import importlib
import json
import logging
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from datetime import datetime
from typing import Any

EVENTS = 5000
ROUNDS = 5

_helpers: Any = importlib.import_module("durabletask.internal.helpers")
_pb: Any = importlib.import_module("durabletask.internal.orchestrator_service_pb2")
_task: Any = importlib.import_module("durabletask.task")
_worker: Any = importlib.import_module("durabletask.worker")


def echo(context: Any, number: int) -> int:
    return number


def chain(context: Any, steps: int) -> Any:
    for number in range(steps):
        yield context.call_activity(echo, input=number)
    return steps


def fan(context: Any, width: int) -> Generator[Any, list[int], int]:
    results = yield _task.when_all([context.call_activity(echo, input=n) for n in range(width)])
    return sum(results)


def history(orchestrator: Callable[..., Any], calls: int) -> tuple[list[Any], list[Any]]:
    """The events before the last turn, and those of it."""
    now = datetime(2026, 1, 1)
    started = _helpers.new_orchestrator_started_event(now)
    begin = _helpers.new_execution_started_event(orchestrator.__name__, "w8", json.dumps(calls))
    called = [_helpers.new_task_scheduled_event(n, "echo", json.dumps(n - 1)) for n in range(1, calls + 1)]
    ended = [_helpers.new_task_completed_event(n, json.dumps(n - 1)) for n in range(1, calls + 1)]
    if orchestrator is fan:
        return [started, begin, *called, started, *ended[:-1]], [ended[-1]]
    events = [started, begin]
    for call, end in zip(called, ended, strict=True):
        events += [call, started, end]
    return events[:-2], events[-2:]


def milliseconds(orchestrator: Callable[..., Any], calls: int) -> dict[str, float]:
    registry = _worker._Registry()
    registry.add_orchestrator(orchestrator)
    registry.add_activity(echo)
    old, new = ([event.SerializeToString() for event in part] for part in history(orchestrator, calls))
    reads: list[float] = []
    replays: list[float] = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        past, news = _decoded(old), _decoded(new)
        read = time.perf_counter()
        executor = _worker._OrchestrationExecutor(registry, logging.getLogger("w8"), _converter())
        done = executor.execute("w8", past, news)
        replays.append((time.perf_counter() - read) * 1000)
        reads.append((read - began) * 1000)
        if not any(action.HasField("completeOrchestration") for action in done.actions):
            raise RuntimeError("the replay did not come to the end")
    totals = [read + replay for read, replay in zip(reads, replays, strict=True)]
    median = statistics.median
    return {"wall_ms": median(totals), "read_ms": median(reads), "replay_ms": median(replays)}


def _decoded(parts: Sequence[bytes]) -> list[Any]:
    return [_pb.HistoryEvent.FromString(part) for part in parts]


def _converter() -> Any:
    return importlib.import_module("durabletask.serialization").JsonDataConverter()


def main() -> None:
    for name, orchestrator in (("w8chain", chain), ("w8fan", fan)):
        for rep in range(3):
            line = {"engine": "durabletask", "variant": "default", "w": name, "rep": rep, "n": EVENTS}
            print(json.dumps(line | milliseconds(orchestrator, EVENTS // 2)))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
