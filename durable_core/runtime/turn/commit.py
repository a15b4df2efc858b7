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
    ForEntity,
    PatchMarked,
    Segment,
    TimerCanceled,
    TimerCreated,
    UpdateEnded,
)
from ...engine.executor import OrchestrationExecutor, Turn
from ...hub.instance_row import Instance, RetryState
from ...hub.instances import Carried, Carry, Commit
from ...hub.keys import is_repeatable
from ...hub.payloads import NOTHING, dumps
from ...hub.waits import text_of
from ...models import NO_OPERATIONS
from ..entities.parcels import previous_of
from .cached import CachedOrchestrator
from .decision import Decision
from .dispatch import without_payload
from .foreseen import by_others, coming
from .new_events import Gathered
from .redispatch import Redispatch, scheduled_in, undone, with_calls
from .services import Services
from .update_answers import rows_of

REMEMBERED = 100  # keys that outlive a continue-as-new: the newest
MAX_CARRIED = 256  # with alternating hosts some commits never count as dispatched: their decisions must not accumulate


async def prepare(
    services: Services,
    warm: CachedOrchestrator,
    turn: Turn,
    gathered: Gathered,
    open_since: Iterable[int],
    *,
    again: bool,
    is_lone: bool,
) -> Commit:
    """Build the commit of this turn, and write its large values. ``open_since``: commits with a running inline step.
    again: a commit of this turn has failed. is_lone: the turn has called a lone activity."""
    live, results = warm.live, gathered.results
    undispatched = list(open_since)
    if results.send:  # the next attempt has no commit of its own: its task counts as not dispatched until it is sent
        undispatched.extend(scheduled_in(live.history, results.send))
        undispatched.extend(
            warm.instance.first + step.born for step in live.steps.values() if step.task_id in results.send
        )
    commit_id, now, completion = services.hub.ids.commit_id(), gathered.now, live.completion
    events = (*turn.recorded, *turn.outgoing)
    if completion is not None:
        events = (*turn.recorded, *map(without_payload, turn.outgoing))
    is_new_log = isinstance(completion, ContinueAsNew)
    has_values = completion is not None or live.custom_status is not None or warm.custom != NOTHING
    values = await _values(services, warm) if has_values else {}
    return Commit(
        commit_id=commit_id,
        timestamp=now,
        events=events,
        packed=None if is_new_log else await services.hub.instances.pack(warm.instance, commit_id, now, events),
        status=warm.status,
        retries=results.retries if results.changed else None,
        tries=results.kept.changes() if results.kept.changed else {},
        consumed=gathered.consumed(turn) if gathered.mail.rows else (),
        dispatched=min(warm.dispatched_up_to, min(undispatched) - 1) if undispatched else warm.dispatched_up_to,
        build=services.build,
        waits=_new_waits(warm, results.retries) if completion is None else None,
        section=None if (section := live.section) == warm.instance.section else section,
        updates=None if (names := live.update_names) == warm.instance.updates else names,
        answers=await rows_of(services.hub, warm.instance, turn.answers, again=again) if turn.answers else (),
        pause=live.pause_reason if ExecutionSuspended in map(type, turn.recorded) else None,
        coming=coming(warm, turn, gathered, services.hub.timers.rows_from, is_lone=is_lone),
        elsewhere=NO_OPERATIONS if completion is None and not gathered.mail.rows else by_others(gathered, turn, live),
        **values,
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
        ending, history, slot = live.completion, live.history, live.kept_slot
        warm.instance = await instances.next_generation(instance, commit, ending, carry, history, version, slot)
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
    waiting = [*undone(warm.instance, live.history, live.pending, Redispatch(later_than=commit.dispatched))]
    waiting.extend(Decision(event, commit.timestamp, seq=instance.seq) for event in turn.outgoing)
    calls = with_calls(waiting, [*live.history, Segment(instance.seq, "", commit.timestamp, turn.outgoing)])
    waiting[:0] = (decision.call for decision in calls if decision.call is not None)
    earlier = tuple(left)
    left.extend(
        Carried(
            instance.generation,
            decision.decided,
            decision.event,
            decision.seq,
            previous_of(instance.first, decision, earlier) if isinstance(decision.event, ForEntity) else -1,
        )
        for decision in waiting
        if not isinstance(decision.event, ContinueAsNew | TimerCreated | TimerCanceled | PatchMarked | UpdateEnded)
    )
    return tuple(left[-MAX_CARRIED:])


def _new_waits(warm: CachedOrchestrator, retries: Mapping[int, RetryState]) -> str | None:
    """What the code waits for now, if the row says something else. The end of an instance leaves the row as it is:
    what is read of an ended instance includes no waits."""
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
