"""What the code of an instance waits for, as the property ``waits`` of its row holds it.

A JSON array of ``[kind, name, line, task id, since, due]``, times in seconds since 1970; values at the end that are
missing are left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, get_args

from ..models import JSON, Wait, WaitKind
from ..moments import from_epoch
from .payloads import dumps

MAX_CHARS = 16_000
"""Of the text: a property holds 32,767 characters, and names may need six each when they are written as JSON."""

_LONGEST = 256  # characters of a name, and of a line
_KINDS = frozenset(get_args(WaitKind))
_TRIED_AGAIN = frozenset({"activity", "child", "step"})


def text_of(waits: Sequence[Wait], retries: Collection[int]) -> str:
    """The stored text. ``retries``: the tasks of which an attempt has failed and that are tried again."""
    arrays = [_array(wait, is_retry=wait.kind in _TRIED_AGAIN and wait.task_id in retries) for wait in waits]
    text = dumps(arrays)
    while len(text) > MAX_CHARS:
        arrays.pop()
        text = dumps(arrays)
    return text


def waits_in(text: str) -> tuple[Wait, ...]:
    """The waits in a stored text; those of a kind that this version does not know are left out."""
    if not text:
        return ()
    return tuple(_wait(*array) for array in json.loads(text) if array[0] in _KINDS)


def _array(wait: Wait, *, is_retry: bool) -> list[JSON]:
    array: list[JSON] = ["retry" if is_retry else wait.kind, wait.name[:_LONGEST], wait.line[:_LONGEST], wait.task_id]
    since = None if wait.since is None else int(wait.since.timestamp())
    if wait.due is not None:
        return [*array, since, wait.due.timestamp()]
    return array if since is None else [*array, since]


def _wait(
    kind: WaitKind,
    name: str,
    line: str,
    task_id: int = 0,
    since: float | None = None,
    due: float | None = None,
    *_later: Any,
) -> Wait:
    return Wait(kind, name, line, task_id, _moment(since), _moment(due))


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else from_epoch(seconds)
