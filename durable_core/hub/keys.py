"""The form of every row key. ``docs/storage.md`` shows the whole picture."""

from __future__ import annotations

import hashlib

FORMAT = 1
"""Version of the rows' and messages' form."""

REWOUND_FORMAT = 2
"""The same of an instance that was rewound. A host that meets a higher one than it knows leaves the instance alone: one
that knows no rewind would take commits that are void for valid ones."""

ENTITY_FORMAT = 3
"""The same of an instance that has called, signaled or locked an entity, and of messages to entities; the highest that
a version without updates reads."""

UPDATE_FORMAT = 4
"""The same of an instance whose code has set a handler of an update, so that there may be requests for updates in its
inbox, and updates in its history; the highest that a version reads which knows no slots that outlive a generation."""

SLOT_FORMAT = 5
"""The same of an instance whose start has given it a limit, or that holds a slot of a limit from one generation to the
next: a host that does not know that would not wait for the slot, or not give it back."""

HEADER_FORMAT = 6
"""The same of an instance that has headers, and of work messages with headers: a host that does not know them would
start children and activities without them. The highest format of instances that this version reads."""

JOURNAL_FORMAT = 7
"""The same of messages that are about the calls of a journaled activity: a version without journals would run again
what is recorded. The highest format of messages that this version reads."""

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


def stream_key(execution_id: str, digest: str, number: int) -> str:
    return f"{stream_prefix(execution_id, digest)}{number:010}"


def stream_prefix(execution_id: str, digest: str = "") -> str:
    """Before the keys of one stream, or of all streams of an execution. The letter lies below ``CHUNK_END``: so a host
    that knows no streams collects their rows, too."""
    return f"f{execution_id}-{digest}-" if digest else f"f{execution_id}-"


def journal_key(execution_id: str, generation: int, task_id: int, number: int) -> str:
    return f"{journal_prefix(execution_id, generation, task_id)}{number:06}"


def journal_prefix(execution_id: str, generation: int, task_id: int | None = None) -> str:
    """Before the keys of the journal of one call, or of all calls of a generation. The letter lies below ``CHUNK_END``,
    as that of streams does."""
    calls = f"d{execution_id}-{generation:08}-"
    return calls if task_id is None else f"{calls}{task_id:010}-"


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


def update_key(execution_id: str, update_id: str) -> str:
    """The row of an update, which has its answer; collected with the execution's payloads."""
    digest = hashlib.sha256(f"{execution_id}/{update_id}".encode()).hexdigest()
    return f"a{execution_id}-update-{digest[:32]}"


def after_prefix(prefix: str) -> str:
    """The upper bound of the range of keys that begin with ``prefix``."""
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)
