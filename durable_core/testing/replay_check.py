"""The last replay of a test: replays every instance with the code that made its history, and compares values as well.

The code has not changed since, so a difference comes from a clock, from chance or from a variable that keeps its value
between replays. Reads only.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from contextlib import suppress

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.events import ExecutionCompleted, ExecutionStarted, SubOrchestrationCreated, TaskScheduled
from ..engine.executor import OrchestrationExecutor
from ..engine.nondeterminism import other_value
from ..errors import NonDeterminismError, UnknownOrchestratorError
from ..hub.catalog import CLOSED, OPEN, Entry
from ..hub.instance_row import Instance
from ..models import JSON, RuntimeStatus
from ..runtime.app import DurableApp
from ..runtime.turn import cached

CHANCES = 20  # replays to find again a difference that was found once


async def entries(app: DurableApp, kinds: Iterable[str] = (OPEN, CLOSED)) -> list[Entry]:
    """All entries of the catalogue."""
    catalog = app.hub.catalog
    return [entry for shard in catalog.shards for kind in kinds for entry in await catalog.read(shard, kind)]


async def verify_all(app: DurableApp, urls: CallbackUrls, but: Collection[str]) -> None:
    """``verify`` every instance, the oldest first, except those in ``but``."""
    for entry in sorted(await entries(app), key=lambda entry: (entry.created, entry.instance_id)):
        if entry.instance_id not in but:
            await verify(app, urls, entry.instance_id)


async def verify(app: DurableApp, urls: CallbackUrls, instance_id: str) -> None:
    """Replay an instance, unless it was purged, or its orchestrator is not registered.

    NonDeterminismError, DeterminismError.
    """
    instance = await app.hub.instances.read(instance_id)
    if instance is None:
        return
    with suppress(UnknownOrchestratorError):
        live = await replayed(app, urls, instance)
        try:
            await _compare_end(app, instance, live)
        finally:
            live.close()


async def reproduce(app: DurableApp, urls: CallbackUrls, instance_id: str) -> None:
    """Raise the error for which an instance is stuck again, if one of many replays raises it."""
    for _ in range(CHANCES):
        await verify(app, urls, instance_id)


async def replayed(app: DurableApp, urls: CallbackUrls, instance: Instance) -> OrchestrationExecutor:
    """The replayed orchestrator at the end of its history; the caller closes it."""
    hub = app.hub
    live = cached.replayed(
        cached.definition_for(app.registry, instance.name, instance.version),
        cached.info_of(instance, app.hub.instances.headers(instance), urls),
        Converter(app.settings.max_payload),
        await hub.instances.history(instance),
        (await hub.instances.carry(instance)).seen,
        guard=app.settings.guard,
        compares_values=True,
    )
    try:
        if instance.is_unstarted and instance.stuck:  # the very first call may differ
            data = await hub.payloads.load(instance.instance_id, instance.input)
            live.preview(instance.updated, [ExecutionStarted(instance.name, instance.version, data)])
    except BaseException:
        live.close()
        raise
    return live


async def _compare_end(app: DurableApp, instance: Instance, live: OrchestrationExecutor) -> None:
    """Compare the output, which is in the instance row and not in the history."""
    if instance.status is not RuntimeStatus.COMPLETED or not isinstance(live.completion, ExecutionCompleted):
        return
    output: JSON = None
    if instance.output is not None:
        output = await app.hub.payloads.load(instance.instance_id, instance.output)
    stored, made = json.dumps(output, sort_keys=True), json.dumps(live.completion.result, sort_keys=True)
    if stored != made:
        raise other_value(live.info, f"it returned {stored}", f"it returned {made}")


async def why_it_waits(app: DurableApp, urls: CallbackUrls, instance_id: str) -> str:
    """A text that names what an open instance waits for, with the lines of its code."""
    instance = await app.hub.instances.read(instance_id)
    if instance is None:
        return "it does not exist any more"
    if instance.is_terminal:
        return f"it has ended as {instance.status.value}"
    since = f"{instance.updated:%Y-%m-%d %H:%M:%S}"
    try:
        live = await replayed(app, urls, instance)
    except (UnknownOrchestratorError, NonDeterminismError) as error:
        return str(error)
    try:
        if live.suspended:
            return f"it is suspended since {since}: resume it with env.resume('{instance_id}')"
        lines: list[str] = []
        for name, line in live.awaited_events:
            lines.append(
                f"waits for external event '{name}' since {since}, called at {line}: "
                f"raise it with env.raise_event('{instance_id}', '{name}')"
            )
        for pending in live.pending.values():
            match pending.event:
                case TaskScheduled(name=name, line=line):
                    lines.append(f"waits for activity '{name}', called at {line}, which does not end")
                case SubOrchestrationCreated(name=name, line=line):
                    lines.append(f"waits for sub-orchestration '{name}', called at {line}")
                case _:
                    pass
        lines.extend(f"waits for step '{step.name}', which does not end" for step in live.steps.values())
        if not lines:
            lines.append(f"waits at {live.waits_at} since {since} for a condition that no event will make true")
    finally:
        live.close()
    for entry in await entries(app, [OPEN]):
        child = await app.hub.instances.get(entry.instance_id)
        if child is not None and child.parent is not None and child.parent.instance_id == instance_id:
            inner = await why_it_waits(app, urls, entry.instance_id)
            lines.append(f"  its sub-orchestration '{entry.instance_id}': {inner}")
    return "\n".join(lines)
