"""Durable execution for Python on plain Azure Storage. Importing this loads no Azure SDK and no sqlite3.

Each public name is imported when it is first used: the command line needs few of them, and has to start quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .product_version import VERSION

if TYPE_CHECKING:
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

__version__ = VERSION

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

_MODULES = {
    "activity_context": ("ActivityContext",),
    "codec": ("PayloadCodec",),
    "engine.callbacks": ("Callback",),
    "engine.context": ("Orchestration", "OrchestrationContext"),
    "engine.http": ("DurableHttpResponse",),
    "engine.saga": ("Saga",),
    "engine.tasks": ("Task", "TimerTask"),
    "errors": (
        "ActivityFailedError",
        "CodecError",
        "CompensationError",
        "DeterminismError",
        "DurableError",
        "NonDeterminismError",
        "NonRetriableError",
        "PayloadTooLargeError",
        "SerializationError",
        "StepFailedError",
        "SubOrchestrationFailedError",
        "TaskCancelledError",
        "TaskFailedError",
        "TaskTimeoutError",
    ),
    "models": ("FailureDetails", "OrchestrationStatus", "RetryOptions", "RetryPolicy", "RuntimeStatus"),
    "registry": ("Registry", "activity", "orchestrator"),
    "runtime.client": ("DurableClient",),
    "runtime.schedules.client": ("ScheduleStatus",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
