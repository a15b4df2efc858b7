"""Durable execution for Python on plain Azure Storage. Importing this loads no Azure SDK and no sqlite3.

Each public name is imported when it is first used: the command line needs few of them, and has to start quickly.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .product_version import VERSION

if TYPE_CHECKING:
    from .activity_context import ActivityContext
    from .codec import PayloadCodec
    from .decorators import activity, orchestrator
    from .engine.branches import BranchTask
    from .engine.callbacks import Callback
    from .engine.context import Orchestration, OrchestrationContext
    from .engine.http import DurableHttpResponse
    from .engine.mapping.policies import AtLeast, Tolerate
    from .engine.mapping.results import MapItem, MapResult
    from .engine.mapping.task import MapTask
    from .engine.saga import Saga
    from .engine.tasks import Task, TimerTask
    from .entities import EntityContext, EntityId
    from .entity_classes import entity
    from .errors import (
        ActivityFailedError,
        BranchFailedError,
        CallRefusedError,
        CodecError,
        CompensationError,
        DeterminismError,
        DurableError,
        EntityOperationFailedError,
        JournalError,
        MapFailedError,
        NonDeterminismError,
        NonRetriableError,
        PayloadTooLargeError,
        SerializationError,
        StepFailedError,
        StreamError,
        SubOrchestrationFailedError,
        TaskCancelledError,
        TaskFailedError,
        TaskTimeoutError,
    )
    from .hosting.embedding.management_api import ManagementApi
    from .hosting.embedding.running import running
    from .interceptors import ClientCall, Interceptor, OutgoingCall
    from .journal import JournalCallback, JournalContext, RecordedStep
    from .limits import Limit
    from .models import FailureDetails, OrchestrationStatus, RetryOptions, RetryPolicy, RuntimeStatus
    from .registry import Registry
    from .runtime.client import DurableClient
    from .runtime.schedules.client import ScheduleStatus
    from .runtime.schedules.declared import schedule
    from .starting import Debounce, Deduplicate
    from .streams import StreamChunk, StreamEnded, StreamEvent, StreamRestarted, StreamWriter

__version__ = VERSION

__all__ = [
    "ActivityContext",
    "ActivityFailedError",
    "AtLeast",
    "BranchFailedError",
    "BranchTask",
    "CallRefusedError",
    "Callback",
    "ClientCall",
    "CodecError",
    "CompensationError",
    "Debounce",
    "Deduplicate",
    "DeterminismError",
    "DurableClient",
    "DurableError",
    "DurableHttpResponse",
    "EntityContext",
    "EntityId",
    "EntityOperationFailedError",
    "FailureDetails",
    "Interceptor",
    "JournalCallback",
    "JournalContext",
    "JournalError",
    "Limit",
    "ManagementApi",
    "MapFailedError",
    "MapItem",
    "MapResult",
    "MapTask",
    "NonDeterminismError",
    "NonRetriableError",
    "Orchestration",
    "OrchestrationContext",
    "OrchestrationStatus",
    "OutgoingCall",
    "PayloadCodec",
    "PayloadTooLargeError",
    "RecordedStep",
    "Registry",
    "RetryOptions",
    "RetryPolicy",
    "RuntimeStatus",
    "Saga",
    "ScheduleStatus",
    "SerializationError",
    "StepFailedError",
    "StreamChunk",
    "StreamEnded",
    "StreamError",
    "StreamEvent",
    "StreamRestarted",
    "StreamWriter",
    "SubOrchestrationFailedError",
    "Task",
    "TaskCancelledError",
    "TaskFailedError",
    "TaskTimeoutError",
    "TimerTask",
    "Tolerate",
    "activity",
    "entity",
    "orchestrator",
    "running",
    "schedule",
]

_MODULES = {
    "activity_context": ("ActivityContext",),
    "codec": ("PayloadCodec",),
    "engine.branches": ("BranchTask",),
    "engine.callbacks": ("Callback",),
    "engine.context": ("Orchestration", "OrchestrationContext"),
    "engine.http": ("DurableHttpResponse",),
    "engine.mapping.policies": ("AtLeast", "Tolerate"),
    "engine.mapping.results": ("MapItem", "MapResult"),
    "engine.mapping.task": ("MapTask",),
    "engine.saga": ("Saga",),
    "engine.tasks": ("Task", "TimerTask"),
    "entities": ("EntityContext", "EntityId"),
    "entity_classes": ("entity",),
    "errors": (
        "ActivityFailedError",
        "BranchFailedError",
        "CallRefusedError",
        "CodecError",
        "CompensationError",
        "DeterminismError",
        "DurableError",
        "EntityOperationFailedError",
        "JournalError",
        "MapFailedError",
        "NonDeterminismError",
        "NonRetriableError",
        "PayloadTooLargeError",
        "SerializationError",
        "StepFailedError",
        "StreamError",
        "SubOrchestrationFailedError",
        "TaskCancelledError",
        "TaskFailedError",
        "TaskTimeoutError",
    ),
    "hosting.embedding.management_api": ("ManagementApi",),
    "hosting.embedding.running": ("running",),
    "interceptors": ("ClientCall", "Interceptor", "OutgoingCall"),
    "journal": ("JournalCallback", "JournalContext", "RecordedStep"),
    "limits": ("Limit",),
    "models": ("FailureDetails", "OrchestrationStatus", "RetryOptions", "RetryPolicy", "RuntimeStatus"),
    "decorators": ("activity", "orchestrator"),
    "registry": ("Registry",),
    "runtime.client": ("DurableClient",),
    "runtime.schedules.client": ("ScheduleStatus",),
    "runtime.schedules.declared": ("schedule",),
    "starting": ("Debounce", "Deduplicate"),
    "streams": ("StreamChunk", "StreamEnded", "StreamEvent", "StreamRestarted", "StreamWriter"),
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
