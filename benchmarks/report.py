"""Prints our medians and the peers' in one table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from .catalogue import Sized
from .comparison import Peers, number, ratio_text, rows
from .machine import description
from .results import Line, noise_of


def show(
    lines: Sequence[Line], workloads: Sequence[Sized], variants: Sequence[str], peers: Peers, console: Console
) -> None:
    """The medians of these lines. A ratio above 1 says that we are ahead of the best durable peer."""
    table = Table(
        title="Medians",
        caption=f"ratio: to the best durable peer, above 1 we are ahead; * not durable. Peers: {peers.when}.",
    )
    table.add_column("workload", no_wrap=True)
    for variant in variants:
        table.add_column(variant, justify="right", no_wrap=True)
        table.add_column("ratio", justify="right", no_wrap=True)
    table.add_column("best")
    for peer in peers.all:
        table.add_column(f"{peer}{'' if peer.is_durable else ' *'}", justify="right")
    for row in rows(lines, workloads, variants, peers):
        cells: list[str] = []
        for variant in variants:
            ratio = row.ratio(variant)
            colour = "" if ratio is None else "[green]" if ratio > 1 else "[red]"
            cells += [number(row.ours[variant]), f"{colour}{ratio_text(ratio)}"]
        cells.append(str(row.best or "-"))
        cells += [peers.text(row.peers[peer]) for peer in peers.all]
        table.add_row(f"{row.sized.label} {row.metric.label}", *cells)
    if not console.is_terminal:  # in a file it need not fit the 80 columns of a screen that is not there
        console.width = 160
    console.print(table)
    console.print(description())
    console.print(noise_of(lines))
