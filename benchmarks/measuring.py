"""Repeats workloads on one store and keeps a line for each repetition; a workload that fails stops no other."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from .catalogue import InProcess, OverHttp, Sized
from .host_process import running_host_process
from .machine import NOISE, Meter, quiet_machine
from .product import running_host
from .results import ENGINE, Line, keep
from .stores import Store, Variant, fresh_store
from .workloads import Figures

AGAIN = 2  # repetitions of a workload that are measured again because others disturbed them

Roles = Callable[[], dict[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to measure, how often, and how patiently.

    quiet: seconds to wait for a quiet machine before each repetition, at most; 0 does not wait, and does not measure
    again what was disturbed. timeout: seconds for one repetition. results: the folder for the lines.
    """

    workloads: Sequence[Sized]
    reps: int
    quiet: float
    timeout: float
    results: Path

    @property
    def total(self) -> int:
        """Repetitions on one store, if none is disturbed."""
        return self.reps * len(self.workloads)


@dataclass(slots=True)
class Measurement:
    """One run of a plan on a store. ``tell`` hears of the workload that is about to run, and of each line."""

    plan: Plan
    variant: Variant
    tell: Callable[[Sized, Line | None], None]
    lines: list[Line] = field(default_factory=list[Line])

    def run(self) -> None:
        """First all that runs in this process, then all that needs a host process. ``lines`` grows meanwhile.

        Each begins on an empty store, and so does what follows a failure: what that left behind would still be at work.
        """
        inside = [each for each in self.plan.workloads if isinstance(each.workload.how, InProcess)]
        outside = [each for each in self.plan.workloads if isinstance(each.workload.how, OverHttp)]
        for rest, measure in ((inside, self._in_process), (outside, self._over_http)):
            while rest:
                with fresh_store(self.variant, self.plan.results) as store:
                    rest = asyncio.run(measure(rest, store))

    async def _in_process(self, workloads: Sequence[Sized], store: Store) -> list[Sized]:
        """Returns what is left to do after a failure."""
        roles = {"host": os.getpid(), **store.pids}
        async with running_host() as client:
            for number, each in enumerate(workloads, 1):
                how = each.workload.how
                assert isinstance(how, InProcess), f"{each.label} needs a host process"
                if not await self._repeat(each, partial(how.run, client, each.size), lambda: roles):
                    return list(workloads[number:])
        return []

    async def _over_http(self, workloads: Sequence[Sized], store: Store) -> list[Sized]:
        """Returns what is left to do after a failure."""
        async with running_host_process(store.folder) as driver:
            roles = {"driver": os.getpid(), **store.pids}
            for number, each in enumerate(workloads, 1):
                how = each.workload.how
                assert isinstance(how, OverHttp), f"{each.label} needs a client"
                run = partial(how.run, driver, each.size)
                if not await self._repeat(each, run, lambda: {"host": driver.host.pid, **roles}):
                    return list(workloads[number:])
        return []

    async def _repeat(self, each: Sized, run: Callable[[], Awaitable[Figures]], roles: Roles) -> bool:
        """All repetitions of a workload. Whether none of them raised an error; after one that did there are no more."""
        todo, again = list(range(self.plan.reps)), AGAIN if self.plan.quiet else 0
        while todo:
            rep = todo.pop(0)
            self.tell(each, None)
            await asyncio.sleep(0.3)  # what the last one left to tidy up is not this one's cost
            await quiet_machine(self.plan.quiet)
            line: Line = {"engine": ENGINE, "variant": self.variant, "w": each.label, "rep": rep}
            before = roles()
            meter = Meter(before)
            try:
                async with asyncio.timeout(self.plan.timeout):
                    figures = await run()
            except Exception as error:  # noqa: BLE001  whatever it was, it is this workload's result
                self._keep(each, line | {"error": f"{type(error).__name__}: {str(error)[:300]}"})
                return False
            if roles() == before:
                noise = meter.foreign_cores()
                line |= figures | {"foreign_cores": noise, "cpu_s": meter.cpu_s()}
                if noise > NOISE and again:
                    again -= 1
                    todo.append(rep)
            else:  # a process was replaced, and its CPU time is gone with it
                line |= figures | {"foreign_cores": None, "cpu_s": {}}
            self._keep(each, line)
        return True

    def _keep(self, each: Sized, line: Line) -> None:
        kept = keep(line, self.plan.results)
        self.lines.append(kept)
        self.tell(each, kept)
