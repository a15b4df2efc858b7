"""A live orchestrator with the row it stands on, and what all actors of a process share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ...converter import Converter
from ...engine.callbacks import CallbackUrls
from ...engine.events import ContinueAsNew, Event, ExecutionCompleted, ExecutionTerminated, Segment
from ...engine.executor import InstanceInfo, OrchestrationExecutor
from ...errors import NonDeterminismError
from ...hang_watch import Code, sign_of_life, stretch
from ...hub.instance_row import Instance
from ...hub.payloads import dumps
from ...models import JSON, FailureDetails, RuntimeStatus
from ...orchestrator_versions import UNDECIDED
from ...registry import OrchestratorDefinition, Registry
from ..determinism_hint import with_likely_cause
from ..instance_weight import Weight
from .services import Services


@dataclass(slots=True)
class CachedOrchestrator:
    """A live orchestrator and the row it stands on.

    settled: all commits up to here are dispatched. listed: the status that the catalogue shows.
    custom: the custom status as stored, as JSON. code: the orchestrator, as the watch is told of it. weight: what it
        weighs in the cache.
    """

    instance: Instance
    live: OrchestrationExecutor
    dispatched_up_to: int
    listed: RuntimeStatus
    custom: str
    code: Code
    weight: Weight = field(default_factory=Weight)

    @property
    def status(self) -> RuntimeStatus:
        """Where the orchestrator stands now."""
        match self.live.completion:
            case None:
                return RuntimeStatus.SUSPENDED if self.live.suspended else RuntimeStatus.RUNNING
            case ExecutionCompleted(status=status):
                return RuntimeStatus(status)
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


def info_of(instance: Instance, callback_urls: CallbackUrls | None = None) -> InstanceInfo:
    """What the orchestrator is told of its instance."""
    return InstanceInfo(
        instance_id=instance.instance_id,
        execution_id=instance.execution_id,
        generation=instance.generation,
        name=instance.name,
        version=instance.version,
        parent=instance.parent,
        callback_urls=callback_urls,
    )


def definition_for(registry: Registry, name: str, version: str) -> OrchestratorDefinition:
    """The code of an instance. UnknownOrchestratorError if it, or this version of it, is not here."""
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
) -> OrchestrationExecutor:
    """A new generator of the code at hand, told all that these segments hold. To be closed by the caller.

    seen: keys of inbox rows that earlier generations consumed. guard: stop code that uses what it must not.
    compares_values: inputs and results must be the same, too.
    follow: told of every event before it is applied. NonDeterminismError, with what the linter has to say of the code,
    and DeterminismError: then the generator is closed.
    """
    live = OrchestrationExecutor(definition, info, converter, guard=guard)
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


async def revive(services: Services, instance: Instance, dispatched_up_to: int) -> CachedOrchestrator:
    """Replay the stored history into a new generator.

    dispatched_up_to: see ``CachedOrchestrator``; as far as this process knows.

    UnknownOrchestratorError, NonDeterminismError, DeterminismError, NewerFormatError, DamagedRowError,
    CodeHangsError, HistoryMovedError.
    """
    definition = definition_for(services.registry, instance.name, instance.version)
    if instance.version != definition.version:
        instance = await services.hub.instances.pin(instance, definition.version)
    segments = await services.hub.instances.history(instance)
    seen = (await services.hub.instances.carry(instance)).seen
    info = info_of(instance, services.callback_urls)
    code = services.hangs.code_of(instance)
    live = stretch(
        code,
        replayed,
        definition,
        info,
        services.converter,
        segments,
        seen,
        guard=services.settings.guard,
        follow=sign_of_life(),
    )
    custom = dumps(live.custom_status)  # its last commit has stored it; a new generation still shows the last one's
    if instance.is_unstarted and instance.custom is not None:
        custom = await services.hub.payloads.load_text(instance.instance_id, instance.custom)
    return CachedOrchestrator(instance, live, max(instance.dispatched, dispatched_up_to), instance.status, custom, code)
