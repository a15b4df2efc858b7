"""Keeps every repetition as a JSON line, and shows medians."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from .stores import RESULTS
from .workloads import WORKLOADS

Line = dict[str, Any]


def keep(line: Line) -> Line:
    """Append one repetition to the results of its store."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / f"{line['engine']}-{line['variant']}.jsonl").open("a") as file:
        file.write(json.dumps(rounded) + "\n")
    return rounded


def show(lines: Sequence[Line], console: Console) -> None:
    """Medians of the repetitions of this run, a column for each store."""
    variants = list(dict.fromkeys(line["variant"] for line in lines))
    table = Table(title=f"medians of {1 + max(line['rep'] for line in lines)}")
    table.add_column("workload")
    table.add_column("")
    for variant in variants:
        table.add_column(variant, justify="right")
    for workload in WORKLOADS:
        for figure, label in workload.shown:
            found = [
                [line[figure] for line in lines if (line["w"], line["variant"]) == (workload.name, variant)]
                for variant in variants
            ]
            if any(found):
                cells = [_number(statistics.median(values)) if values else "-" for values in found]
                table.add_row(f"{workload.name}  {workload.title}", label, *cells)
    console.print(table)
    noise = [line["foreign_cores"] for line in lines if line["foreign_cores"] is not None]
    if noise:
        console.print(
            f"other processes used {statistics.median(noise):.2f} cores meanwhile (at most {max(noise):.2f})"
            + ("; measure again on a quiet machine" if max(noise) > 0.15 else "")
        )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
