"""Ending an instance whose code cannot run here: a request to terminate asks nothing of it.

Who is stuck (no such orchestrator, history and code disagree) can be got rid of so. Its open sub-orchestrations are
found in its history, as far as that can be read; a live orchestrator is not needed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.events import ExecutionTerminated, RequestSent, Segment, SubOrchestrationCreated
from ..errors import NewerFormatError
from ..hub.inbox import RECURSIVE, InboxKind, InboxRow
from ..hub.instances import Commit, Instance
from ..models import RuntimeStatus
from .outbox import Dispatch
from .turn import covered, recorded_in, undone_of_ended
from .warm import Services


def request_to_terminate(instance: Instance, inbox: Sequence[InboxRow]) -> InboxRow | None:
    """The first one for this life of the instance."""
    asked = (row for row in inbox if row.kind is InboxKind.TERMINATE and row.execution_id == instance.execution_id)
    return min(asked, key=lambda row: row.order, default=None)


async def readable_history(services: Services, instance: Instance) -> list[Segment]:
    """Its commits; none if a newer version has written what this one cannot read."""
    try:
        return await services.hub.instances.history(instance)
    except NewerFormatError:
        return []


async def prepare_end(services: Services, instance: Instance, row: InboxRow, history: Sequence[Segment]) -> Commit:
    """The commit that ends it as the request asks; the reason becomes its output."""
    recorded = recorded_in(history)
    is_recursive = row.data == RECURSIVE
    children = [
        event.task_id
        for segment in history
        for event in segment.events
        if isinstance(event, SubOrchestrationCreated) and event.task_id not in recorded
    ]
    requests = [RequestSent(child, "terminate", row.name) for child in children] if is_recursive else []
    return Commit(
        commit_id=services.hub.ids.commit_id(),
        timestamp=max(services.clock.now(), instance.updated),
        events=(ExecutionTerminated(row.name, row.key, is_recursive), *requests),
        status=RuntimeStatus.TERMINATED,
        output=await services.hub.payloads.store(instance.instance_id, instance.execution_id, row.name),
        consumed=[row.key],
        dispatched=instance.dispatched,
        build=services.build,
    )


async def dispatch_end(
    services: Services, ended: Instance, commit: Commit, history: Sequence[Segment], floor: int | None
) -> None:
    """What that commit decided, what others may have left since ``floor``, and what is owed at the end."""
    last = Segment(ended.seq - 1, commit.commit_id, commit.timestamp, commit.events)
    decisions = undone_of_ended([*history, last], ended.seq - 2 if floor is None else floor)
    if decisions:
        dispatch = Dispatch(
            decisions=decisions, retries=ended.retries, generation=ended.generation, after=covered(ended, floor)
        )
        await services.outbox.dispatch(ended, dispatch)
    services.runner.instance_moved(ended)
    await services.outbox.end_stored(ended)
