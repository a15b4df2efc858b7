"""Times as rows and keys hold them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_LAST_MS = 9_999_999_999_999
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def epoch_ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def inverted_ms(moment: datetime) -> str:
    """Thirteen digits that sort newest first. Times outside 1970 to 2286 become the first or last of that range."""
    return f"{_LAST_MS - min(max(epoch_ms(moment), 0), _LAST_MS):013}"


def from_inverted_ms(digits: str) -> datetime:
    """The moment of ``inverted_ms``. ValueError."""
    return _EPOCH + timedelta(milliseconds=min(max(_LAST_MS - int(digits), 0), _LAST_MS))


def iso(moment: datetime) -> str:
    """UTC with microseconds and ``Z``; sorts as text."""
    in_utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    return in_utc.isoformat(timespec="microseconds")[:26] + "Z"  # without the offset


def from_iso(text: str) -> datetime:
    return datetime.fromisoformat(text)
