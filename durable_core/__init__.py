"""Durable execution for Python on plain Azure Storage. Importing this loads no Azure SDK and no sqlite3."""

from .models import FailureDetails, OrchestrationStatus, RetryOptions, RetryPolicy, RuntimeStatus
from .registry import Registry, activity, orchestrator

__version__ = "0.1.0"

__all__ = [
    "FailureDetails",
    "OrchestrationStatus",
    "Registry",
    "RetryOptions",
    "RetryPolicy",
    "RuntimeStatus",
    "activity",
    "orchestrator",
]
