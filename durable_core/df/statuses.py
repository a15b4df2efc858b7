"""Statuses of instances with the names, values and JSON of Durable Functions."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum
from typing import Any

from ..models import JSON, OrchestrationStatus, RuntimeStatus
from .failures import output_of

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class OrchestrationRuntimeStatus(str, Enum):
    """The state of an instance; each in the spelling of Durable Functions and in that of ``RuntimeStatus``."""

    Running = "Running"
    Completed = "Completed"
    ContinuedAsNew = "ContinuedAsNew"
    Failed = "Failed"
    Canceled = "Canceled"
    Terminated = "Terminated"
    Pending = "Pending"
    Suspended = "Suspended"

    RUNNING = "Running"
    COMPLETED = "Completed"
    CONTINUED_AS_NEW = "ContinuedAsNew"
    FAILED = "Failed"
    CANCELED = "Canceled"
    TERMINATED = "Terminated"
    PENDING = "Pending"
    SUSPENDED = "Suspended"


class DurableOrchestrationStatus:
    """The status of an instance. Falsy if there is no such instance: then all but the id is None."""

    def __init__(
        self,
        name: str | None = None,
        instance_id: str | None = None,
        created_time: datetime | None = None,
        last_updated_time: datetime | None = None,
        input_: JSON = None,
        output: JSON = None,
        runtime_status: OrchestrationRuntimeStatus | None = None,
        custom_status: JSON = None,
        history: list[Any] | None = None,
    ) -> None:
        self._name, self._instance_id = name, instance_id
        self._created_time, self._last_updated_time = created_time, last_updated_time
        self._input, self._output = input_, output
        self._runtime_status, self._custom_status = runtime_status, custom_status
        self._history = history

    @classmethod
    def of(cls, status: OrchestrationStatus) -> DurableOrchestrationStatus:
        """The status as a client of Durable Functions shows it."""
        if not status:
            return cls(instance_id=f"{status.instance_id}")
        return cls(
            status.name,
            f"{status.instance_id}",
            status.created_time,
            status.last_updated_time,
            status.input_,
            output_of(status),
            None if status.runtime_status is None else OrchestrationRuntimeStatus(status.runtime_status.value),
            status.custom_status,
            status.history_events,
        )

    def __bool__(self) -> bool:
        return self._created_time is not None

    def to_json(self) -> dict[str, Any]:
        """The status with the names of Durable Functions' JSON; times in UTC with microseconds."""
        shown: dict[str, Any] = {"name": self._name, "instanceId": self._instance_id}
        for key, moment in (("createdTime", self._created_time), ("lastUpdatedTime", self._last_updated_time)):
            shown[key] = None if moment is None else moment.astimezone(UTC).strftime(TIME_FORMAT)
        shown |= {"output": self._output, "input": self._input}
        if self._runtime_status is not None:
            shown["runtimeStatus"] = self._runtime_status.name
        return shown | {"customStatus": self._custom_status, "history": self._history}

    @property
    def name(self) -> str | None:
        """The name of the orchestrator."""
        return self._name

    @property
    def instance_id(self) -> str | None:
        """The id of the instance."""
        return self._instance_id

    @property
    def created_time(self) -> datetime | None:
        """When the instance was started, in UTC."""
        return self._created_time

    @property
    def last_updated_time(self) -> datetime | None:
        """When its history was last written, in UTC."""
        return self._last_updated_time

    @property
    def input_(self) -> JSON:
        """The input, if it was asked for."""
        return self._input

    @property
    def output(self) -> JSON:
        """The output; of a failed instance, the text of its failure."""
        return self._output

    @property
    def runtime_status(self) -> OrchestrationRuntimeStatus | None:
        """The state of the instance."""
        return self._runtime_status

    @property
    def custom_status(self) -> JSON:
        """The value that the orchestrator has set."""
        return self._custom_status

    @property
    def history(self) -> list[Any] | None:
        """The history, if it was asked for."""
        return self._history

    historyEvents = history


class PurgeHistoryResult:
    """What a purge has deleted."""

    def __init__(self, instances_deleted: int) -> None:
        self._instances_deleted = instances_deleted

    @property
    def instances_deleted(self) -> int:
        """The number of deleted instances."""
        return self._instances_deleted


def native(statuses: object) -> list[RuntimeStatus] | None:
    """Statuses of a filter, one or several, in either spelling, as the runtime has them. ValueError for others."""
    if statuses is None:
        return None
    given: Any = [statuses] if isinstance(statuses, str) else statuses
    return [RuntimeStatus(getattr(each, "value", each)) for each in given] or None
