"""How much of the machine others used while something was measured. Read from /proc; unknown where there is none."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

_STAT = Path("/proc/stat")


class NoiseMeter:
    """Measures from its making to ``foreign_cores``. ``ours``: processes that belong to what is measured."""

    def __init__(self, ours: Sequence[int]) -> None:
        self._ours = ours
        self._began = time.perf_counter()
        self._before = self._foreign_seconds()

    def foreign_cores(self) -> float | None:
        """CPU used by others, in cores; None if this machine does not say."""
        now = self._foreign_seconds()
        if now is None or self._before is None:
            return None
        return max(0.0, now - self._before) / (time.perf_counter() - self._began)

    def _foreign_seconds(self) -> float | None:
        try:
            user, nice, system, _, _, irq, softirq, *_ = map(int, _STAT.read_text().splitlines()[0].split()[1:])
            ours = sum(_process_ticks(pid) for pid in self._ours)
        except (OSError, ValueError):
            return None
        return (user + nice + system + irq + softirq - ours) / os.sysconf("SC_CLK_TCK")


def _process_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # user and system time
