"""The module of this name in Durable Functions."""

from ..statuses import OrchestrationRuntimeStatus

__all__ = ["OrchestrationRuntimeStatus"]
