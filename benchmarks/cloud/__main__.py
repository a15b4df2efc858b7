"""Writes docs/scale.md and its chart: ``python -m benchmarks.cloud``. Takes some minutes, all of them of CPU."""

from __future__ import annotations

import logging
from pathlib import Path

import click
from rich.progress import track

from .catalogue import APART, CHAIN, IN_FLIGHT, QUEUED, SIMULATED, count_all, factor_of
from .chart import draw
from .deployment import Shape
from .footprint import Workload
from .model import published_rates
from .page import CHART, curves, render
from .simulation import Outcome, simulate

DOCS = Path(__file__).resolve().parents[2] / "docs"
PANELS = (CHAIN, QUEUED)


def simulate_all() -> dict[tuple[Workload, int, int], list[Outcome]]:
    """Every deployment with every number in flight."""
    found: dict[tuple[Workload, int, int], list[Outcome]] = {}
    points = [(workload, *hub, count) for workload in PANELS for hub in SIMULATED for count in IN_FLIGHT]
    for workload, accounts, partitions, count in track(points, "Simulating"):
        shape = Shape(accounts=accounts, partitions=partitions, options=APART.options)
        factor = factor_of(count, accounts * partitions)
        outcome = simulate(workload, shape, published_rates(), round(count / factor), factor=factor)
        found.setdefault((workload, accounts, partitions), []).append(outcome)
    return found


@click.command()
@click.option("--docs", type=click.Path(path_type=Path), default=DOCS, help="Where the page goes.")
def main(docs: Path) -> None:
    """Count, simulate, and write the page and its chart."""
    logging.getLogger("durable_core").setLevel(logging.CRITICAL)  # every refusal would be a line
    click.echo("Counting ...")
    counts = count_all()
    runs = simulate_all()
    (docs / CHART).parent.mkdir(parents=True, exist_ok=True)
    draw([(workload.title, curves(counts, runs, workload)) for workload in PANELS], docs / CHART)
    (docs / "scale.md").write_text(render(counts, runs), "utf-8")
    click.echo(f"wrote {docs / 'scale.md'}")


if __name__ == "__main__":
    main()
