"""The sub-orchestrations of an instance, and theirs, as a tree; and the parent above it. From storage alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import field
from typing import NamedTuple

from ..engine.events import SubOrchestrationCompleted, SubOrchestrationCreated, SubOrchestrationFailed
from ..engine.parent_close import policy_of
from ..errors import CodecError, DamagedRowError, NewerFormatError
from ..hub.child_ids import child_id_of, link_of
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..models import JSON, ParentLink, RuntimeStatus
from .call_index import CallIndex

MAX_NODES = 500  # instances that are read for one tree
AT_ONCE = 16  # instances that are read at a time

_UNREADABLE = (CodecError, DamagedRowError, NewerFormatError)


class Called(NamedTuple):
    """A call of a sub-orchestration. attempt: the last one, if the call has ended."""

    event: SubOrchestrationCreated
    attempt: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeParent:
    """The parent of the instance at the top. name: '' if it does not exist any more. task_id: its call."""

    instance_id: str
    name: str
    task_id: int


@dataclass(slots=True, kw_only=True)
class TreeNode:
    """One instance. runtime_status: None if it does not exist (any more), or if this host cannot read it.

    task_id: the call of the parent; None at the top. children: in the order of the calls of this generation, each in
    its latest attempt. is_complete: False where children were left out, because the tree has ``MAX_NODES`` instances.
    parent_close: the request (``cancel`` or ``terminate``) that it gets if its parent ends first; None: none.
    """

    instance_id: str
    name: str
    runtime_status: RuntimeStatus | None = None
    task_id: int | None = None
    children: list[TreeNode] = field(default_factory=list["TreeNode"])
    is_complete: bool = True
    parent_close: str | None = None

    def to_json(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {"instanceId": self.instance_id, "name": self.name}
        if self.runtime_status is not None:
            shown["runtimeStatus"] = self.runtime_status.value
        if self.task_id is not None:
            shown["taskId"] = self.task_id
        if self.parent_close is not None:
            shown["parentClose"] = self.parent_close
        shown["children"] = [child.to_json() for child in self.children]
        if not self.is_complete:
            shown["isComplete"] = False
        return shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """An instance with its sub-orchestrations. parent: None if it has none."""

    top: TreeNode
    parent: TreeParent | None = None

    def to_json(self) -> dict[str, JSON]:
        """The body of ``GET /instances/{id}/tree``."""
        shown = self.top.to_json()
        if self.parent is not None:
            shown["parent"] = {
                "instanceId": self.parent.instance_id,
                "name": self.parent.name,
                "taskId": self.parent.task_id,
            }
        return shown


async def read_tree(hub: TaskHub, instance_id: str) -> Tree | None:
    """The tree below an instance; None if there is no such instance. StorageError.

    For each of at most ``MAX_NODES`` instances one read of its row, and one of its chunk rows if it has some; and one
    read of the parent's row.
    """
    found = await _read(hub, instance_id)
    if found is None:
        return None
    instance, calls = found
    top = TreeNode(instance_id=instance_id, name=instance.name, runtime_status=instance.status)
    parent = None
    if instance.parent is not None:
        above = await _row_of(hub, instance.parent.instance_id)
        parent = TreeParent(
            instance_id=instance.parent.instance_id,
            name="" if above is None else above.name,
            task_id=instance.parent.task_id,
        )
    read = 1
    level: list[tuple[TreeNode, Instance, Sequence[Called]]] = [(top, instance, calls)]
    while level:
        below: list[tuple[TreeNode, ParentLink]] = []
        for node, its, called in level:
            for call in called:
                if read == MAX_NODES:
                    node.is_complete = False
                    break
                read += 1
                link, event = _link(its, call), call.event
                child_id = child_id_of(its, link, event.instance_id)
                policy = policy_of(event)
                child = TreeNode(instance_id=child_id, name=event.name, task_id=event.task_id, parent_close=policy)
                node.children.append(child)
                below.append((child, link))
        level = []
        for at in range(0, len(below), AT_ONCE):
            some = below[at : at + AT_ONCE]
            rows = await asyncio.gather(*(_child(hub, node.instance_id, link) for node, link in some))
            for (node, _), row in zip(some, rows, strict=True):
                if row is not None:
                    node.runtime_status = row[0].status
                    level.append((node, *row))
    return Tree(top=top, parent=parent)


def _link(parent: Instance, called: Called) -> ParentLink:
    attempt, state = called.attempt, parent.retries.get(called.event.task_id)
    if state is not None:
        attempt = state.attempt
    return link_of(parent, called.event.task_id, attempt)


async def _child(hub: TaskHub, instance_id: str, link: ParentLink) -> tuple[Instance, Sequence[Called]] | None:
    """The child of this call; None if there is none, or if this host cannot read it."""
    try:
        found = await _read(hub, instance_id)
    except _UNREADABLE:
        return None
    return None if found is None or found[0].parent != link else found


async def _row_of(hub: TaskHub, instance_id: str) -> Instance | None:
    try:
        return await hub.instances.get(instance_id)
    except _UNREADABLE:
        return None


async def _read(hub: TaskHub, instance_id: str) -> tuple[Instance, Sequence[Called]] | None:
    """An instance and the sub-orchestrations that it has called in this generation."""

    async def read() -> tuple[Instance, Sequence[Called]] | None:
        instance = await hub.instances.read(instance_id)
        if instance is None:
            return None
        index = CallIndex.of(await hub.instances.history(instance.but(input="null")))  # nobody asks for the input
        found: list[Called] = []
        for task_id, call in index.calls.items():
            if isinstance(call.event, SubOrchestrationCreated):
                end = index.ends.get(task_id)
                attempt = 1
                if end is not None and isinstance(end.event, SubOrchestrationCompleted | SubOrchestrationFailed):
                    attempt = end.event.attempt
                found.append(Called(call.event, attempt))
        return instance, found

    return await while_it_moves(read)
