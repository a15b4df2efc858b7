"""The module of this name in Durable Functions."""

from ..context import FunctionContext

__all__ = ["FunctionContext"]
