"""Measures scale on this machine: ``python -m benchmarks.scale``, or ``make bench WHAT=scale``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Literal, get_args

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..report_page import remember_machine
from ..results import ENGINE, Line, forget, keep
from ..stores import RESULTS, VARIANTS, Variant
from . import growth, idle, many_hosts
from .lines import Part, folder_of

PARTS: tuple[Part, ...] = get_args(Part)
Hosting = Literal["sqlite", "sqlite-polling", "azurite"]
HOSTINGS: tuple[Hosting, ...] = get_args(Hosting)

Step = Callable[[Callable[[str], None]], Line]


@click.command()
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Measure this part only.")
@click.option("--reps", type=click.IntRange(1), default=3, show_default=True, help="Repetitions of groups of hosts.")
@click.option("--hosting", "hostings", multiple=True, type=click.Choice(HOSTINGS), help="Groups of hosts on this only.")
@click.option("--waiting", "numbers", multiple=True, type=click.IntRange(0), help="So many idle instances only.")
@click.option("--quiet", type=float, default=5.0, show_default=True, help="Seconds to wait for a quiet machine.")
@click.option("--anew", is_flag=True, help="Put the earlier lines of these parts aside.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the result lines.")
def main(
    parts: tuple[Part, ...],
    reps: int,
    hostings: tuple[Hosting, ...],
    numbers: tuple[int, ...],
    quiet: float,
    anew: bool,
    results: Path,
) -> None:
    """Count how cost grows, let many instances wait, put several hosts on one store; each run is kept as a line."""
    logging.basicConfig(level=logging.WARNING)
    results = results.resolve()
    steps: list[tuple[Part, Step]] = []
    for part in parts or PARTS:
        match part:
            case "growth":
                found = _growth()
            case "idle":
                found = _idle(numbers or idle.NUMBERS, quiet, results)
            case "hosts":
                found = _hosts(hostings or HOSTINGS, reps, quiet, results)
        steps.extend((part, step) for step in found)
        if anew:
            for variant in ("simulated", *VARIANTS):
                forget(folder_of(results, part), variant)
        remember_machine(folder_of(results, part))
    console = Console()
    columns = (TextColumn("{task.description:32}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    # It draws only when it is told something: a thread that draws meanwhile would be measured with the rest.
    with Progress(*columns, console=console, auto_refresh=False) as progress:
        task = progress.add_task("", total=len(steps))

        def tell(text: str) -> None:
            progress.update(task, description=text, refresh=True)

        for part, step in steps:
            try:
                line = step(tell)
            except Exception as error:  # noqa: BLE001  what fails stops no other measurement
                progress.console.print(f"[red]{part}: {type(error).__name__}: {error}")
            else:
                keep(line, folder_of(results, part))
            progress.update(task, advance=1, refresh=True)


def _growth() -> Iterator[Step]:
    def step(of: growth.Growth, size: int, tell: Callable[[str], None]) -> Line:
        tell(f"{of.title}: {size:,}")
        point = growth.measure(of, size)
        return {
            "engine": ENGINE,
            "variant": "simulated",
            "w": f"growth-{of.name}",
            "size": size,
            **{cost: point.of(cost) for cost in growth.COSTS},
        }

    growth.measure(growth.GROWTHS[0], 2)  # so that nothing is done for the first time
    for of in growth.GROWTHS:
        for size in of.sizes:
            yield lambda tell, of=of, size=size: step(of, size, tell)


def _idle(numbers: Sequence[int], quiet: float, results: Path) -> Iterator[Step]:
    for number in numbers:
        yield lambda tell, number=number: asyncio.run(idle.measure(number, tell, quiet, results))


def _hosts(hostings: Sequence[Hosting], reps: int, quiet: float, results: Path) -> Iterator[Step]:
    for rep in range(reps):
        for hosting in hostings:
            variant: Variant = "azurite" if hosting == "azurite" else "sqlite"
            for case in many_hosts.cases(variant, azure_like=hosting != "sqlite"):
                yield (
                    lambda tell, case=case, rep=rep: (
                        asyncio.run(many_hosts.measure(case, tell, quiet, results)) | {"rep": rep}
                    )
                )


if __name__ == "__main__":
    main()
