"""Durable execution for Python on plain Azure Storage. Importing this loads no Azure SDK and no sqlite3."""

from .activity_context import ActivityContext
from .codec import PayloadCodec
from .engine.callbacks import Callback
from .engine.context import Orchestration, OrchestrationContext
from .engine.http import DurableHttpResponse
from .engine.saga import Saga
from .engine.tasks import Task, TimerTask
from .errors import (
    ActivityFailedError,
    CodecError,
    CompensationError,
    DeterminismError,
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
from .runtime.client import DurableClient
from .runtime.schedules.client import ScheduleStatus

__version__ = "0.1.0"

__all__ = [
    "ActivityContext",
    "ActivityFailedError",
    "Callback",
    "CodecError",
    "CompensationError",
    "DeterminismError",
    "DurableClient",
    "DurableError",
    "DurableHttpResponse",
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
    "Saga",
    "ScheduleStatus",
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
