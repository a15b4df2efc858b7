"""What must be true when a simulated run has come to rest, whatever happened on the way.

What shows in the tables is watched and judged by ``durable_core.testing.oracle``. Here it meets what activities did and
what callers were told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from durable_core.hub.catalog import CLOSED, OPEN
from durable_core.hub.names import HubNames
from durable_core.models import JSON, OrchestrationStatus
from durable_core.testing.faults import FaultPlan
from durable_core.testing.oracle import Oracle
from durable_core.testing.simulation import World

from .scenarios import Effects

T = TypeVar("T")

_ENDS = {"TaskCompleted", "TaskFailed", "TimerFired", "SubOrchestrationCompleted", "SubOrchestrationFailed"}
_BEGINS = {"TaskScheduled", "TimerCreated", "SubOrchestrationCreated"}
_REQUESTS = {"raise_event": "event", "terminate": "terminate", "suspend": "suspend", "resume": "resume"}


def watched(world: World) -> Oracle:
    """An oracle that sees all that is written in this world, which has not begun yet."""
    oracle = Oracle(HubNames(world.settings.hub, world.settings.partitions))
    world.storage = oracle.watch(world.storage)
    return oracle


class Accepted:
    """What the client outside was told to be done, by what it was: invariant 2 is about this."""

    def __init__(self, world: World) -> None:
        self.starts: list[str] = []
        self.requests: Counter[tuple[str, str]] = Counter()
        self._listen(world)

    def problems(self, oracle: Oracle) -> list[str]:
        """Starts of which there is no row, requests of which there are fewer rows than were accepted."""
        begun = {generation.instance_id for generation in oracle.generations}
        missing = [f"invariant 2: the start of '{name}' was accepted, and it never was" for name in self.starts]
        found = [what for what, name in zip(missing, self.starts, strict=True) if name not in begun]
        written = Counter((instance_id, entry.kind) for (instance_id, _), entry in oracle.inbox.items())
        for (instance_id, kind), number in self.requests.items():
            if written[instance_id, kind] < number:
                found.append(f"invariant 2: {number} of {kind} to '{instance_id}' were accepted, not all were written")
        return found

    def _listen(self, world: World) -> None:
        client: Any = world.client
        start: Callable[..., Awaitable[str]] = client.start_new

        async def start_new(*args: Any, **options: Any) -> str:
            instance_id = await start(*args, **options)
            self.starts.append(instance_id)
            return instance_id

        client.start_new = start_new
        for name, kind in _REQUESTS.items():
            setattr(client, name, self._heard(getattr(client, name), kind))

    def _heard(self, request: Callable[..., Awaitable[None]], kind: str) -> Callable[..., Awaitable[None]]:
        async def accepted(instance_id: str, *args: Any, **options: Any) -> None:
            await request(instance_id, *args, **options)
            if options.get("event_id") is None:  # one with an id may be there already
                self.requests[instance_id, kind] += 1

        return accepted


async def come_to_rest(world: World) -> None:
    """Wait until every instance has ended and no message is left, not even a set-aside one."""
    names = world.outside.hub.names
    left: list[int] = []
    pending: list[OrchestrationStatus] = []
    for _ in range(200):
        left = [await world.storage.queue(name).count() for name in [*names.queues, *names.poison_queues]]
        pending = [s for s in await world.client.get_status_all() if not s.is_terminal]
        if not any(left) and not pending:
            return
        await asyncio.sleep(60)
    raise AssertionError(f"not at rest: {left} messages, {[(s.instance_id, s.runtime_status) for s in pending]}")


def run_judged(
    world: World,
    effects: Effects | None,
    drive: Callable[[World], Awaitable[T]],
    *plans: FaultPlan,
    exactly_once: bool = False,
) -> T:
    """Run a scenario until all is at rest, under an oracle that watches from the start. The errors of ``check``."""
    oracle = watched(world)

    async def scenario(world: World) -> T:
        accepted = Accepted(world)
        outcome = await drive(world)
        await come_to_rest(world)
        await check(world, effects, exactly_once=exactly_once, oracle=oracle, accepted=accepted)
        return outcome

    outcome = world.run(scenario, *plans)
    assert not world.errors, world.errors
    return outcome


async def check(
    world: World,
    effects: Effects | None,
    *,
    exactly_once: bool = False,
    oracle: Oracle | None = None,
    accepted: Accepted | None = None,
) -> None:
    """At rest: the invariants hold, histories are valid, the catalogue agrees with the rows.

    effects: what activities did, if all of them tell of it. exactly_once: nothing has gone wrong, so none ran twice.
    """
    await _check_catalogue(world)
    recorded: set[str] = set()
    for shown in await world.client.get_status_all():
        status = await world.client.get_status(shown.instance_id, show_history=True, show_history_output=True)
        assert status.runtime_status is shown.runtime_status, f"{status} is listed as {shown}"
        assert status.execution_id == shown.execution_id
        assert status.history_events is not None
        check_history(status.history_events)
        recorded |= _activities_ended(status, await _generation(world, status))
    if oracle is not None:
        found = await oracle.problems(world.outside.hub)
        found = [*found, *([] if accepted is None else accepted.problems(oracle))]
        assert not found, "\n".join(found)
        recorded |= oracle.activities_ended()
    if effects is not None:
        check_activities(effects, recorded, oracle, exactly_once=exactly_once)


def check_activities(effects: Effects, recorded: set[str], oracle: Oracle | None, *, exactly_once: bool) -> None:
    """Invariant 3: whatever is recorded has run; every run, also a second attempt, has the key of its call."""
    missing = recorded - effects.runs.keys()
    assert not missing, f"invariant 3: recorded, but never run: {missing}"
    if oracle is not None:
        whole = {f"{each.execution_id}-{each.number}" for each in oracle.generations if oracle.is_whole(each)}
        known = oracle.activities_called()
        strange = [key for key in effects.runs if key.rpartition("-")[0] in whole and key not in known]
        assert not strange, f"invariant 3: run with the key of no call: {strange}"
    if exactly_once:
        again = {key: count for key, count in effects.runs.items() if count > 1}
        assert not again, f"invariant 3: run more than once without a fault: {again}"


async def _check_catalogue(world: World) -> None:
    listed = await world.client.get_status_all()
    twice = [name for name, count in Counter(s.instance_id for s in listed).items() if count > 1]
    assert not twice, f"listed more than once: {twice}"
    catalog = world.outside.hub.catalog
    for shard in catalog.shards:
        assert not await catalog.read(shard, OPEN), "an ended instance is still listed as open"
    closed = [len(await catalog.read(shard, CLOSED)) for shard in catalog.shards]
    assert sum(closed) == len(listed), f"{closed} rows for {len(listed)} instances"


def check_history(events: list[dict[str, JSON]]) -> None:
    """In order (see ``check_order``), begun at most once, and ended once and at last."""
    check_order(events)
    kinds = [event["EventType"] for event in events]
    assert kinds.count("ExecutionStarted") <= 1
    ends = [at for at, kind in enumerate(kinds) if kind in ("ExecutionCompleted", "ExecutionTerminated")]
    assert len(ends) == 1, f"{len(ends)} ends: {kinds}"


def check_order(events: list[dict[str, JSON]]) -> None:
    """Each result once and after its call, each inbox row once; also of an orchestration that goes on."""
    begun: set[JSON] = set()
    ended: set[JSON] = set()
    inbox: set[JSON] = set()
    for event in events:
        kind, task = event["EventType"], event.get("TaskId")
        if kind in _BEGINS:
            assert task not in begun, f"task {task} was scheduled twice"
            begun.add(task)
        elif kind in _ENDS:
            assert task in begun, f"task {task} ended before it was scheduled"
            assert task not in ended, f"the result of task {task} was recorded twice"
            ended.add(task)
        if row := event.get("EventId"):
            assert row not in inbox, f"inbox row {row} was recorded twice"
            inbox.add(row)


async def _generation(world: World, status: OrchestrationStatus) -> int:
    instance = await world.outside.hub.instances.get(status.instance_id)
    assert instance is not None
    return instance.generation


def _activities_ended(status: OrchestrationStatus, generation: int) -> set[str]:
    """Idempotency keys of the activities whose result the history holds."""
    events = status.history_events or []
    calls = {e["TaskId"] for e in events if e["EventType"] == "TaskScheduled"}
    done = {e["TaskId"] for e in events if e["EventType"] in ("TaskCompleted", "TaskFailed")}
    return {f"{status.execution_id}-{generation}-{task}" for task in calls & done}
