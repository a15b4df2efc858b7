"""The form of every row key. ``docs/storage.md`` shows the whole picture."""

from __future__ import annotations

import hashlib

FORMAT = 1
"""Version of the rows' and messages' form."""

REWOUND_FORMAT = 2
"""The same of an instance that was rewound, and the highest that this version reads. A host that meets a higher one
leaves the instance alone: one that knows no rewind would take commits that are void for valid ones."""

INSTANCE_KEY = "z"
LIVE_RANGE = "i"  # from here on: inbox and instance row
CHUNK_END = "i"

_REPEATABLE = "iE"


def chunk_key(execution_id: str, generation: int, first_seq: int) -> str:
    return f"{chunk_prefix(execution_id, generation)}{first_seq:010}"


def chunk_prefix(execution_id: str, generation: int) -> str:
    return f"h{execution_id}-{generation:08}-"


def payload_key(execution_id: str, digest: str, part: int) -> str:
    return f"a{execution_id}-{digest}-{part:04}"


def heartbeat_key(execution_id: str, generation: int, task_id: int) -> str:
    return f"{heartbeat_prefix(execution_id, generation)}{task_id:010}"


def heartbeat_prefix(execution_id: str, generation: int) -> str:
    return f"b{execution_id}-{generation:08}-"


def event_key(execution_id: str, event_id: str) -> str:
    """The inbox key of an event with an id that its sender chose: equal at every try, so that it is delivered once."""
    digest = hashlib.sha256(f"{execution_id}/{event_id}".encode()).hexdigest()
    return f"{_REPEATABLE}{digest[:25].upper()}"


def is_repeatable(inbox_key: str) -> bool:
    """Whether the row of this key may be written again after it was consumed. A ULID begins with a digit."""
    return inbox_key.startswith(_REPEATABLE)


def marker_key(execution_id: str, nonce: str) -> str:
    """The row that says that a one-use URL was used; collected with the execution's payloads."""
    return f"a{execution_id}-used-{nonce}"


def after_prefix(prefix: str) -> str:
    """The upper bound of the range of keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
