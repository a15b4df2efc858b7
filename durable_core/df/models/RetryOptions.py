"""The module of this name in Durable Functions."""

from ..retries import RetryOptions

__all__ = ["RetryOptions"]
