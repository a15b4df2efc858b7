"""The machine under the measurement: what it is, how much of it others use, what our processes take of it."""

from __future__ import annotations

import asyncio
import os
import platform
import sqlite3
import time
from collections.abc import Iterable, Mapping

import psutil

NOISE = 0.15
"""Cores used by others above which a figure is doubtful, and below which the machine counts as quiet."""

MIB = 2**20


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of processes and their children; of those that have ended, nothing."""
    total = 0.0
    for process in _with_children(pids):
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def memory_mb(pid: int) -> dict[str, float]:
    """``rss`` of a process and its children, in MiB."""
    total = 0
    for process in _with_children([pid]):
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return {"rss": round(total / MIB, 1)}


class Meter:
    """Measures from its making on. ``roles``: the processes that belong to what is measured, by their part in it."""

    def __init__(self, roles: Mapping[str, int]) -> None:
        self._roles = roles
        self._began = time.perf_counter()
        self._cpu = {role: cpu_seconds([pid]) for role, pid in roles.items()}
        self._busy, self._ours = _busy_seconds(), cpu_seconds(roles.values())

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds by role."""
        return {role: round(cpu_seconds([pid]) - self._cpu[role], 2) for role, pid in self._roles.items()}

    def foreign_cores(self) -> float:
        """CPU used by everything else on the machine, in cores."""
        ours = cpu_seconds(self._roles.values()) - self._ours
        return max(0.0, _busy_seconds() - self._busy - ours) / (time.perf_counter() - self._began)


async def quiet_machine(limit: float) -> bool:
    """Wait until little was used for one second, ``limit`` seconds at most. Returns whether it came to that."""
    give_up_at = time.monotonic() + limit
    while time.monotonic() < give_up_at:
        before = _busy_seconds()
        await asyncio.sleep(1)
        if _busy_seconds() - before < NOISE:
            return True
    return False


def description() -> str:
    """What was measured on, in a line. No names of hosts or folders."""
    return (
        f"{psutil.cpu_count()} cores of {_processor()}, {psutil.virtual_memory().total / 2**30:.0f} GiB of memory, "
        f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"
    )


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as info:
            names = [line.partition(":")[2].strip() for line in info if line.startswith("model name")]
    except OSError:
        names = []
    return next(iter(names), platform.processor() or platform.machine())


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    known = ("user", "nice", "system", "irq", "softirq")
    return sum(float(getattr(times, name, 0.0)) for name in known)


def _with_children(pids: Iterable[int]) -> set[psutil.Process]:
    found = set[psutil.Process]()
    for pid in pids:
        try:
            process = psutil.Process(pid)
            found.add(process)
            # Our own children are other roles, or the store: each is counted under its own name.
            found.update([] if pid == os.getpid() else process.children(recursive=True))
        except psutil.NoSuchProcess:
            continue
    return found
