"""What the code of an instance waits for, as the property ``waits`` of its row holds it.

A JSON array of ``[kind, name, line, task id, since, due, id, attempt]``, times in seconds since 1970; values at the end
that are missing are left out. The last two are of sub-orchestrations: the id that the code gave, '' for none; and the
attempt, if it is not the first. The id of the child follows from them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from ..models import JSON, Wait, WaitKind
from ..moments import from_epoch
from .child_ids import child_id_of, link_of
from .instance_row import Instance, RetryState
from .payloads import dumps

MAX_CHARS = 16_000
"""Of the text: a property holds 32,767 characters, and names may need six each when they are written as JSON."""

_LONGEST = 256  # characters of a name, and of a line
_KINDS = frozenset(get_args(WaitKind))
_TRIED_AGAIN = frozenset({"activity", "child", "step"})


def text_of(waits: Sequence[Wait], retries: Mapping[int, RetryState]) -> str:
    """The stored text. ``retries``: the tasks of which an attempt has failed and that are tried again."""
    arrays: list[list[JSON]] = []
    for wait in waits:
        retry = retries.get(wait.task_id) if wait.kind in _TRIED_AGAIN else None
        arrays.append(_array(wait, retry))
    text = dumps(arrays)
    while len(text) > MAX_CHARS:
        arrays.pop()
        text = dumps(arrays)
    return text


def waits_in(text: str, instance: Instance) -> tuple[Wait, ...]:
    """The waits in a stored text of this instance; those of a kind that this version does not know are left out."""
    if not text:
        return ()
    return tuple(_wait(instance, *array) for array in json.loads(text) if array[0] in _KINDS)


def _array(wait: Wait, retry: RetryState | None) -> list[JSON]:
    kind = wait.kind if retry is None else "retry"
    array: list[JSON] = [kind, wait.name[:_LONGEST], wait.line[:_LONGEST], wait.task_id]
    since = None if wait.since is None else int(wait.since.timestamp())
    if wait.kind == "child" and retry is not None:
        return [*array, since, None, wait.instance_id, retry.attempt]
    if wait.kind == "child" and wait.instance_id:
        return [*array, since, None, wait.instance_id]
    if wait.due is not None:
        return [*array, since, wait.due.timestamp()]
    return array if since is None else [*array, since]


def _wait(
    instance: Instance,
    kind: WaitKind,
    name: str,
    line: str,
    task_id: int = 0,
    since: float | None = None,
    due: float | None = None,
    asked: str | None = None,
    attempt: int | None = None,
    *_later: Any,
) -> Wait:
    child = ""
    if kind == "child" or (kind == "retry" and attempt is not None):
        child = child_id_of(instance, link_of(instance, task_id, attempt or 1), asked or "")
    return Wait(kind, name, line, task_id, _moment(since), _moment(due), child)


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else from_epoch(seconds)
