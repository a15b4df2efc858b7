"""The metrics of an app: name, kind, unit and labels of each. docs/operating.md and docs/grafana.json use these names.

No label is an instance id: each value of a label is a series that a database of metrics keeps for ever.
"""

from __future__ import annotations

from typing import Literal

from ..lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Instrument:
    """kind: a histogram is shown as count and sum in OpenMetrics. unit: as in OpenTelemetry; '' for a plain number."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The name in OpenMetrics, with the unit at its end."""
        plain = self.name.replace(".", "_")
        unit = _UNITS.get(self.unit, "")
        return f"{plain}_{unit}" if unit and not plain.endswith(unit) else plain


_UNITS = {"s": "seconds", "By": "bytes"}

ORCHESTRATIONS_STARTED = Instrument(
    "durable.orchestration.started", "counter", "", "Executions that began here", ("name",)
)
ORCHESTRATIONS_COMPLETED = Instrument(
    "durable.orchestration.completed", "counter", "", "Executions that ended here", ("name", "status")
)
ORCHESTRATION_DURATION = Instrument(
    "durable.orchestration.duration", "histogram", "s", "Time from the start to the end of an execution", ("name",)
)
ATTEMPTS = Instrument("durable.activity.attempts", "counter", "", "Attempts that ended here", ("name", "status"))
ATTEMPT_DURATION = Instrument("durable.activity.duration", "histogram", "s", "Time of an attempt", ("name",))
QUEUE_TIME = Instrument(
    "durable.activity.queue_time",
    "histogram",
    "s",
    "Age of the message of a first attempt, at its arrival",
    ("name",),
)
RETRIES = Instrument("durable.activity.retries", "counter", "", "Attempts after the first", ("name",))
TURN_DURATION = Instrument("durable.turn.duration", "histogram", "s", "Time of a turn, up to its commit", ("name",))
COMMIT_DURATION = Instrument("durable.commit.duration", "histogram", "s", "Time of the write of a commit")
CONFLICTS = Instrument("durable.commit.conflicts", "counter", "", "Commits that were refused or had no answer")
REPLAY_DURATION = Instrument("durable.replay.duration", "histogram", "s", "Time of a replay", ("name",))
REPLAY_EVENTS = Instrument("durable.replay.events", "histogram", "", "Events of a replay", ("name",))
TIMER_LATENESS = Instrument("durable.timer.lateness", "histogram", "s", "Time from a timer's due time to its commit")
MESSAGE_AGE = Instrument(
    "durable.message.age", "histogram", "s", "Age of a message that was not delayed, at its arrival", ("queue",)
)
STORAGE_OPERATIONS = Instrument(
    "durable.storage.operations", "counter", "", "Storage operations", ("operation", "status")
)
STORAGE_DURATION = Instrument("durable.storage.duration", "histogram", "s", "Time of an operation", ("operation",))
STORAGE_RETRIES = Instrument(
    "durable.storage.retries", "counter", "", "Storage operations that failed because the store was not available"
)

OPEN_INSTANCES = Instrument(
    "durable.instances.open", "gauge", "", "Instances of the hub that have not ended, of those that GET /hub counts"
)
STUCK_INSTANCES = Instrument("durable.instances.stuck", "gauge", "", "Instances of the hub that are stuck")
QUEUE_MESSAGES = Instrument("durable.queue.messages", "gauge", "", "Messages of a queue", ("queue",))
POISON_MESSAGES = Instrument("durable.poison.messages", "gauge", "", "Messages of the hub's poison queues")
HOSTS = Instrument("durable.hosts", "gauge", "", "Hosts of the hub that are alive")
WARM_INSTANCES = Instrument("durable.warm.instances", "gauge", "", "Warm orchestrators of this process")
WARM_BYTES = Instrument("durable.warm.bytes", "gauge", "By", "Memory of this process's warm orchestrators, estimated")

COUNTED = (
    ORCHESTRATIONS_STARTED,
    ORCHESTRATIONS_COMPLETED,
    ORCHESTRATION_DURATION,
    ATTEMPTS,
    ATTEMPT_DURATION,
    QUEUE_TIME,
    RETRIES,
    TURN_DURATION,
    COMMIT_DURATION,
    CONFLICTS,
    REPLAY_DURATION,
    REPLAY_EVENTS,
    TIMER_LATENESS,
    MESSAGE_AGE,
    STORAGE_OPERATIONS,
    STORAGE_DURATION,
    STORAGE_RETRIES,
)
"""Counted by each process."""

READ = (OPEN_INSTANCES, STUCK_INSTANCES, QUEUE_MESSAGES, POISON_MESSAGES, HOSTS, WARM_INSTANCES, WARM_BYTES)
"""Read when they are asked for."""
