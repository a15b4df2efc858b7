"""Bodies of the HTTP API: the status document and the management payload, in the shapes of Durable Functions.

Knows capabilities, and neither routes nor the client.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias, cast

from ..errors import InvalidInputError
from ..instance_ids import execution_of
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails, OrchestrationStatus, Origin, RuntimeStatus, Wait
from ..operate.price import operations_json
from ..runtime.restart import SAME_INPUT
from .http_routes import RETRY_AFTER_SECONDS
from .http_types import HttpResponse, json_response
from .signed_urls import CapabilitySigner, Verb

if TYPE_CHECKING:
    from ..runtime.schedules.backfill import BackfillPreview
    from ..runtime.schedules.client import ScheduleStatus

HttpManagementPayload: TypeAlias = dict[str, str]


_MANAGEMENT_URIS = (
    ("statusQueryGetUri", Verb.STATUS, ""),
    ("sendEventPostUri", Verb.EVENT, "/{eventName}"),
    ("terminatePostUri", Verb.TERMINATE, "?reason={text}"),
    ("cancelPostUri", Verb.CANCEL, "?reason={text}"),
    ("rewindPostUri", Verb.REWIND, "?reason={text}"),
    ("purgeHistoryDeleteUri", Verb.PURGE, ""),
    ("restartPostUri", Verb.RESTART, ""),
    ("suspendPostUri", Verb.SUSPEND, "?reason={text}"),
    ("resumePostUri", Verb.RESUME, "?reason={text}"),
)
_NAMES = tuple(name for name, _, _ in _MANAGEMENT_URIS)
_VERBS = tuple(verb for _, verb, _ in _MANAGEMENT_URIS)


def create_http_management_payload(
    signer: CapabilitySigner,
    instance_id: str,
    base_url: str,
    execution_id: str = "",
    *,
    details: bool = False,
    steady: bool = False,
) -> HttpManagementPayload:
    """The URIs by which their holder can watch and manage this one instance without a key.

    They are bound to ``execution_id``, else to the execution in the id (``StartedInstance``). With neither they are
    valid for each instance that has the id. ``details``: the status URI shows the input and, on request, the history.
    ``steady``: the URIs are the same at every call for about a month; an execution in the id is ignored.

    ``base_url`` is the absolute URL of the API's base, such as ``https://app.example/api/durabletask``. In
    ``sendEventPostUri`` replace ``{eventName}``, in the others ``{text}`` (a reason; it may also stay as it is).
    """

    execution_id = execution_id or ("" if steady else execution_of(instance_id))
    verbs = (Verb.DETAILS, *_VERBS[1:]) if details else _VERBS
    tokens = signer.issue_each(instance_id, verbs, execution_id=execution_id, steady=steady)
    urls = [f"{base_url}/c/{token}{rest}" for token, (_, _, rest) in zip(tokens, _MANAGEMENT_URIS, strict=True)]
    return {"id": instance_id} | dict(zip(_NAMES, urls, strict=True))


def create_check_status_response(
    signer: CapabilitySigner,
    instance_id: str,
    base_url: str,
    *,
    retry_after: int = RETRY_AFTER_SECONDS,
    execution_id: str = "",
    details: bool = False,
) -> HttpResponse:
    """202 with the management payload, ``Location`` (the status URI) and ``Retry-After`` (seconds)."""
    payload = create_http_management_payload(signer, instance_id, base_url, execution_id, details=details)
    headers = {"Location": payload["statusQueryGetUri"], "Retry-After": str(retry_after)}
    return json_response(202, payload, headers)


def status_json(status: OrchestrationStatus, *, show_history: bool = False) -> dict[str, JSON]:
    """The status document. The keys beyond those of Durable Functions appear only when they hold something."""
    shown: dict[str, JSON] = {
        "name": status.name,
        "instanceId": status.instance_id,
        "runtimeStatus": None if status.runtime_status is None else f"{status.runtime_status}",
        "input": status.input_,
        "customStatus": status.custom_status,
        "output": _output(status),
        "createdTime": _utc_seconds(status.created_time),
        "lastUpdatedTime": _utc_seconds(status.last_updated_time),
    }
    if show_history:
        shown["historyEvents"] = status.history_events or []
    if status.version:
        shown["version"] = status.version
    if status.tags:
        shown["tags"] = dict(status.tags)
    if status.parent_instance_id is not None:
        parent: dict[str, JSON] = {"instanceId": status.parent_instance_id}
        if status.parent_task_id is not None:
            parent["taskId"] = status.parent_task_id
        shown["parent"] = parent
    if status.generation:
        shown["generation"] = status.generation
    if status.pause_reason:
        shown["pauseReason"] = status.pause_reason
    if status.ended_time is not None:
        shown["endedTime"] = _utc_seconds(status.ended_time)
    if status.retrying:
        shown["retrying"] = status.retrying
    if status.scheduled_start_time is not None:
        shown["scheduledStartTime"] = _utc_seconds(status.scheduled_start_time)
    if status.deadline is not None:
        shown["deadline"] = _utc_seconds(status.deadline)
    if status.forked_from is not None:
        shown["forkedFrom"] = _origin_json(status.forked_from)
    if status.restarted_from is not None:
        shown["restartedFrom"] = _origin_json(status.restarted_from)
    if status.stuck_reason:
        shown["stuckReason"] = status.stuck_reason
    if status.operations is not None:
        shown["operations"] = operations_json(status.operations)
    if status.waits:
        shown["waits"] = [wait_json(wait) for wait in status.waits]
    if status.failure is not None:
        shown["failure"] = _failure_json(status.failure)
    return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkBody:
    """What the body of a fork asks for."""

    until_task: int | None
    until_event: str | None
    event_number: int | None
    until_failure: bool
    overrides: dict[int, dict[str, object]]
    instance_id: str | None
    version: str | None
    request_id: str | None
    suspended: bool
    dry_run: bool


_OF_FORK: Mapping[str, type] = {
    "until": dict,
    "overrides": dict,
    "instanceId": str,
    "version": str,
    "requestId": str,
    "suspended": bool,
    "dryRun": bool,
}
_OF_UNTIL: Mapping[str, type] = {"task": int, "event": str, "number": int, "failure": bool}
_WORDS = {str: "a text", bool: "true or false", int: "a number", dict: "an object"}


def fork_of(body: JSON) -> ForkBody:
    """The body of a fork. InvalidInputError."""
    given = _typed(body, _OF_FORK, "the body of a fork", 'such as {"until": {"task": 3}}')
    until = _typed(given.get("until"), _OF_UNTIL, "'until' of a fork", "with one of task, event and failure")
    others: dict[int, dict[str, object]] = {}
    for task, what in cast("dict[str, JSON]", given.get("overrides") or {}).items():
        if not (task.isascii() and task.isdigit() and len(task) <= 9) or not isinstance(what, dict):
            raise InvalidInputError(
                "'overrides' of a fork maps numbers of tasks to objects such as {\"result\": …}; nothing was done"
            )
        others[int(task)] = cast("dict[str, object]", what)
    return ForkBody(
        until_task=until.get("task"),
        until_event=until.get("event"),
        event_number=until.get("number"),
        until_failure=bool(until.get("failure")),
        overrides=others,
        instance_id=given.get("instanceId"),
        version=given.get("version"),
        request_id=given.get("requestId"),
        suspended=bool(given.get("suspended")),
        dry_run=bool(given.get("dryRun")),
    )


def _typed(given: JSON, known: Mapping[str, type], what: str, example: str) -> dict[str, JSON]:
    """An object without unknown keys and with values of these types, or null. InvalidInputError."""
    if not isinstance(given, dict):
        raise InvalidInputError(f"{what} must be an object, {example}; nothing was done")
    found = cast("dict[str, JSON]", given)
    for key, value in found.items():
        if key not in known:
            raise InvalidInputError(
                f"{what} has an unknown key '{key[:100]}'; known: {', '.join(known)}; nothing was done"
            )
        if value is not None and known[key] is not object and type(value) is not known[key]:
            raise InvalidInputError(f"'{key}' in {what} must be {_WORDS[known[key]]}; nothing was done")
    return found


@dataclass(frozen=True, slots=True)
class RestartBody:
    """What the body of a restart asks for."""

    instance_id: str | None = None
    input: object = SAME_INPUT
    version: str | None = None


_OF_RESTART: Mapping[str, type] = {"instanceId": str, "input": object, "version": str}


def restart_of(body: JSON) -> RestartBody:
    """The body of a restart; None: nothing is asked for. InvalidInputError."""
    if body is None:
        return RestartBody()
    given = _typed(body, _OF_RESTART, "the body of a restart", 'such as {"input": …}')
    return RestartBody(given.get("instanceId"), given.get("input", SAME_INPUT), given.get("version"))


def wait_json(wait: Wait) -> dict[str, JSON]:
    """What the code of an instance waits for. ``name`` and ``line`` are always present."""
    shown: dict[str, JSON] = {"kind": wait.kind, "name": wait.name, "line": wait.line}
    if wait.task_id:
        shown["taskId"] = wait.task_id
    if wait.instance_id:
        shown["instanceId"] = wait.instance_id
    for key, moment in (("since", wait.since), ("due", wait.due)):
        if moment is not None:
            shown[key] = _utc_seconds(moment)
    return shown


def listed_json(status: OrchestrationStatus) -> dict[str, JSON]:
    """An instance in few words: as the sample of a bulk operation shows it."""
    return {
        "instanceId": status.instance_id,
        "name": status.name,
        "runtimeStatus": None if status.runtime_status is None else f"{status.runtime_status}",
        "createdTime": _utc_seconds(status.created_time),
    }


def backfill_json(found: BackfillPreview) -> dict[str, JSON]:
    """The due times that a backfill would go through."""
    return {
        "runs": found.runs,
        "isComplete": found.is_complete,
        "first": _utc_seconds(found.first),
        "last": _utc_seconds(found.last),
    }


def schedule_json(schedule: ScheduleStatus) -> dict[str, JSON]:
    """A schedule as listed."""
    return {
        "scheduleId": schedule.schedule_id,
        "orchestrator": schedule.orchestrator,
        "cron": schedule.cron,
        "intervalSeconds": None if schedule.interval is None else schedule.interval.total_seconds(),
        "timeZone": schedule.time_zone,
        "overlap": schedule.overlap,
        "isPaused": schedule.is_paused,
        "nextDueTime": _utc_seconds(schedule.next_due),
        "runningInstanceId": schedule.running,
        "lastInstanceId": schedule.last_instance_id,
        "lastDueTime": _utc_seconds(schedule.last_due),
        "createdTime": _utc_seconds(schedule.created_time),
        "version": schedule.version,
        "jitterSeconds": None if schedule.jitter is None else schedule.jitter.total_seconds(),
        "catchUpSeconds": None if schedule.catch_up is None else schedule.catch_up.total_seconds(),
        "nextStartTime": _utc_seconds(schedule.next_start),
        "missedRuns": schedule.missed,
        "isDeclared": schedule.is_declared,
        "pauseReason": schedule.pause_reason,
    }


def _output(status: OrchestrationStatus) -> JSON:
    """The output; of a failed instance the text of its failure, unless an adapter has written another one."""
    failed = status.runtime_status is RuntimeStatus.FAILED and status.failure is not None and status.output is None
    return _failure_text(status.failure) if failed and status.failure else status.output


def _failure_text(failure: FailureDetails) -> str:
    return f"{failure.type}: {failure.message}" if failure.message else failure.type


def _failure_json(failure: FailureDetails) -> dict[str, JSON]:
    """Without stack traces: status URIs are handed to browsers and partners. The history holds them."""
    shown: dict[str, JSON] = {"type": failure.type, "message": failure.message, "retriable": failure.retriable}
    if failure.line:
        shown["line"] = failure.line
    if failure.cause is not None:
        shown["cause"] = _failure_json(failure.cause)
    return shown


def _origin_json(origin: Origin) -> JSON:
    return {"instanceId": origin.instance_id, "executionId": origin.execution_id}


def _utc_seconds(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
