"""The module of this name in Durable Functions."""

from ..context import DurableOrchestrationContext

__all__ = ["DurableOrchestrationContext"]
