"""Terminates an instance without its code; the requests to its open children are read from the history alone.

For instances whose orchestrator cannot be replayed here, or must not be (it kills its host). A termination needs no
code. Uses rows and events; no generator and no actor.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from ...engine.events import (
    EntityCalled,
    EntitySignaled,
    ExecutionTerminated,
    ForEntity,
    LockReleased,
    Outgoing,
    RequestSent,
    Segment,
    SubOrchestrationCreated,
)
from ...engine.parent_close import REASON, policy_of
from ...engine.slots import INHERITED, is_gate
from ...errors import CodecError, DamagedRowError, NewerFormatError
from ...hub.inbox import InboxKind, InboxRow
from ...hub.instance_row import Instance
from ...hub.instances import Commit
from ...lazy_dataclass import dataclass
from ...limits import RELEASE
from ...models import RuntimeStatus
from ..entities.parcels import target_of
from .decision import Decision
from .foreseen import after_the_end
from .new_events import INBOX_BATCH, is_for, is_recursive
from .redispatch import recorded_in, undone_of_ended
from .services import Services


@dataclass(frozen=True, slots=True)
class Termination:
    """The last commit of an instance, and the history before it (empty if it cannot be read here)."""

    commit: Commit
    history: Sequence[Segment]

    def decisions(self, instance: Instance, seq: int, redispatch_after: int | None) -> list[Decision]:
        """The decisions to dispatch once this is commit ``seq``.

        redispatch_after: include all decisions of commits later than this one; None: only its own.
        """
        last = Segment(seq, self.commit.commit_id, self.commit.timestamp, self.commit.events)
        since = seq - 1 if redispatch_after is None else redispatch_after
        return undone_of_ended(instance, [*self.history, last], since)


def termination_in(inbox: Sequence[InboxRow], instance: Instance) -> InboxRow | None:
    """The first request to terminate this execution."""
    asked = [row for row in inbox if row.kind is InboxKind.TERMINATE and is_for(row, instance)]
    return min(asked, key=lambda row: row.order, default=None)


async def history_of(services: Services, instance: Instance) -> Sequence[Segment] | None:
    """The history of the instance: None if another host may be able to read it, empty if no host can.
    HistoryMovedError."""
    try:
        return await services.hub.instances.history(instance)
    except (CodecError, NewerFormatError):
        return None
    except DamagedRowError:
        return ()


async def terminate(
    services: Services, instance: Instance, history: Sequence[Segment], inbox: Sequence[InboxRow], request: InboxRow
) -> Termination:
    """Build the commit that terminates the instance, and write its large values. It drops all requests in the inbox."""
    recursive = await is_recursive(services, request, instance)
    notices: list[Outgoing] = []
    recorded = recorded_in(history)
    for segment in history:
        for event in segment.events:
            if not isinstance(event, SubOrchestrationCreated) or event.task_id in recorded:
                continue
            if recursive:
                notices.append(RequestSent(event.task_id, "terminate", request.name))
            elif (kind := policy_of(event)) is not None:
                notices.append(RequestSent(event.task_id, kind, REASON))
    notices.extend(releases_of(instance, history))
    notices.extend(slots_given_back(instance, history))
    dropped = [row for row in inbox if row is not request and row.kind is not InboxKind.EVENT]
    others = [key for row in dropped for key in (row.answer, row.key) if key]
    commit = Commit(
        commit_id=services.hub.ids.commit_id(),
        timestamp=max(services.clock.now(), instance.updated),
        events=(ExecutionTerminated(request.name, request.key, recursive), *notices),
        status=RuntimeStatus.TERMINATED,
        output=await services.hub.payloads.store(instance.instance_id, instance.execution_id, request.name),
        consumed=(request.key, *others[: INBOX_BATCH - 1]),
        dispatched=instance.dispatched,
        build=instance.build,
        coming=after_the_end(instance.rewinds),
        section="" if instance.section else None,
    )
    return Termination(commit, history)


def slots_given_back(instance: Instance, history: Sequence[Segment]) -> list[EntitySignaled]:
    """The slots of limits that the instance holds or has asked for, given back (rule N32), each after all that it has
    sent to its gate."""
    asked: dict[int, tuple[str, str]] = {}  # the gate, and the name of the slot
    last: dict[str, int] = {}
    if instance.slot:
        gate, name = json.loads(instance.slot)
        asked[INHERITED] = gate, name
        last[gate] = -1
    for segment in history:
        for event in segment.events:
            if isinstance(event, EntityCalled) and is_gate(event.entity):
                asked[event.task_id] = event.entity, event.input["slot"]
                last[event.entity] = segment.seq - instance.first
            elif isinstance(event, EntitySignaled) and is_gate(event.entity):
                asked.pop(event.task_id, None)
                last[event.entity] = segment.seq - instance.first
    return [
        EntitySignaled(task_id, gate, RELEASE, name, after=last[gate], busy=True)
        for task_id, (gate, name) in asked.items()
    ]


def releases_of(instance: Instance, history: Sequence[Segment]) -> list[LockReleased]:
    """The release of the locks that the instance holds or has asked for (rule N30), after all that it has sent to the
    entity which it locked first; if the history cannot be read, after the request."""
    if not instance.section:
        return []
    task_id, entities, asked = json.loads(instance.section)
    numbers = (
        segment.seq - instance.first
        for segment in history
        if any(isinstance(event, ForEntity) and target_of(event) == entities[0] for event in segment.events)
    )
    return [LockReleased(task_id, entities, after=max(numbers, default=asked), busy=True)]
