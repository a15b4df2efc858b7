"""The one write of a turn: what the orchestrator was told and decided, its status, and what it consumed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionTerminated,
    PatchMarked,
    Segment,
    TimerCanceled,
    TimerCreated,
)
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance
from ...hub.instances import Carried, Carry, Commit
from ...hub.keys import is_repeatable
from ...hub.payloads import NOTHING, dumps
from .cached import CachedOrchestrator
from .decision import Decision
from .dispatch import without_payload
from .new_events import Gathered
from .redispatch import Redispatch, scheduled_in, undone, with_calls
from .services import Services

REMEMBERED = 100  # keys that outlive a continue-as-new: the newest
MAX_CARRIED = 256  # hosts that take turns never know all as dispatched: an eternal orchestrator must not pile it up


async def prepare(
    services: Services, warm: CachedOrchestrator, turn: Turn, gathered: Gathered, open_since: Iterable[int]
) -> Commit:
    """The commit to be; its large values are written already. ``open_since``: commits with a step under way."""
    live, results = warm.live, gathered.results
    undispatched = list(open_since)
    if results.send:  # an attempt to come is no commit of its own: its task counts as not dispatched until it is
        undispatched.extend(scheduled_in(live.history, results.send))
        undispatched.extend(
            warm.instance.first + step.born for step in live.steps.values() if step.task_id in results.send
        )
    commit_id, now = services.hub.ids.commit_id(), gathered.now
    events = (*turn.recorded, *(without_payload(event) for event in turn.outgoing))
    is_new_log = isinstance(live.completion, ContinueAsNew)
    return Commit(
        commit_id=commit_id,
        timestamp=now,
        events=events,
        packed=None if is_new_log else await services.hub.instances.pack(warm.instance, commit_id, now, events),
        status=warm.status,
        retries=results.retries if results.changed else None,
        consumed=gathered.consumed(turn),
        dispatched=min([warm.dispatched_up_to, *(seq - 1 for seq in undispatched)]),
        build=services.build,
        **await _values(services, warm),
    )


async def write(
    services: Services, warm: CachedOrchestrator, turn: Turn, gathered: Gathered, commit: Commit
) -> Instance:
    """Write the commit; the cached state then includes it. After a StorageError its outcome is unknown."""
    instance, live, instances = warm.instance, warm.live, services.hub.instances
    if isinstance(live.completion, ContinueAsNew):
        kept = (*live.unconsumed_events(), *_carried_on(turn, gathered)) if live.completion.keep_events else ()
        carry = Carry(
            (*kept, *live.unreceived_requests()),
            await _left_over(services, warm, turn, commit),
            _remembered(live, turn, kept),
        )
        commits = [segment.commit_id for segment in live.history]
        version = _next_version(services, instance, live.completion)
        warm.instance = await instances.next_generation(instance, commit, live.completion, carry, commits, version)
    else:
        warm.instance = await instances.commit(instance, commit)
    if commit.events:
        live.record(Segment(instance.seq, commit.commit_id, commit.timestamp, commit.events))
    return warm.instance


def _carried_on(turn: Turn, gathered: Gathered) -> list[EventRaised]:
    """Events that an earlier generation left to this one, which has ended before it came to them. Those that are still
    in the inbox stay there."""
    rows = {row.key for row in gathered.mail.rows}
    return [event for event in turn.unapplied if isinstance(event, EventRaised) and event.event_id not in rows]


def _next_version(services: Services, instance: Instance, ending: ContinueAsNew) -> str:
    """Decided here, by the write that makes the next generation: hosts of two builds may differ over the newest."""
    if ending.upgrade:
        return services.registry.orchestrator(instance.name).version
    return instance.version if ending.version is None else ending.version


def _remembered(live: OrchestrationExecutor, turn: Turn, kept: Sequence[EventRaised]) -> tuple[str, ...]:
    """Keys of consumed rows that may be written again: the next generation must know them."""
    to_come = {event.event_id for event in (*kept, *turn.unapplied)}
    consumed = [key for key in live.rows_seen if is_repeatable(key) and key not in to_come]
    return tuple(consumed[-REMEMBERED:])


async def _left_over(services: Services, warm: CachedOrchestrator, turn: Turn, commit: Commit) -> tuple[Carried, ...]:
    """Decisions of this generation, and of those before it, that will have no history and may not be dispatched."""
    instance, live = warm.instance, warm.live
    left: list[Carried] = []
    if commit.dispatched < instance.first - 1:
        left.extend((await services.hub.instances.carry(instance)).decisions)
    waiting = [*undone(live.history, live.pending, Redispatch(later_than=commit.dispatched))]
    waiting.extend(Decision(event, commit.timestamp) for event in turn.outgoing)
    calls = with_calls(waiting, [*live.history, Segment(instance.seq, "", commit.timestamp, turn.outgoing)])
    waiting[:0] = (decision.call for decision in calls if decision.call is not None)
    left.extend(
        Carried(instance.generation, decided, event)
        for event, decided, _ in waiting
        if not isinstance(event, ContinueAsNew | TimerCreated | TimerCanceled | PatchMarked)
    )
    return tuple(left[-MAX_CARRIED:])


async def _values(services: Services, warm: CachedOrchestrator) -> dict[str, Any]:
    """Output, failure and custom status as stored values, where they are new."""
    instance, live, payloads = warm.instance, warm.live, services.hub.payloads
    owner = (instance.instance_id, instance.execution_id)
    values: dict[str, Any] = {}
    if isinstance(live.completion, ExecutionCompleted | ExecutionTerminated):
        result, failure = warm.ending
        values["output"] = await payloads.store(*owner, result)
        if failure is not None:
            values["failure"] = await payloads.store(*owner, failure.to_json())
    custom = NOTHING if live.custom_status is None else dumps(live.custom_status)
    if custom != warm.custom:
        values["custom"] = await payloads.store_text(*owner, custom)
        warm.custom = custom
    return values
