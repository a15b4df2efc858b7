"""Runs the workloads on one store after the other: ``python -m benchmarks``, or ``make bench``."""

from __future__ import annotations

import logging
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from .catalogue import USUAL, Sized, parse
from .comparison import Peers
from .measuring import Measurement, Plan
from .report import show
from .report_page import remember_machine
from .results import Line, forget, has_failed
from .stores import RESULTS, VARIANTS, Variant


@click.command()
@click.option("--reps", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of each workload.")
@click.option("--store", "variants", multiple=True, type=click.Choice(VARIANTS), help="Measure on this store only.")
@click.option("--workloads", "names", default=USUAL, show_default=True, help="Names, with their sizes if need be.")
@click.option("--quiet", type=float, default=25.0, show_default=True, help="Seconds to wait for a quiet machine.")
@click.option("--timeout", type=float, default=180.0, show_default=True, help="Seconds for one repetition.")
@click.option("--peers", type=click.Path(path_type=Path), help="Folder of other engines' result lines (*.jsonl).")
@click.option("--anew", is_flag=True, help="Put the earlier lines of these stores aside.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the result lines.")
def main(
    reps: int,
    variants: tuple[Variant, ...],
    names: str,
    quiet: float,
    timeout: float,
    peers: Path | None,
    anew: bool,
    results: Path,
) -> None:
    """Measure, keep every repetition as a line of results/*.jsonl, and print medians beside those of other engines."""
    try:
        plan = Plan(workloads=parse(names), reps=reps, quiet=quiet, timeout=timeout, results=results.resolve())
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--workloads") from error
    try:
        others = Peers() if peers is None else Peers.read(peers)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--peers") from error
    logging.basicConfig(level=logging.WARNING)
    variants = variants or VARIANTS
    remember_machine(plan.results)
    console, lines = Console(), list[Line]()
    columns = (TextColumn("{task.description:24}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # It draws only between repetitions: a thread that draws meanwhile would be measured with them.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        tasks = {variant: progress.add_task(variant, total=plan.total, start=False) for variant in variants}
        for variant in variants:

            def tell(each: Sized, line: Line | None, variant: Variant = variant) -> None:
                task = tasks[variant]
                progress.update(task, description=f"{variant} {each.label}", advance=1 if line else 0, refresh=True)
                if line and has_failed(line):
                    progress.console.print(f"[red]{variant} {each.label} failed: {line.get('error', line)}")

            if anew:
                forget(plan.results, variant)
            progress.start_task(tasks[variant])
            measurement = Measurement(plan=plan, variant=variant, tell=tell)
            try:
                measurement.run()
            except Exception as error:  # noqa: BLE001  a store or a host that cannot be had: the other store may be
                console.print(f"[red]{variant}: {type(error).__name__}: {error}")
            lines += measurement.lines
    show(lines, plan.workloads, variants, others, console)


if __name__ == "__main__":
    main()
