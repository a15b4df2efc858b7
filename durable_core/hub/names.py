"""Names of a hub's tables and queues, and which partition an instance belongs to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from ..errors import ConfigurationError
from ..lazy_dataclass import dataclass
from ..settings import Settings

MAX_QUEUE_NAME = 63


@dataclass(frozen=True, slots=True)
class HubNames:
    """Names of a task hub's tables and queues. ``own_queues``: the queue names that activities give with ``queue=``."""

    hub: str
    partitions: int
    own_queues: tuple[str, ...] = ()

    @classmethod
    def of(cls, settings: Settings, own_queues: Iterable[str] = ()) -> HubNames:
        """Those of the hub that these settings name."""
        return cls(settings.hub, settings.partitions, tuple(own_queues))

    def __post_init__(self) -> None:
        for queue in self.own_queues:
            if len(name := f"{self.work_of(queue)[0]}-poison") > MAX_QUEUE_NAME:
                raise ConfigurationError(
                    f"queue '{queue}' makes the storage queue '{name}', longer than the {MAX_QUEUE_NAME} characters "
                    "that Azure allows: shorten its name, or the hub's (DURABLE_HUB)"
                )

    @property
    def instances(self) -> str:
        return f"{self.hub}Instances"

    @property
    def catalog(self) -> str:
        return f"{self.hub}Catalog"

    @property
    def entities(self) -> str:
        return f"{self.hub}Entities"

    @property
    def timers(self) -> str:
        return f"{self.hub}Timers"

    @property
    def control(self) -> list[str]:
        return [f"{self.hub.lower()}-control{self._suffix(i)}" for i in range(self.partitions)]

    @property
    def work(self) -> list[str]:
        """The queues of activities that have no queue of their own."""
        return self.work_of("")

    def work_of(self, queue: str) -> list[str]:
        """The queues of activities with ``queue=`` so."""
        middle = f"-{queue}" if queue else ""
        return [f"{self.hub.lower()}-work{middle}{self._suffix(i)}" for i in range(self.partitions)]

    @property
    def all_work(self) -> dict[str, list[str]]:
        """Every work queue, by the ``queue=`` of its activities, '' first."""
        return {queue: self.work_of(queue) for queue in ("", *self.own_queues)}

    @property
    def tables(self) -> list[str]:
        return [self.instances, self.catalog, self.timers, self.entities]

    def work_queue_of(self, name: str) -> str | None:
        """The ``queue=`` that a storage queue of this name serves; None if it is no work queue."""
        return next((queue for queue, names in self.all_work.items() if name in names), None)

    @property
    def queues(self) -> list[str]:
        return [*self.control, *(name for names in self.all_work.values() for name in names)]

    @property
    def queue_of_durable_functions(self) -> str:
        """A queue that each task hub of Durable Functions has, and none of durable_core."""
        return f"{self.hub.lower()}-workitems"

    @property
    def poison_queues(self) -> list[str]:
        return [f"{queue}-poison" for queue in self.queues]

    def _suffix(self, index: int) -> str:
        return "" if self.partitions == 1 else f"-{index:02}"


def shard_of(instance_id: str, partitions: int) -> int:
    """The partition of an instance; stable over processes and versions."""
    if partitions == 1:
        return 0
    return int.from_bytes(hashlib.sha256(instance_id.encode()).digest()[:4], "big") % partitions
