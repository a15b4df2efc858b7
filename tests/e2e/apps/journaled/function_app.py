"""An app with a journaled activity, whose steps write a line each into the file that is its input.

Each invocation of it writes a line into a file beside that, whose name ends in ``.begun``.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import azure.functions as func

from durable_core import JournalContext, Orchestration, OrchestrationContext, Registry, activity
from durable_core import orchestrator as orchestrator_
from durable_core.hosting.functions import Durable

STEPS = int(os.environ.get("JOURNALED_STEPS", "6"))
SECONDS = float(os.environ.get("JOURNALED_SECONDS", "0.2"))


def write_line(file: str, number: int) -> int:
    with Path(file).open("a") as lines:
        lines.write(f"{number}\n")
    time.sleep(SECONDS)
    return number


def note_begin(file: str, part: int) -> None:
    with Path(file).open("a") as lines:
        lines.write(f"{part}\n")


@activity(journal=True)
async def write_lines(ctx: JournalContext, file: str) -> list[int]:
    note_begin(f"{file}.begun", ctx.task_id)
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
