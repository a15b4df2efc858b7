"""What was measured of other engines before, for whoever has no lines of them from this machine and this hour.

Medians of three repetitions, on a quiet 2-core machine, each engine with its own defaults: DBOS 3.4, Restate 1.7, the
development server of Temporal 1.32, durabletask 1.12 with its backend in memory. Where two ways of writing a workload
were measured (Restate's service calls and ``gather``) both are here.
"""

from __future__ import annotations

from collections.abc import Mapping

WHEN = "measured earlier on a quiet 2-core machine"

MEDIANS: Mapping[tuple[str, str], Mapping[tuple[str, str], float]] = {
    ("dbos", "sqlite"): {
        ("w1", "p50_ms"): 6.9,
        ("w1", "p99_ms"): 8.9,
        ("w2", "act_per_s"): 263,
        ("w3", "wall_s"): 3.55,
        ("w3x5000", "wall_s"): 17.7,
        ("w4", "wall_s"): 2.84,
        ("w5", "over_ideal_s"): 3.93,
        ("w6", "wall_s"): 2.14,
        ("w7", "after_kill_s"): 5.2,
        ("idle", "mem_mb"): 71,
    },
    ("dbos", "postgres"): {
        ("w1", "p50_ms"): 5.7,
        ("w1", "p99_ms"): 8.3,
        ("w2", "act_per_s"): 257,
        ("w3", "wall_s"): 3.73,
        ("w4", "wall_s"): 3.01,
        ("w5", "over_ideal_s"): 3.27,
        ("w6", "wall_s"): 1.31,
        ("w7", "after_kill_s"): 5.0,
    },
    ("temporal", "sqlite"): {
        ("w1", "p50_ms"): 100.4,
        ("w1", "p99_ms"): 163,
        ("w2", "act_per_s"): 65,
        ("w3", "wall_s"): 7.1,
        ("w4", "wall_s"): 49.1,
        ("w5", "over_ideal_s"): 19.4,
        ("w6", "wall_s"): 3.35,
        ("w7", "after_kill_s"): 23.7,
    },
    ("temporal", "memory-tuned"): {
        ("w1", "p50_ms"): 29.6,
        ("w1", "p99_ms"): 45,
        ("w2", "act_per_s"): 168,
        ("w4", "wall_s"): 9.8,
    },
    ("restate", "default"): {
        ("w1", "p50_ms"): 5.06,
        ("w1", "p99_ms"): 8.35,
        ("w2", "act_per_s"): 3067,
        ("w3", "wall_s"): 0.88,
        ("w3call", "wall_s"): 0.63,
        ("w3x5000", "wall_s"): 38.0,
        ("w3callx5000", "wall_s"): 3.4,
        ("w4", "wall_s"): 1.44,
        ("w5", "over_ideal_s"): 0.52,
        ("w6", "wall_s"): 0.33,
        ("w7", "after_kill_s"): 1.14,
    },
    ("durabletask", "default"): {
        ("w1", "p50_ms"): 4.9,
        ("w1", "p99_ms"): 7.0,
        ("w2", "act_per_s"): 483,
        ("w3", "wall_s"): 0.81,
        ("w4", "wall_s"): 15.5,
        ("w5", "over_ideal_s"): 0.88,
        ("w6", "wall_s"): 0.40,
        ("w8chain", "wall_ms"): 85,
        ("w8fan", "wall_ms"): 72,
    },
}
