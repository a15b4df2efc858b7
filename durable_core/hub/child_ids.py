"""The instance id of a sub-orchestration, which follows from its call."""

from __future__ import annotations

import hashlib

from ..instance_ids import MAX_ID_UNITS, MAX_INSTANCE_ID, utf16_units
from ..models import ParentLink
from .instance_row import Instance


def link_of(parent: Instance, task_id: int, attempt: int) -> ParentLink:
    """By what the sub-orchestration of this attempt at a call of the parent's generation knows its parent."""
    return ParentLink(parent.instance_id, parent.execution_id, parent.generation, task_id, attempt)


def child_id_of(parent: Instance, link: ParentLink, asked: str) -> str:
    """The id given by the code, or one that holds the parent's execution and generation; a retry has its own id."""
    retry = f".{link.attempt}" if link.attempt > 1 else ""
    if asked:
        return asked + retry
    suffix = f":{parent.execution_id}:{link.generation:x}:{link.task_id:x}{retry}"
    name = parent.instance_id
    if len(name) + len(suffix) > MAX_INSTANCE_ID or utf16_units(name) + len(suffix) > MAX_ID_UNITS:
        name = hashlib.sha256(name.encode()).hexdigest()[:32]
    return name + suffix
