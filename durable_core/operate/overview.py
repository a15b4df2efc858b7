"""A hub at one moment: how many instances are in which status, its queues and its hosts. Costs a few operations.

The counts are those of the catalogue, of the newest thousand open and the newest thousand closed rows of each shard: a
hub of a hundred thousand instances costs no more than one of two thousand, and says that its counts are not complete.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from ..hub.hosts import HostRow
from ..hub.taskhub import QueueState, TaskHub
from ..hub.times import iso
from ..lazy_dataclass import dataclass
from ..models import JSON, RuntimeStatus

COUNTED = 1000
"""Open rows, and closed rows, that are counted of each shard: one page of Azure Tables."""

ALIVE = timedelta(minutes=11)
"""A host that was seen within this time, twice the interval of its writes, is taken to be alive."""

SHOWN = timedelta(days=1)
"""Hosts that were not seen for longer are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HubOverview:
    """A task hub at the time ``now`` (UTC).

    store: ``embedded`` or ``azure``.
    counts: the number of instances by status; statuses without an instance are left out. Instances of built-in
        orchestrators, such as schedules, are not counted. An instance may be counted as Pending for its first seconds.
    is_complete: whether all instances were counted; if not, the newest were.
    stuck, retrying: of the counted open instances, those that are stuck, and those with calls that were tried again for
        long when that was noted.
    """

    hub: str
    store: str
    partitions: int
    now: datetime
    counts: Mapping[RuntimeStatus, int]
    is_complete: bool
    stuck: int
    retrying: int
    queues: Sequence[QueueState]
    hosts: Sequence[HostRow]

    def to_json(self) -> JSON:
        return {
            "hub": self.hub,
            "store": self.store,
            "partitions": self.partitions,
            "now": iso(self.now),
            "counts": {status.value: number for status, number in self.counts.items()},
            "isComplete": self.is_complete,
            "stuck": self.stuck,
            "retrying": self.retrying,
            "queues": [_queue_json(queue, self.now) for queue in self.queues],
            "hosts": [_host_json(host, self.now) for host in self.hosts],
        }


def is_alive(host: HostRow, now: datetime) -> bool:
    """Whether the host was seen lately and has not said that it stops."""
    return host.stopped is None and now - host.seen <= ALIVE


async def read_overview(hub: TaskHub, now: datetime) -> HubOverview:
    """The hub as it is. Two range reads per shard, one for the hosts, and one or two operations per queue."""
    count, queues, hosts = await asyncio.gather(hub.catalog.count(COUNTED), hub.queue_states(), hub.hosts.read())
    known = {status.value for status in RuntimeStatus}
    return HubOverview(
        hub=hub.names.hub,
        store="embedded" if hub.is_embedded else "azure",
        partitions=hub.names.partitions,
        now=now,
        counts={RuntimeStatus(name): number for name, number in sorted(count.statuses.items()) if name in known},
        is_complete=count.is_complete,
        stuck=count.stuck,
        retrying=count.retrying,
        queues=queues,
        hosts=[host for host in hosts if now - host.seen <= SHOWN],
    )


def _queue_json(queue: QueueState, now: datetime) -> JSON:
    shown: dict[str, JSON] = {"name": queue.name, "kind": queue.kind, "depth": queue.depth}
    if queue.oldest is not None:
        shown["oldestSeconds"] = round(max((now - queue.oldest).total_seconds(), 0.0), 1)
        shown["dequeueCount"] = queue.dequeue_count
    if queue.kind != "control":
        shown["serves"] = [queue.own or "*"]
    return shown


def _host_json(host: HostRow, now: datetime) -> JSON:
    shown: dict[str, JSON] = {
        "id": host.id,
        "name": host.name,
        "pid": host.pid,
        "build": host.build,
        "version": host.version,
        "queues": list(host.queues),
        "startedTime": iso(host.started),
        "lastSeenTime": iso(host.seen),
        "inFlight": host.in_flight,
        "warm": host.warm,
        "isAlive": is_alive(host, now),
    }
    if host.stopped is not None:
        shown["stoppedTime"] = iso(host.stopped)
    return shown
