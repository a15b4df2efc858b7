"""The module of this name in Durable Functions."""

from ..entities import DurableEntityContext

__all__ = ["DurableEntityContext"]
