"""Ids of traces and spans, as hashes of what they are about.

Every host computes the same id for the same thing. So the host that ends an orchestration can emit its span, whichever
hosts have emitted the spans below it, and no id need be stored or sent.
"""

from __future__ import annotations

import hashlib


def trace_id(execution_id: str) -> int:
    """The trace of an execution whose starter had none. Its lower bits are uniform, as samplers by ratio require."""
    return _hash(f"trace/{execution_id}", 16)


def start_id(execution_id: str) -> int:
    """The start of an execution by a client."""
    return _hash(f"start/{execution_id}", 8)


def orchestration_id(execution_id: str, generation: int, rewinds: int) -> int:
    """A generation of an execution. A rewound one ends again, and has another span for that.

    rewinds: how often the execution was rewound.
    """
    return _hash(f"orchestration/{execution_id}/{generation}/{rewinds}", 8)


def call_id(execution_id: str, generation: int, task_id: int, rewinds: int) -> int:
    """A call of an activity or a sub-orchestration, a timer, an event that is sent, or a detached orchestration.
    ``rewinds`` as above."""
    return _hash(f"call/{execution_id}/{generation}/{task_id}/{rewinds}", 8)


def attempt_id(execution_id: str, generation: int, task_id: int, attempt: int) -> int:
    """An attempt at a call of an activity, or a run of a step."""
    return _hash(f"attempt/{execution_id}/{generation}/{task_id}/{attempt}", 8)


def turn_id(execution_id: str, commit_id: str) -> int:
    """The turn that made a commit."""
    return _hash(f"turn/{execution_id}/{commit_id}", 8)


def event_id(execution_id: str, key: str) -> int:
    """An event from a client, by the key of its inbox row."""
    return _hash(f"event/{execution_id}/{key}", 8)


def _hash(text: str, size: int) -> int:
    found = int.from_bytes(hashlib.sha256(text.encode()).digest()[:size], "big")
    return found or 1  # an id of zeros is not valid
