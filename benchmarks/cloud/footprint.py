"""What a workload takes of an account, counted while it runs in virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field, replace

from durable_core.storage.counting import IDLE_POLL, Counts
from durable_core.testing.virtual_time import VirtualTimeLoop, run_virtual

from .deployment import Hub, Shape, Tally
from .ledger import Charge

BUSY = 32  # instances in flight while counting: more than a machine takes at once
MANY_STEPS = 50  # of instances with more steps a few are enough

REST = 60.0  # virtual seconds, after which everything that has no reason to wait is done


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """Instances of one orchestrator. ``data``: its input, which is how many activities it runs: its steps.

    inline: whether a lone activity may run in the turn that scheduled it (``DURABLE_INLINE``).
    """

    title: str
    orchestrator: str
    data: int
    inline: bool = True

    @property
    def steps(self) -> int:
        return self.data


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """For each instance, from its start until all is at rest; idle polls are left out.

    table_requests, queue_requests: what the port was asked for, as Azure bills it. by_kind: the same, by kind.
    control, work: messages sent to, received from or deleted from its control and its work queue.
    catalogue: entities of its catalogue shard. own: entities of the partition of its own, in the instances table.
    executions: function executions. written: bytes. seconds: from start to end, at the latency assumed.
    """

    steps: int
    table_requests: float
    queue_requests: float
    by_kind: dict[str, float] = field(default_factory=dict[str, float])
    control: float
    work: float
    catalogue: float
    own: float
    executions: float
    written: float
    seconds: float = 0.0

    @property
    def requests(self) -> float:
        return self.table_requests + self.queue_requests

    @property
    def messages(self) -> float:
        return self.control + self.work


def counted(workload: Workload, shape: Shape) -> Footprint:
    """At work: with more in flight than the machines take at once, so that receives bring several messages.

    ``seconds`` are those of an instance that is alone.
    """
    in_flight = 2 if workload.steps > MANY_STEPS else BUSY
    busy = footprint(workload, shape, instances=2 * in_flight, in_flight=in_flight)
    return replace(busy, seconds=footprint(workload, shape).seconds)


def footprint(workload: Workload, shape: Shape, *, instances: int = 1, in_flight: int = 1) -> Footprint:
    """Run so many instances, so many at a time, on one hub, and count."""
    loop, tally = VirtualTimeLoop(), Tally()
    settings = replace(shape.settings, inline_default=workload.inline)
    hub = Hub(replace(shape, settings=settings), loop, tally)

    async def main() -> tuple[Counts, list[Charge], float]:
        await hub.open()
        await asyncio.sleep(REST)
        before, mark = hub.counted.counts, len(hub.ledger.charges)
        numbers, took = iter(range(instances)), 0.0

        async def starter() -> None:
            nonlocal took
            for number in numbers:
                began = loop.time()
                await hub.run(workload.orchestrator, f"i{number}", workload.data)
                took += loop.time() - began

        await asyncio.gather(*(starter() for _ in range(in_flight)))
        await asyncio.sleep(REST)
        counts, charges = hub.counted.counts - before, hub.ledger.charges[mark:]
        await hub.close()
        return counts, charges, took / instances

    counts, charges, took = run_virtual(main(), loop)
    if tally.activities != workload.steps * instances:
        raise AssertionError(f"{tally.activities} activities ran, not {workload.steps * instances}")
    return _average(counts, charges, hub, workload, instances, tally.executions, took)


def _average(
    counts: Counts, charges: list[Charge], hub: Hub, workload: Workload, instances: int, executions: int, took: float
) -> Footprint:
    # A receive counts as one request, however many messages it brings; at the port its cost is those messages.
    billed: Counter[str] = Counter()
    for request in counts.requests:
        if request.kind != IDLE_POLL:
            billed[request.kind] += 1 if request.kind == "queue.receive" else request.cost
    names, units = hub.names, Counter[str]()
    for charge in charges:
        units[charge.name] += charge.units

    def each(total: float) -> float:
        return total / instances

    return Footprint(
        steps=workload.steps,
        table_requests=each(sum(count for kind, count in billed.items() if kind.startswith("table."))),
        queue_requests=each(sum(count for kind, count in billed.items() if kind.startswith("queue."))),
        by_kind={kind: each(count) for kind, count in sorted(billed.items())},
        control=each(sum(units[name] for name in names.control)),
        work=each(sum(units[name] for name in names.work)),
        catalogue=each(units[names.catalog]),
        own=each(units[names.instances]),
        executions=each(executions),
        written=each(counts.bytes_written),
        seconds=took,
    )
