"""What an actor tells the observer of a turn: collected before the commit, told after it.

A commit whose answer is lost is told when it is found: it is this host's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...engine.events import (
    ContinueAsNew,
    ExecutionTerminated,
    Incoming,
    Segment,
    SubOrchestrationCreated,
    TaskScheduled,
)
from ...engine.executor import OrchestrationExecutor, PendingTask, Turn
from ...hub.instance_row import Instance
from ...hub.instances import Commit
from ...models import RuntimeStatus
from ..observer import Committed
from .cached import CachedOrchestrator
from .new_events import Gathered
from .redispatch import recorded_in


def calls_of(live: OrchestrationExecutor, incoming: Sequence[Incoming]) -> dict[int, PendingTask]:
    """The open calls that these events answer. To be asked before they are applied."""
    pending = live.pending
    tasks = [getattr(event, "task_id", 0) for event in incoming]
    return {task: pending[task] for task in tasks if task in pending}


def committed(
    warm: CachedOrchestrator, turn: Turn, gathered: Gathered, commit: Commit, called: Mapping[int, PendingTask]
) -> Committed:
    """What to tell of a turn once its commit is written."""
    instance, live = warm.instance, warm.live
    is_next = isinstance(live.completion, ContinueAsNew)
    abandoned = {} if live.completion is None else dict(live.pending)
    return Committed(
        commit_id=commit.commit_id,
        before=instance,
        after=instance.but(
            build=commit.build,
            status=commit.status,
            updated=commit.timestamp,
            generation=instance.generation + is_next,
            stuck="",
        ),
        turn=turn,
        at=commit.timestamp,
        called=called,
        abandoned=abandoned,
        begun=live.history[0].timestamp if live.history else commit.timestamp,
        retries={task: gathered.results.retries[task] for task in gathered.results.send if gathered.results.changed},
        senders=tuple(row.trace for row in gathered.mail.rows if row.trace),
        completion=live.completion,
        failure=warm.ending[1],
    )


def terminated(instance: Instance, commit: Commit, history: Sequence[Segment]) -> Committed:
    """The same for an instance that is terminated without its code."""
    requests = [event for event in commit.events if isinstance(event, ExecutionTerminated)]
    recorded = recorded_in(history)
    at = commit.timestamp
    return Committed(
        commit_id=commit.commit_id,
        before=instance,
        after=instance.but(status=RuntimeStatus.TERMINATED, updated=at, stuck=""),
        turn=Turn(tuple(requests), ()),
        at=at,
        called={},
        abandoned={
            event.task_id: PendingTask(event, None, segment.timestamp)
            for segment in history
            for event in segment.events
            if isinstance(event, TaskScheduled | SubOrchestrationCreated) and event.task_id not in recorded
        },
        begun=history[0].timestamp if history else instance.created,
        retries={},
        senders=(),
        completion=requests[-1],
        failure=None,
    )
