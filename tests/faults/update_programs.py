"""An orchestrator that takes updates, with handlers that end at once and handlers that wait."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from durable_core import ActivityContext, Orchestration, OrchestrationContext, Registry, activity, orchestrator

from .scenarios import Effects


def make_registry(effects: Effects) -> Registry:
    @activity
    def double(ctx: ActivityContext, number: int) -> int:
        effects.runs[ctx.idempotency_key] += 1
        return number * 2

    @orchestrator
    def ledger(ctx: OrchestrationContext, lines: list[list[Any]]) -> Orchestration[list[list[Any]]]:
        """Notes each update that it carries out. Continues as new after every fourth, and ends with "close"."""
        is_closed = False
        noted = 0

        def note(line: list[Any]) -> int:
            nonlocal noted
            noted += 1
            lines.append(line)
            return len(lines)

        def check(line: list[Any]) -> None:
            if line[1] < 0:
                raise ValueError("a number is not negative")

        def slowly(line: list[Any]) -> Orchestration[int]:
            doubled = yield from ctx.call_activity(double, line[1])
            yield from ctx.create_timer(timedelta(seconds=30))
            return note([line[0], doubled])

        def fail(line: list[Any]) -> None:
            note(line)
            raise ArithmeticError(f"no {line[0]}")

        def close() -> int:
            nonlocal is_closed
            is_closed = True
            return len(lines)

        ctx.set_update_handler("note", note, check)
        ctx.set_update_handler("slowly", slowly, check)
        ctx.set_update_handler("fail", fail)
        ctx.set_update_handler("close", close)
        yield from ctx.wait_condition(lambda: (is_closed or noted >= 4) and ctx.all_updates_ended)
        if not is_closed:
            ctx.continue_as_new(lines)
        return lines

    return Registry().add(double, ledger)
