"""What the benchmark's workloads cost at the storage ports, in small: operations and bytes, exact for a seed.

Independent of the machine and of what else it does. The numbers may only go down.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from .programs import count


@dataclass(frozen=True)
class Most:
    """``operations`` and ``written`` (bytes): at most so many, from the start of all instances until all is at rest.

    Bytes have 2 % of room: how well a text packs differs between builds of zlib.
    """

    program: str
    size: int
    instances: int
    operations: int
    written: int


@pytest.mark.parametrize(
    "most",
    [
        Most("chain", 1, 1, operations=9, written=2_500),
        Most("chain", 10, 20, operations=360, written=155_900),
        Most("fan", 100, 1, operations=316, written=19_960),
        Most("short_fan", 100, 1, operations=22, written=12_080),
        Most("chain", 100, 1, operations=108, written=61_900),
    ],
    ids=["W1", "W2, 20 chains of 10", "W3, 100", "W3, 100, short", "W4, 100"],
)
def test_a_workload_costs_at_most(most: Most) -> None:
    run = count(most.program, most.size, instances=most.instances)
    assert len(run.outputs) == most.instances
    assert run.all.total <= most.operations, run
    assert run.all.bytes_written <= most.written, run


def test_chains_that_run_together_cost_at_most_half_as_much_again_as_alone() -> None:
    """Many at once on one host take a few more wake-ups, and each a commit more."""
    alone, together = count("chain", 10), count("chain", 10, instances=20)
    assert together.all.total <= 1.5 * 20 * alone.all.total, f"alone: {alone}\ntogether: {together}"
