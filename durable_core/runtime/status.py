"""An instance as a client shows it: its status, and its history with the names of DurableTask."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, TypeAlias

from ..engine.events import (
    ExecutionCompleted,
    Segment,
    StepCompleted,
    SubOrchestrationCompleted,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
)
from ..errors import CodecError
from ..hub.attempts import EndedAttempt, attempts_in, span_of
from ..hub.instance_row import Instance
from ..hub.taskhub import TaskHub
from ..hub.times import iso
from ..hub.waits import waits_in
from ..models import JSON, FailureDetails, OrchestrationStatus, RuntimeStatus, Wait
from ..moments import from_epoch

_RESULT_FIELDS = ("result", "data", "input")
_NOT_SHOWN = ("timing", "attempt", "tries", "headers")  # attempts have a form of their own; headers may be secret

Ending: TypeAlias = TaskCompleted | TaskFailed | StepCompleted | SubOrchestrationCompleted | SubOrchestrationFailed
"""The end of a task that may have several attempts."""


async def status_of_instance(hub: TaskHub, instance: Instance, *, show_input: bool) -> OrchestrationStatus:
    """The status with its values loaded. PayloadGoneError if the instance moved on, or was purged, meanwhile."""
    stuck = instance.stuck

    async def value(stored: Any) -> JSON:
        nonlocal stuck
        try:
            return await hub.payloads.load(instance.instance_id, stored)
        except CodecError as error:
            if instance.is_terminal:
                raise
            stuck = stuck or str(error)  # the instance is shown without the values, with the reason
            return None

    waits: tuple[Wait, ...] = ()
    pause = ""
    try:
        waits = () if instance.is_terminal else waits_in(hub.instances.waits(instance), instance)
        pause = hub.instances.pause_reason(instance) if instance.status is RuntimeStatus.SUSPENDED else ""
    except CodecError as error:
        stuck = stuck or str(error)  # as above
    failure = None if instance.failure is None else await value(instance.failure)
    return OrchestrationStatus(
        instance_id=instance.instance_id,
        name=instance.name,
        version=instance.version,
        runtime_status=instance.status,
        created_time=instance.created,
        last_updated_time=instance.updated,
        input_=await value(instance.input) if show_input else None,
        output=None if instance.output is None else await value(instance.output),
        custom_status=None if instance.custom is None else await value(instance.custom),
        failure=None if failure is None else FailureDetails.from_json(failure),
        stuck_reason=stuck or None,
        parent_instance_id=None if instance.parent is None else instance.parent.instance_id,
        execution_id=instance.execution_id,
        tags=dict(instance.tags),
        scheduled_start_time=instance.start_at,
        deadline=instance.deadline,
        restarted_from=instance.restarted_from,
        forked_from=instance.forked_from,
        waits=waits,
        pause_reason=pause or None,
        generation=instance.generation,
        parent_task_id=None if instance.parent is None else instance.parent.task_id,
        ended_time=instance.updated if instance.is_terminal else None,
        retrying=0 if instance.is_terminal else instance.retrying,
        operations=instance.operations,
    )


def shown_history(segments: list[Segment], status: OrchestrationStatus, with_output: bool) -> list[dict[str, JSON]]:
    """History as a list of plain events, with DurableTask's names; one OrchestratorStarted per commit.

    The end of a task also tells of its attempts (see ``_attempts``); what they failed with, ``with_output`` alone.
    """
    events: list[dict[str, JSON]] = []
    scheduled: dict[int, datetime] = {}
    for segment in segments:
        at = iso(segment.timestamp)
        events.append({"EventType": "OrchestratorStarted", "Timestamp": at})
        for event in segment.events:
            if isinstance(event, TaskScheduled):
                scheduled[event.task_id] = segment.timestamp
            elif isinstance(event, ExecutionCompleted):  # the instance row holds its result
                event = replace(event, result=status.output, failure=status.failure)
            shown: dict[str, JSON] = {"EventType": type(event).__name__, "Timestamp": at}
            for name in event.__dataclass_fields__:
                if name in _NOT_SHOWN or (name in _RESULT_FIELDS and not with_output):
                    continue
                value: Any = getattr(event, name)
                if isinstance(value, FailureDetails):
                    value = value.to_json()
                elif isinstance(value, datetime):
                    value = iso(value)
                if value not in ("", None):
                    shown[_pascal(name)] = value
            if isinstance(event, Ending):
                shown |= _attempts(event, scheduled.get(event.task_id), segment.timestamp, with_output)
            events.append(shown)
    return events


def _attempts(event: Ending, scheduled: datetime | None, recorded: datetime, with_output: bool) -> dict[str, JSON]:
    """When and where the last attempt at a task ran, and the attempts before it, where the history holds that."""
    shown: dict[str, JSON] = {}
    timing = None if isinstance(event, SubOrchestrationCompleted | SubOrchestrationFailed) else event.timing
    if (span := span_of(timing, event.tries, scheduled, recorded)) is not None:
        shown = {"StartedTime": iso(span.started), "QueueMs": span.queue_ms, "RunMs": span.run_ms, "Host": span.host}
    if attempts := attempts_in(event.tries):
        shown["Attempt"] = event.attempt
        shown["Attempts"] = [_attempt(attempt, with_output) for attempt in attempts]
    return shown


def _attempt(attempt: EndedAttempt, with_output: bool) -> dict[str, JSON]:
    shown: dict[str, JSON] = {"Number": attempt.number}
    if attempt.started is not None:
        shown |= {"StartedTime": iso(from_epoch(attempt.started)), "RunMs": attempt.ms}
    if attempt.host:
        shown["Host"] = attempt.host
    if attempt.error:
        shown["ErrorType"] = attempt.error
        if with_output:
            shown["Message"] = attempt.message
    return shown


def _pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))
