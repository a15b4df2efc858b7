"""Durable execution for Python on plain Azure Storage. Importing this loads no Azure SDK and no sqlite3."""

from .activity_context import ActivityContext
from .codec import PayloadCodec
from .engine.callbacks import Callback
from .engine.context import Orchestration, OrchestrationContext
from .engine.tasks import Task, TimerTask
from .errors import (
    ActivityFailedError,
    CodecError,
    DurableError,
    NonDeterminismError,
    NonRetriableError,
    PayloadTooLargeError,
    SerializationError,
    StepFailedError,
    SubOrchestrationFailedError,
    TaskCancelledError,
    TaskFailedError,
    TaskTimeoutError,
)
from .models import FailureDetails, OrchestrationStatus, RetryOptions, RetryPolicy, RuntimeStatus
from .registry import Registry, activity, orchestrator

__version__ = "0.1.0"

__all__ = [
    "ActivityContext",
    "ActivityFailedError",
    "Callback",
    "CodecError",
    "DurableError",
    "FailureDetails",
    "NonDeterminismError",
    "NonRetriableError",
    "Orchestration",
    "OrchestrationContext",
    "OrchestrationStatus",
    "PayloadCodec",
    "PayloadTooLargeError",
    "Registry",
    "RetryOptions",
    "RetryPolicy",
    "RuntimeStatus",
    "SerializationError",
    "StepFailedError",
    "SubOrchestrationFailedError",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskTimeoutError",
    "TimerTask",
    "activity",
    "orchestrator",
]
