"""The commit of a turn, its only write: new events, decisions, status, and the inbox rows to delete."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...engine.events import (
    ContinueAsNew,
    EventRaised,
    ExecutionCompleted,
    ExecutionSuspended,
    ExecutionTerminated,
    PatchMarked,
    Segment,
    TimerCanceled,
    TimerCreated,
)
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance, RetryState
from ...hub.instances import Carried, Carry, Commit
from ...hub.keys import is_repeatable
from ...hub.payloads import NOTHING, dumps
from ...hub.waits import text_of
from .cached import CachedOrchestrator
from .decision import Decision
from .dispatch import without_payload
from .new_events import Gathered
from .redispatch import Redispatch, scheduled_in, undone, with_calls
from .services import Services

REMEMBERED = 100  # keys that outlive a continue-as-new: the newest
MAX_CARRIED = 256  # with alternating hosts some commits never count as dispatched: their decisions must not accumulate


async def prepare(
    services: Services, warm: CachedOrchestrator, turn: Turn, gathered: Gathered, open_since: Iterable[int]
) -> Commit:
    """Build the commit of this turn, and write its large values. ``open_since``: commits with a running inline step."""
    live, results = warm.live, gathered.results
    undispatched = list(open_since)
    if results.send:  # the next attempt has no commit of its own: its task counts as not dispatched until it is sent
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
        tries=results.kept.changes(),
        consumed=gathered.consumed(turn),
        dispatched=min([warm.dispatched_up_to, *(seq - 1 for seq in undispatched)]),
        build=services.build,
        waits=_new_waits(warm, results.retries),
        pause=live.pause_reason if any(isinstance(event, ExecutionSuspended) for event in turn.recorded) else None,
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
        version = _next_version(services, instance, live.completion)
        warm.instance = await instances.next_generation(instance, commit, live.completion, carry, live.history, version)
    else:
        warm.instance = await instances.commit(instance, commit)
    if commit.events:
        live.record(Segment(instance.seq, commit.commit_id, commit.timestamp, commit.events))
    return warm.instance


def _carried_on(turn: Turn, gathered: Gathered) -> list[EventRaised]:
    """Events of an earlier generation that this one has not received before its end. Events in the inbox stay there."""
    rows = {row.key for row in gathered.mail.rows}
    return [event for event in turn.unapplied if isinstance(event, EventRaised) and event.event_id not in rows]


def _next_version(services: Services, instance: Instance, ending: ContinueAsNew) -> str:
    """The version of the next generation. The write decides it, as hosts of two builds may have different newest
    versions."""
    if ending.upgrade:
        return services.registry.orchestrator(instance.name).version
    return instance.version if ending.version is None else ending.version


def _remembered(live: OrchestrationExecutor, turn: Turn, kept: Sequence[EventRaised]) -> tuple[str, ...]:
    """Keys of consumed rows that may be written again: the next generation must know them."""
    to_come = {event.event_id for event in (*kept, *turn.unapplied)}
    consumed = [key for key in live.rows_seen if is_repeatable(key) and key not in to_come]
    return tuple(consumed[-REMEMBERED:])


async def _left_over(services: Services, warm: CachedOrchestrator, turn: Turn, commit: Commit) -> tuple[Carried, ...]:
    """Decisions of this and earlier generations that may not be dispatched, and that no history will hold any more."""
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


def _new_waits(warm: CachedOrchestrator, retries: Mapping[int, RetryState]) -> str | None:
    """What the code waits for now, if the row says something else. The end of an instance leaves the row as it is:
    what is read of an ended instance includes no waits."""
    if warm.live.completion is not None:
        return None
    text = text_of(warm.live.waits, retries)
    if text == warm.waits:
        return None
    warm.waits = text
    return text


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
