"""An orchestration that notes each update that it carries out, over generations, until it is closed."""

from __future__ import annotations

from datetime import timedelta

import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable

LINES_OF_A_GENERATION = 9


@activity
def charge(guest: str) -> str:
    return f"receipt of {guest}"


@orchestrator
def ledger(ctx: OrchestrationContext, lines: list[str]) -> Orchestration[list[str]]:
    is_closed = False
    noted = 0

    def note(guest: str) -> int:
        nonlocal noted
        noted += 1
        lines.append(guest)
        return len(lines)

    async def book(guest: str) -> list[object]:
        receipt = await ctx.call_activity(charge, guest, inline=False)
        await ctx.create_timer(timedelta(seconds=1))
        return [note(guest), receipt]

    def close() -> int:
        nonlocal is_closed
        is_closed = True
        return len(lines)

    ctx.set_update_handler("note", note)
    ctx.set_update_handler("book", book)
    ctx.set_update_handler("close", close)
    yield from ctx.wait_condition(
        lambda: (is_closed or noted >= LINES_OF_A_GENERATION) and ctx.all_updates_ended,
    )
    if not is_closed:
        ctx.continue_as_new(lines)
    return lines


registry = Registry().add(charge, ledger)
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
app.register_functions(Durable(registry).blueprint())
