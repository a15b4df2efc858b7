"""Runs the workloads on one store after the other: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import asyncio
import logging
import os
import time

import click
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from .noise import NoiseMeter
from .product import running_host
from .report import Line, keep, show
from .stores import Store, Variant, fresh_store
from .workloads import WORKLOADS, Workload

VARIANTS: tuple[Variant, ...] = ("sqlite", "azurite")


@click.command()
@click.option("--reps", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of each workload.")
@click.option("--store", "variants", multiple=True, type=click.Choice(VARIANTS), help="Measure on this store only.")
@click.option("--workloads", "names", help="Names, comma-separated; all if left out.")
def main(reps: int, variants: tuple[Variant, ...], names: str | None) -> None:
    """Measure latency, throughput, fan-out and long histories; results/*.jsonl keeps every repetition."""
    wanted = {name.strip() for name in names.split(",")} if names else {workload.name for workload in WORKLOADS}
    if unknown := wanted - {workload.name for workload in WORKLOADS}:
        raise click.BadParameter(f"no such workload: {', '.join(sorted(unknown))}", param_hint="--workloads")
    logging.basicConfig(level=logging.WARNING)
    chosen = [workload for workload in WORKLOADS if workload.name in wanted]
    variants = variants or VARIANTS
    console, lines = Console(), list[Line]()
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        tasks = {v: progress.add_task(f"{v:8}", total=reps * len(chosen), start=False) for v in variants}
        for variant in variants:
            progress.start_task(tasks[variant])
            with fresh_store(variant) as store:
                asyncio.run(_measure(store, chosen, reps, lines, progress, tasks[variant]))
    show(lines, console)


async def _measure(
    store: Store, workloads: list[Workload], reps: int, lines: list[Line], progress: Progress, task: TaskID
) -> None:
    ours = [os.getpid()] + ([store.server] if store.server else [])
    async with running_host() as client:
        for workload in workloads:
            for rep in range(reps):
                progress.update(task, description=f"{store.variant:8} {workload.name:8}")
                await asyncio.sleep(0.3)  # what the last one left to tidy up is not this one's cost
                cpu, noise = time.process_time(), NoiseMeter(ours)
                figures = await workload.run(client)
                line: Line = {"engine": "durable_core", "variant": store.variant, "w": workload.name, "rep": rep}
                line |= figures | {"foreign_cores": noise.foreign_cores(), "cpu_s": time.process_time() - cpu}
                lines.append(keep(line))
                progress.advance(task)


if __name__ == "__main__":
    main()
