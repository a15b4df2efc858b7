"""A cached orchestrator with the instance row that it was built from, and how it is built by a replay."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from ...converter import Converter
from ...definitions import OrchestratorDefinition
from ...engine.callbacks import CallbackUrls
from ...engine.events import ContinueAsNew, Event, ExecutionCompleted, ExecutionTerminated, Segment
from ...engine.executor import InstanceInfo, OrchestrationExecutor
from ...errors import NonDeterminismError
from ...guard import Watch
from ...hang_watch import Code, sign_of_life, stretch
from ...hub.instance_row import Instance
from ...hub.payloads import NOTHING, dumps
from ...lazy_dataclass import dataclass
from ...limits import Limit
from ...models import JSON, STATUSES, FailureDetails, RuntimeStatus
from ...orchestrator_versions import UNDECIDED
from ...registry import Registry
from ..determinism_hint import with_likely_cause
from ..instance_weight import Weight
from .services import Services


@dataclass(slots=True)
class CachedOrchestrator:
    """An orchestrator in memory, and the instance row that it was built from.

    dispatched_up_to: all commits up to this one are dispatched. listed: the status that the catalogue shows.
    custom: the custom status as stored, as JSON. waits: what the code waits for, as stored. code: the orchestrator, as
        the hang watch names it. weight: its estimated bytes in memory.
    """

    instance: Instance
    live: OrchestrationExecutor
    dispatched_up_to: int
    listed: RuntimeStatus
    custom: str
    waits: str
    code: Code
    weight: Weight = field(default_factory=Weight)

    @property
    def status(self) -> RuntimeStatus:
        """The status of the instance after the last turn."""
        match self.live.completion:
            case None:
                return RuntimeStatus.SUSPENDED if self.live.suspended else RuntimeStatus.RUNNING
            case ExecutionCompleted(status=status):
                return STATUSES[status]
            case ExecutionTerminated():
                return RuntimeStatus.TERMINATED
            case ContinueAsNew():
                return RuntimeStatus.RUNNING

    @property
    def ending(self) -> tuple[JSON, FailureDetails | None]:
        """The output and the failure of an orchestrator that has ended."""
        match self.live.completion:
            case ExecutionCompleted(result=result, failure=failure):
                return result, failure
            case ExecutionTerminated(reason=reason):
                return reason, None
            case _:
                return None, None


def info_of(
    instance: Instance,
    headers: str,
    callback_urls: CallbackUrls | None = None,
    limits: Mapping[str, Limit] | None = None,
) -> InstanceInfo:
    """The identity of the instance, for the orchestration context. headers: as ``Instances.headers`` reads them.
    limits: for code that is to go on, not only to be replayed."""
    return InstanceInfo(
        instance_id=instance.instance_id,
        execution_id=instance.execution_id,
        generation=instance.generation,
        name=instance.name,
        version=instance.version,
        parent=instance.parent,
        seed=seed_of(instance) if instance.seed else "",
        callback_urls=callback_urls,
        limits=limits,
        limit="" if instance.generation else instance.limit,
        slot=instance.slot,
        headers=headers,
    )


def seed_of(instance: Instance) -> str:
    """What the ids and random numbers of this generation are made of. A fork begins with those of its source."""
    if instance.seed and not instance.generation:
        return instance.seed
    return f"{instance.instance_id}/{instance.execution_id}/{instance.generation}"


def definition_for(registry: Registry, name: str, version: str) -> OrchestratorDefinition:
    """The orchestrator of an instance. UnknownOrchestratorError if this app does not have it, or not in this
    version."""
    return registry.orchestrator(name, None if version == UNDECIDED else version)


def replayed(
    definition: OrchestratorDefinition,
    info: InstanceInfo,
    converter: Converter,
    segments: Iterable[Segment],
    seen: Iterable[str] = (),
    *,
    guard: bool = False,
    compares_values: bool = False,
    follow: Callable[[Event], None] | None = None,
    watch: Watch | None = None,
) -> OrchestrationExecutor:
    """Build an orchestrator by a replay of these segments. The caller must close it.

    seen: keys of inbox rows that earlier generations consumed. guard: whether the guard checks the code.
    compares_values: inputs and results must be the same, too. follow: called with every event before it is applied.
    watch: calls the code, in the place of the guard.

    NonDeterminismError, with the likely cause that the linter finds; DeterminismError. Both close the generator.
    """
    live = OrchestrationExecutor(definition, info, converter, guard=guard, watch=watch)
    live.compares_values = compares_values
    live.remember(seen)
    try:
        live.replay(segments, follow)
    except NonDeterminismError as error:
        live.close()
        raise with_likely_cause(error, definition.fn) from None
    except BaseException:
        live.close()
        raise
    return live


def watched_replay(
    code: Code,
    definition: OrchestratorDefinition,
    info: InstanceInfo,
    converter: Converter,
    segments: Iterable[Segment],
    seen: Iterable[str] = (),
    *,
    guard: bool,
) -> OrchestrationExecutor:
    """``replayed``, where ``code`` is interrupted if it hangs: CodeHangsError. Each event is a sign of life."""
    return stretch(code, replayed, definition, info, converter, segments, seen, guard=guard, follow=sign_of_life())


async def revive(services: Services, instance: Instance, dispatched_up_to: int) -> CachedOrchestrator:
    """Build the cached orchestrator of an instance by a replay of its stored history.

    dispatched_up_to: see ``CachedOrchestrator``; the value that this process knows.

    UnknownOrchestratorError, NonDeterminismError, DeterminismError, NewerFormatError, DamagedRowError,
    CodeHangsError, HistoryMovedError.
    """
    definition = definition_for(services.registry, instance.name, instance.version)
    if instance.version != definition.version:
        instance = await services.hub.instances.pin(instance, definition.version)
    segments = await services.hub.instances.history(instance)
    seen = () if instance.carry is None else (await services.hub.instances.carry(instance)).seen
    headers = services.hub.instances.headers(instance)
    info = info_of(instance, headers, services.callback_urls, services.limits)
    code = services.hangs.code_of(instance)
    loop = asyncio.get_running_loop()
    started = loop.time()
    live = watched_replay(code, definition, info, services.converter, segments, seen, guard=services.settings.guard)
    if services.observer.is_on:
        events = sum(len(segment.events) for segment in segments)
        services.observer.replayed(instance, events, loop.time() - started)
    custom = dumps(live.custom_status)  # stored by its last commit; a new generation shows that of the last one
    if instance.is_unstarted or live.is_rewound:  # and a rewind leaves it as it was
        custom = NOTHING
        if instance.custom is not None:
            custom = await services.hub.payloads.load_text(instance.instance_id, instance.custom)
    dispatched_up_to = max(instance.dispatched, dispatched_up_to)
    waits = services.hub.instances.waits(instance)
    return CachedOrchestrator(instance, live, dispatched_up_to, instance.status, custom, waits, code)
