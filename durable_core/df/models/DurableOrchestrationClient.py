"""The module of this name in Durable Functions."""

from ..client import DurableOrchestrationClient

__all__ = ["DurableOrchestrationClient"]
