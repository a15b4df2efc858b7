"""Jobs: activities that run by themselves, without an orchestrator of the user's.

A job is an instance of an orchestrator that is made here: it calls the activity and returns its result. Its name is
``job:`` and the name of the activity, which no registered orchestrator can have, and its input is the activity's. So a
job is listed, waited for, cancelled, restarted and priced as any instance.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .definitions import ActivityDefinition

JOB_PREFIX = "job:"


def activity_of_job(name: str) -> str | None:
    """The name of the activity that a job of this name runs; None for the name of another orchestrator."""
    return name.removeprefix(JOB_PREFIX) if name.startswith(JOB_PREFIX) else None


def is_job(name: str) -> bool:
    """Whether this is the name of a job."""
    return name.startswith(JOB_PREFIX)


def code_of_job(activity: ActivityDefinition) -> Callable[..., Generator[Any, Any, Any]]:
    """The orchestrator of a job. Its call has the options of the activity's decorator."""

    def job(ctx: Any, data: Any = None) -> Generator[Any, Any, Any]:
        call: Generator[Any, Any, Any] = ctx.call_activity(activity.fn, data, returns=Any)
        return (yield from call)

    return job
