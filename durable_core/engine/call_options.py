"""The options of a call, checked, and as the history stores them for the runtime."""

from __future__ import annotations

from datetime import timedelta
from typing import TypedDict

from ..definitions import ActivityDefinition
from ..errors import InvalidInstanceIdError, OrchestratorCodeError
from ..instance_ids import check_instance_id
from ..models import JSON, RetryPolicy
from ..moments import problem_of_time, seconds_of
from ..orchestrator_versions import problem_of_version
from .parent_close import check_parent_close
from .user_frames import caller


def check_retry(retry: object, what: str) -> None:
    """OrchestratorCodeError, with the line, if this is not a retry policy."""
    if retry is not None and not isinstance(retry, RetryPolicy):
        raise OrchestratorCodeError(
            f"retry={retry!r} of {what} must be a RetryPolicy such as RetryPolicy(max_attempts=3)", caller()
        )


class CallOptions(TypedDict, total=False):
    """The options of ``call_activity``; the activity's decorator sets those that are omitted or None.

    retry: the retry policy.
    timeout: time limit of one attempt, from its start to its end.
    schedule_to_close: time limit from this call to the final result, over all attempts.
    inline: False: never run it in the turn that scheduled it; True: run it there if possible.
    """

    retry: RetryPolicy | None
    timeout: timedelta | None
    schedule_to_close: timedelta | None
    inline: bool | None


class MapOptions(CallOptions, total=False):
    """The options of ``ctx.map``, but for its policy, which decides what it returns."""

    max_concurrency: int | None
    batch_size: int | None


def scheduled_options(definition: object, given: CallOptions) -> JSON:
    """``TaskScheduled.options``: times in seconds, and those options that a host without the activity needs.

    definition: of the activity, if the call was made with the function itself.

    TypeError for an unknown option, OrchestratorCodeError for a time or a retry policy that is not valid.
    """
    declared = definition if isinstance(definition, ActivityDefinition) else None
    if not given and (declared is None or not (declared.queue or declared.schedule_to_close)):
        return None
    if unknown := given.keys() - CallOptions.__annotations__.keys():
        raise TypeError(f"call_activity() got an unexpected keyword argument '{sorted(unknown)[0]}'")
    options: dict[str, JSON] = {}
    check_retry(given.get("retry"), "an activity call")
    if (inline := given.get("inline")) is not None:
        options["inline"] = inline
    for name in ("timeout", "schedule_to_close"):
        if (problem := problem_of_time(given.get(name))) is not None:
            raise OrchestratorCodeError(f"{name}={given.get(name)!r} of an activity call {problem}", caller())
    if (timeout := given.get("timeout")) is not None:
        options["timeout"] = seconds_of(timeout)
    limit = given.get("schedule_to_close")
    if declared is not None:
        limit = declared.schedule_to_close if limit is None else limit
        if declared.queue:
            options["queue"] = declared.queue
    if limit is not None:
        options["schedule_to_close"] = seconds_of(limit)
    return options or None


def run_options(timeout: timedelta | None, parent_close: object = "abandon") -> JSON:
    """The options of a sub-orchestration call. OrchestratorCodeError for one that is not valid."""
    if timeout is None and parent_close == "abandon":
        return None
    check_parent_close(parent_close)
    closes: dict[str, JSON] = {} if parent_close == "abandon" else {"parent_close": parent_close}
    if timeout is None:
        return closes
    if (problem := problem_of_time(timeout)) is not None:
        raise OrchestratorCodeError(f"timeout={timeout!r} of a sub-orchestration {problem}", caller())
    return {"timeout": seconds_of(timeout), **closes}


def check_version(version: str | None) -> None:
    """OrchestratorCodeError, with the line, for a version that is not valid."""
    if version is not None and (problem := problem_of_version(version)) is not None:
        raise OrchestratorCodeError(f"the version of an orchestrator {problem}, not {version!r}", caller())


def check_child_id(instance_id: str, retry: RetryPolicy | None = None) -> None:
    """OrchestratorCodeError, with the line, for an instance id that is not valid, or too long with a retry's suffix."""
    try:
        check_instance_id(instance_id)
        if retry is not None:
            check_instance_id(f"{instance_id}.{retry.max_attempts}")
    except InvalidInstanceIdError as error:
        raise OrchestratorCodeError(str(error), caller()) from error
