"""Options of one activity call, as history keeps them for whoever sees to the call. Knows no task and no history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypedDict

from ..errors import OrchestratorCodeError
from ..models import JSON, RetryPolicy
from ..registry import ActivityDefinition, definition_of, problem_of_time
from .source import caller


class CallOptions(TypedDict, total=False):
    """What ``call_activity`` takes beside the input; what is left out, or None, is as the activity's decorator says.

    retry: when it is tried again.
    timeout: for one attempt, from its start to its end.
    schedule_to_close: from this call to the final result, over all attempts.
    inline: False never runs it in the turn that schedules it, True prefers to.
    """

    retry: RetryPolicy | None
    timeout: timedelta | None
    schedule_to_close: timedelta | None
    inline: bool | None


def scheduled_options(fn_or_name: str | Callable[..., Any], given: CallOptions) -> JSON:
    """``TaskScheduled.options``: times in seconds, and what a host that lacks the activity must know of it.

    TypeError for an option that there is not, OrchestratorCodeError for a time that is none.
    """
    if unknown := given.keys() - CallOptions.__annotations__.keys():
        raise TypeError(f"call_activity() got an unexpected keyword argument '{sorted(unknown)[0]}'")
    options: dict[str, JSON] = {}
    if (inline := given.get("inline")) is not None:
        options["inline"] = inline
    for name in ("timeout", "schedule_to_close"):
        if (problem := problem_of_time(given.get(name))) is not None:
            raise OrchestratorCodeError(f"{name}={given.get(name)!r} of an activity call {problem}", caller())
    if (timeout := given.get("timeout")) is not None:
        options["timeout"] = timeout.total_seconds()
    definition = definition_of(fn_or_name)
    limit = given.get("schedule_to_close")
    if isinstance(definition, ActivityDefinition):
        limit = definition.schedule_to_close if limit is None else limit
        if definition.queue:
            options["queue"] = definition.queue
    if limit is not None:
        options["schedule_to_close"] = limit.total_seconds()
    return options or None
