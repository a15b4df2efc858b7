"""The form of row keys in the entities table, and the names of streams.

One partition per entity. A range read from ``LIVE_RANGE`` on returns all rows that a turn needs: the mailbox, scheduled
operations, and the row of the entity, which comes last.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from ..times import epoch_ms

ROW_FORMAT = 1
"""Version of the form of an entity's row."""

HEADER_ROW_FORMAT = 2
"""The same of a row whose last batch has sent headers; the highest that this version reads."""

ROW_KEY = "z"
LIVE_RANGE = "i"
SPILLED_RANGE = ("d", "e")
PAYLOAD_RANGE = ("a", "b")
PARCEL = "i"
SCHEDULED = "s"


def parcel_key(stream: str, number: int) -> str:
    return f"{PARCEL}{stream}-{number:010}"


def scheduled_key(due: datetime, seq: int, index: int) -> str:
    """Sorts by the due time. seq: the batch that writes the row; index: of its rows."""
    ms = epoch_ms(due - timedelta(microseconds=1)) + 1  # rounded up: what is due by the key is due by its time
    return f"{SCHEDULED}{max(ms, 0):015}-{seq:010}-{index:02}"


def spilled_key(life: str, seq: int) -> str:
    return f"d{life}-{seq:010}"


def payload_owner(stream: str, number: int) -> str:
    """By what the payload rows of a parcel are named."""
    return f"{stream}.{number}"


# ------------------------------------------------------------ streams
# The stream of an orchestration is its execution id, which is in lower case.


def stream_of_life(life: str) -> str:
    """The stream of the signals of an entity, from its creation to the deletion of its row (rule N9)."""
    return f"L{life}"


def control_stream_of_life(life: str) -> str:
    """The stream in which an entity passes on requests for locks and releases (rule N28)."""
    return f"L{life}_"


def stream_of_signal(signal_id: str) -> str:
    """The stream of a client's signal that its sender may repeat: the same at every try."""
    return f"S{hashlib.sha256(signal_id.encode()).hexdigest()[:32]}"


def stream_of_client(ulid: str) -> str:
    """The stream of one signal of a client, or of one order of the framework."""
    return f"C{ulid}"


def is_of_client(stream: str) -> bool:
    return stream[:1] in ("C", "S")


def is_of_entity(stream: str) -> bool:
    return stream[:1] == "L"
