"""Failures of tasks with the texts of Durable Functions, in which the code of existing apps searches.

The text of a failed activity is the reason, a line break, and the details as one line of JSON, as the extension of
Durable Functions gives them to Python (``f"{reason} \\n {details}"``).
"""

from __future__ import annotations

import json

from ..errors import (
    ActivityFailedError,
    EntityOperationFailedError,
    SubOrchestrationFailedError,
    TaskFailedError,
    TaskTimeoutError,
)
from ..models import FailureDetails, OrchestrationStatus

MAX_STACK = 1_500  # characters of the stack trace in a text: failures are stored with at most 4,000


def translated(error: BaseException) -> BaseException:
    """The error of a task as code of Durable Functions expects it: of the same class, with another text."""
    if isinstance(error, EntityOperationFailedError):
        return EntityOperationFailedError(error.failure.message, error.failure, task_id=error.task_id, name=error.name)
    if not isinstance(error, ActivityFailedError | SubOrchestrationFailedError | TaskTimeoutError):
        return error
    return type(error)(failure_text(error), error.failure, task_id=error.task_id, name=error.name)


def failure_text(error: TaskFailedError) -> str:
    """Reason and details. The message of an activity's failure begins with its type, an orchestrator's does not."""
    failure = error.failure
    if isinstance(error, SubOrchestrationFailedError):
        return f"{orchestrator_failed(error.name, failure)} \n {_details(orchestrator_message(failure), failure)}"
    message = f" {_class_name(failure)}: {failure.message}"
    return f"Activity function '{error.name}' failed: {message} \n {_details(message, failure)}"


def orchestrator_failed(name: str, failure: FailureDetails) -> str:
    """The output of an orchestrator that has failed."""
    return f"Orchestrator function '{name}' failed: {orchestrator_message(failure)}"


def orchestrator_message(failure: FailureDetails) -> str:
    """The message of the failure of an orchestrator; its class if it has none."""
    return failure.message or f"<class '{failure.type}'>"


def output_of(status: OrchestrationStatus) -> object:
    """The output of an instance as Durable Functions shows it: of a failed one, the text of its failure."""
    if status.failure is None or status.output is not None:
        return status.output
    return orchestrator_failed(status.name, status.failure)  # ended without its code, by its time limit for instance


def _class_name(failure: FailureDetails) -> str:
    return failure.type.rpartition(".")[2]


def _details(message: str, failure: FailureDetails) -> str:
    """The exception with the names of .NET's JSON, on one line."""
    return json.dumps(
        {
            "$type": "System.Exception, System.Private.CoreLib",
            "ClassName": "System.Exception",
            "Message": message,
            "Data": None,
            "InnerException": {"RemoteStackTrace": failure.stack_trace[-MAX_STACK:]},
        }
    )
