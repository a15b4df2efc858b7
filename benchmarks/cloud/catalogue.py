"""Which workloads, deployments and settings the page is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from durable_core.hosting.local.config import QueueOptions
from durable_core.settings import Settings

from .deployment import Shape
from .footprint import Footprint, Workload, counted, footprint

ONE = Workload(title="one activity", orchestrator="chain", data=1)
CHAIN = Workload(title="chain of 10", orchestrator="chain", data=10)
QUEUED = Workload(title="chain of 10, `inline=False`", orchestrator="chain", data=10, inline=False)
FAN = Workload(title="fan-out of 100", orchestrator="fan", data=100)
SHORT_FAN = Workload(title="fan-out of 100, `short=True`", orchestrator="short_fan", data=100)
WORKLOADS = (ONE, CHAIN, QUEUED, FAN, SHORT_FAN)

APART = Shape()
TOGETHER = Shape(apart=False)
BY_CONTROL = Shape(settings=Settings(turns_at_work=False))
COLD = Shape(settings=Settings(warm_cache=0))
SLOW_ACTIVITIES = Shape(activity_seconds=0.1)
SLOW_IN_EIGHTS = replace(
    SLOW_ACTIVITIES, options=QueueOptions(batch_size=8, new_batch_threshold=0, max_polling_interval=2.0)
)

HUBS = ((1, 1), (1, 4), (1, 16), (4, 16))
"""(accounts, partitions of the hub in each), in the tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """apart: of each workload, busy, each queue with machines of its own. alone: of an instance by itself, likewise.
    The others vary one thing: together: every machine serves all queues; by_control: every result has a control
    message, of ``QUEUED``; cold: no warm cache, likewise; slow and slow_in_eights: of ``CHAIN`` with activities of
    0.1 s, with 24 and with 8 messages at once."""

    apart: Mapping[Workload, Footprint]
    alone: Mapping[Workload, Footprint]
    together: Mapping[Workload, Footprint]
    by_control: Footprint
    cold: Footprint
    slow: Footprint
    slow_in_eights: Footprint


def count_all() -> Counted:
    return Counted(
        apart={each: counted(each, APART) for each in WORKLOADS},
        alone={each: footprint(each, APART) for each in WORKLOADS},
        together={each: counted(each, TOGETHER) for each in (QUEUED, FAN, SHORT_FAN)},
        by_control=counted(QUEUED, BY_CONTROL),
        cold=counted(QUEUED, COLD),
        slow=counted(CHAIN, SLOW_ACTIVITIES),
        slow_in_eights=counted(CHAIN, SLOW_IN_EIGHTS),
    )
