"""An app with a journaled activity, whose steps write a line each into the file that is its input."""

from __future__ import annotations

import time
from pathlib import Path

import azure.functions as func

from durable_core import JournalContext, Orchestration, OrchestrationContext, Registry, activity
from durable_core import orchestrator as orchestrator_
from durable_core.hosting.functions import Durable

STEPS = 6


def write_line(file: str, number: int) -> int:
    with Path(file).open("a") as lines:
        lines.write(f"{number}\n")
    time.sleep(0.2)
    return number


@activity(journal=True)
async def write_lines(ctx: JournalContext, file: str) -> list[int]:
    done = [await ctx.step("line", write_line, file, number) for number in range(STEPS)]
    done.append(await ctx.wait_for_event("Last", returns=int))
    await ctx.step("line", write_line, file, STEPS)
    return done


@orchestrator_
def writing(ctx: OrchestrationContext, file: str) -> Orchestration[list[int]]:
    return (yield from ctx.call_activity(write_lines, file))


durable = Durable(Registry().add(write_lines, writing))
app = func.FunctionApp()
app.register_functions(durable.blueprint())
