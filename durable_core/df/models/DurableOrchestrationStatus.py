"""The module of this name in Durable Functions."""

from ..statuses import DurableOrchestrationStatus

__all__ = ["DurableOrchestrationStatus"]
