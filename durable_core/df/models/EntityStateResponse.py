"""The module of this name in Durable Functions."""

from ..entities import EntityStateResponse

__all__ = ["EntityStateResponse"]
