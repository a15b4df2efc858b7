"""What more hosts on one store bring, and what they cost: activities per second, storage operations, conflicts."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..machine import Meter, quiet_machine
from ..results import ENGINE, Line
from ..stores import RESULTS, Variant, fresh_store
from ..workloads import STEPS, check
from .host_group import Group, Hosts, serving

GROUPS = tuple(Group.named(name) for name in ("1", "2", "4", "1+1", "2+2"))
POLLING = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.1"}
"""Listeners that nothing wakes look ten times a second: how long they would sleep at first is not the question. On the
embedded store a send wakes those of the other processes, and they need not look so often."""

REST = 1.0  # seconds after which what is to be tidied up has been
FIRST = 2.5  # seconds after which every timer of a host has run once


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """instances: by store. inline: whether activities that are alone run where the orchestrator is."""

    name: str
    title: str
    orchestrator: str
    data: dict[Variant, int]
    instances: dict[Variant, int]
    inline: bool = True

    def activities(self, variant: Variant) -> int:
        return self.data[variant] * self.instances[variant]

    def output(self, variant: Variant) -> int:
        size = self.data[variant]
        return size * (size - 1) // 2 if self.orchestrator == "fan" else size


LOADS = (
    Load(
        name="chains",
        title=f"chains of {STEPS}",
        orchestrator="chain",
        data={"sqlite": STEPS, "azurite": STEPS},
        instances={"sqlite": 300, "azurite": 60},
    ),
    Load(
        name="queued",
        title=f"chains of {STEPS}, every step through the queue",
        orchestrator="chain",
        data={"sqlite": STEPS, "azurite": STEPS},
        instances={"sqlite": 150, "azurite": 30},
        inline=False,
    ),
    Load(
        name="fan",
        title="one fan-out",
        orchestrator="fan",
        data={"sqlite": 2000, "azurite": 400},
        instances={"sqlite": 1, "azurite": 1},
    ),
    Load(
        name="fans",
        title="fan-outs of 40",
        orchestrator="fan",
        data={"sqlite": 40, "azurite": 40},
        instances={"sqlite": 40, "azurite": 6},
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One group of hosts under one load."""

    load: Load
    group: Group
    variant: Variant
    azure_like: bool

    @property
    def label(self) -> str:
        return f"hosts-{self.load.name}"

    @property
    def line(self) -> Line:
        return {
            "engine": ENGINE,
            "variant": self.variant,
            "w": self.label,
            "hosts": str(self.group),
            "azure_like": self.azure_like,
        }


def cases(variant: Variant, *, azure_like: bool) -> list[Case]:
    """Every group under every load, the groups by turns: what disturbs the machine meets all of them."""
    return [Case(load=load, group=group, variant=variant, azure_like=azure_like) for load in LOADS for group in GROUPS]


async def measure(case: Case, tell: Callable[[str], None], quiet: float, results: Path = RESULTS) -> Line:
    """One repetition on an empty store with fresh hosts."""
    load, variant = case.load, case.variant
    polling = POLLING if case.azure_like or variant == "azurite" else {}
    env = {"DURABLE_INLINE": str(load.inline).lower(), **polling}
    with fresh_store(variant, results) as store:
        tell(f"{case.label} {case.group}")
        async with serving(case.group, store.folder, azure_like=case.azure_like, more_env=env) as hosts:
            await _run(hosts, "chain", 2, 4 * len(hosts.hosts))  # so that nothing is done for the first time
            await _run(hosts, "fan", 40, 1)
            await asyncio.sleep(FIRST)
            await quiet_machine(quiet)
            await hosts.counts()
            meter = Meter({"driver": os.getpid(), **hosts.pids, **store.pids})
            began = time.perf_counter()
            ids = await _run(hosts, load.orchestrator, load.data[variant], load.instances[variant])
            wall = time.perf_counter() - began
            noise, cpu = meter.foreign_cores(), meter.cpu_s()
            await asyncio.sleep(REST)
            counted = await hosts.counts()
            for instance_id in ids[:: max(1, len(ids) // 20)]:
                check((await hosts.client.get_status(instance_id)).output, load.output(variant))
    activities = load.activities(variant)
    return case.line | {
        "act_per_s": activities / wall,
        "wall_s": wall,
        "activities": activities,
        **counted,
        "foreign_cores": noise,
        "cpu_s": cpu,
    }


async def _run(hosts: Hosts, orchestrator: str, data: int, instances: int) -> list[str]:
    ids = await hosts.start_all(orchestrator, data, instances)
    await hosts.until_all_ended()
    return ids
