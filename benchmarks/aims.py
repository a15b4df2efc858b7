"""What we want to reach, by workload, figure and store. Reported where it was missed; the ratios decide."""

from __future__ import annotations

from collections.abc import Mapping

AIMS: Mapping[tuple[str, str], Mapping[str, float]] = {
    ("w1", "p50_ms"): {"sqlite": 1.5, "azurite": 25},
    ("w1", "p99_ms"): {"sqlite": 4, "azurite": 60},
    ("w1h", "p50_ms"): {"sqlite": 3.5},
    ("w1h", "p99_ms"): {"sqlite": 7},
    ("w2", "act_per_s"): {"sqlite": 5000, "azurite": 300},
    ("w2h", "act_per_s"): {"sqlite": 3500},
    ("w3", "wall_s"): {"sqlite": 0.2, "azurite": 1.5},
    ("w3x5000", "wall_s"): {"sqlite": 1.0, "azurite": 7},
    ("w4", "wall_s"): {"sqlite": 0.4, "azurite": 3},
    ("w4", "ratio"): {"sqlite": 1.1, "azurite": 1.1},
    ("w5", "over_ideal_s"): {"sqlite": 0.15, "azurite": 2},
    ("w6", "wall_s"): {"sqlite": 0.1, "azurite": 1.5},
    ("w7", "after_kill_s"): {"sqlite": 0.5},
    ("w8chain", "wall_ms"): {"sqlite": 40},
    ("w8fan", "wall_ms"): {"sqlite": 30},
    ("w9", "wf_per_s"): {"sqlite": 900},
    ("idle", "mem_mb"): {"sqlite": 70, "azurite": 90},
}
