"""Terminates an instance without its code; the requests to its open children are read from the history alone.

For instances whose orchestrator cannot be replayed here, or must not be (it kills its host). A termination needs no
code. Uses rows and events; no generator and no actor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...engine.events import ExecutionTerminated, Outgoing, RequestSent, Segment, SubOrchestrationCreated
from ...errors import CodecError, DamagedRowError, NewerFormatError
from ...hub.inbox import InboxKind, InboxRow
from ...hub.instance_row import Instance
from ...hub.instances import Commit
from ...models import RuntimeStatus
from .decision import Decision
from .new_events import INBOX_BATCH, is_for, is_recursive
from .redispatch import recorded_in, undone_of_ended
from .services import Services


@dataclass(frozen=True, slots=True)
class Termination:
    """The last commit of an instance, and the history before it (empty if it cannot be read here)."""

    commit: Commit
    history: Sequence[Segment]

    def decisions(self, seq: int, redispatch_after: int | None) -> list[Decision]:
        """The decisions to dispatch once this is commit ``seq``.

        redispatch_after: include all decisions of commits later than this one; None: only its own.
        """
        last = Segment(seq, self.commit.commit_id, self.commit.timestamp, self.commit.events)
        return undone_of_ended([*self.history, last], seq - 1 if redispatch_after is None else redispatch_after)


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
    if recursive:
        recorded = recorded_in(history)
        notices.extend(
            RequestSent(event.task_id, "terminate", request.name)
            for segment in history
            for event in segment.events
            if isinstance(event, SubOrchestrationCreated) and event.task_id not in recorded
        )
    others = [row.key for row in inbox if row is not request and row.kind is not InboxKind.EVENT]
    commit = Commit(
        commit_id=services.hub.ids.commit_id(),
        timestamp=max(services.clock.now(), instance.updated),
        events=(ExecutionTerminated(request.name, request.key, recursive), *notices),
        status=RuntimeStatus.TERMINATED,
        output=await services.hub.payloads.store(instance.instance_id, instance.execution_id, request.name),
        consumed=(request.key, *others[: INBOX_BATCH - 1]),
        dispatched=instance.dispatched,
        build=instance.build,
    )
    return Termination(commit, history)
