"""The module of this name in Durable Functions."""

from ..statuses import PurgeHistoryResult

__all__ = ["PurgeHistoryResult"]
