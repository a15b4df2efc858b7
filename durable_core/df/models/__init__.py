"""The classes that apps of Durable Functions import from ``azure.durable_functions.models`` and its modules."""

from .DurableEntityContext import DurableEntityContext
from .DurableOrchestrationClient import DurableOrchestrationClient
from .DurableOrchestrationContext import DurableOrchestrationContext
from .DurableOrchestrationStatus import DurableOrchestrationStatus
from .EntityStateResponse import EntityStateResponse
from .FunctionContext import FunctionContext
from .OrchestrationRuntimeStatus import OrchestrationRuntimeStatus
from .PurgeHistoryResult import PurgeHistoryResult
from .RetryOptions import RetryOptions
from .Task import TaskBase
from .TokenSource import ManagedIdentityTokenSource

__all__ = [
    "DurableEntityContext",
    "DurableOrchestrationClient",
    "DurableOrchestrationContext",
    "DurableOrchestrationStatus",
    "EntityStateResponse",
    "FunctionContext",
    "ManagedIdentityTokenSource",
    "OrchestrationRuntimeStatus",
    "PurgeHistoryResult",
    "RetryOptions",
    "TaskBase",
]
