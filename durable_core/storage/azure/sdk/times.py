"""Times as the SDKs return them."""

from __future__ import annotations

from datetime import UTC, datetime


def plain_time(value: datetime) -> datetime:
    """The SDKs' own subclass of datetime as an ordinary one."""
    return datetime.combine(value.date(), value.time(), UTC)
