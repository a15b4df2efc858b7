"""Makes parcels of the decisions of an orchestration: all decisions of one commit for one entity are one parcel.

The stream of an orchestration is its execution id, through all generations; the number of a parcel is that of its
commit. A redispatch makes the same parcels again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import cast

from ...engine.events import EntityCalled, EntitySignaled, ForEntity, LockReleased, LockRequested
from ...engine.slots import is_gate
from ...entities import EntityId
from ...hub.entities.operations import Asker, Operation, OperationKind, Parcel
from ...hub.instance_row import Instance
from ...hub.instances import Carried
from ...models import JSON
from ..turn.decision import Decision, Dispatch

LATE = timedelta(minutes=5)
"""A parcel that is inserted so long after its commit may have been in the mailbox before (rule N19)."""

LONG_AGO = timedelta(days=3.5)
"""Half of the time for which an entity remembers a sender that is gone, so that clocks and stalls do not matter."""


def is_long_ago(ended: datetime, now: datetime) -> bool:
    """Whether an instance that ended then sends nothing again, if its end is dispatched (rule N23)."""
    return now - ended > LONG_AGO


def target_of(event: ForEntity) -> str:
    """The entity that gets the decision; of locks, the first of the chain."""
    if isinstance(event, EntityCalled | EntitySignaled):
        return event.entity
    return cast("list[str]", event.entities)[0]


def section_id(execution_id: str, generation: int, task_id: int) -> str:
    """The name of a critical section; '' for none."""
    return f"{execution_id}.{generation}.{task_id}" if task_id else ""


def decisions_for_entities(decisions: Iterable[Decision]) -> list[Decision]:
    return [decision for decision in decisions if isinstance(decision.event, ForEntity)]


def needs_carry(instance: Instance, decisions: Iterable[Decision]) -> bool:
    """Whether the carry of the instance may hold decisions for the same entities, which come first."""
    return instance.carry is not None and any(
        decision.previous is None and cast("ForEntity", decision.event).after < 0 for decision in decisions
    )


def previous_of(first: int, decision: Decision, carried: Sequence[Carried]) -> int:
    """The commit before this one with a decision for the same entity (rules N1, N2); -1 if there is none.

    first: the first commit of the decision's generation. carried: what earlier generations have left, perhaps
    undispatched.
    """
    if decision.previous is not None:
        return decision.previous
    event = cast("ForEntity", decision.event)
    if event.after >= 0:
        return first + event.after
    target = target_of(event)
    return max(
        (
            each.seq
            for each in carried
            if isinstance(each.event, ForEntity) and target_of(each.event) == target and each.seq < decision.seq
        ),
        default=-1,
    )


def parcels_of(
    instance: Instance,
    dispatch: Dispatch,
    decisions: Sequence[Decision],
    carried: Sequence[Carried],
    now: datetime,
    headers: JSON = None,
) -> dict[EntityId, list[Parcel]]:
    """The parcels for each entity, in the order of their commits. headers: those of the instance; None for none."""
    first = instance.first if dispatch.first is None else dispatch.first
    commits: dict[str, dict[int, list[Decision]]] = {}
    for decision in decisions:
        target = target_of(cast("ForEntity", decision.event))
        commits.setdefault(target, {}).setdefault(decision.seq, []).append(decision)
    return {
        EntityId.parse(target): [
            Parcel(
                stream=instance.execution_id,
                number=seq,
                previous=previous_of(first, group[0], carried),
                again=dispatch.after is not None or now - group[0].decided > LATE,
                busy=cast("ForEntity", group[0].event).busy,
                sender=instance.instance_id,
                operations=tuple(_operation(instance, dispatch.generation, decision, headers) for decision in group),
            )
            for seq, group in sorted(by_seq.items())
        ]
        for target, by_seq in commits.items()
    }


def _operation(instance: Instance, generation: int, decision: Decision, headers: JSON) -> Operation:
    def headers_of(event: EntityCalled | EntitySignaled) -> JSON:
        if is_gate(event.entity):
            return None
        return headers if event.headers is None else event.headers or None

    def asker(task_id: int) -> Asker:
        return Asker(instance.instance_id, instance.execution_id, generation, task_id, instance.rewinds)

    def section(task_id: int) -> str:
        return section_id(instance.execution_id, generation, task_id)

    match cast("ForEntity", decision.event):
        case EntityCalled() as event:
            return Operation(
                kind=OperationKind.CALL,
                name=event.operation,
                input=event.input,
                asker=asker(event.task_id),
                section=section(event.section),
                headers=headers_of(event),
            )
        case EntitySignaled() as event:
            return Operation(
                kind=OperationKind.SIGNAL,
                name=event.operation,
                input=event.input,
                due=event.at,
                headers=headers_of(event),
            )
        case LockRequested() as event:
            return Operation(
                kind=OperationKind.LOCK,
                asker=asker(event.task_id),
                section=section(event.task_id),
                chain=tuple(event.entities),
            )
        case LockReleased() as event:
            return Operation(kind=OperationKind.RELEASE, section=section(event.section), chain=tuple(event.entities))
