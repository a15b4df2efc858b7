"""The module of this name in Durable Functions."""

from ...entities import EntityId

__all__ = ["EntityId"]
