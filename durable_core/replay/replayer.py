"""Loads histories of instances, and replays them with the current code. Reads only.

A ``History`` is all that a replay needs, without a store. It is replayed by the same code as in a host
(``runtime/turn/cached.py``), so an instance whose history matches here continues there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from datetime import datetime
from pathlib import Path

from ..converter import Converter
from ..definitions import OrchestratorDefinition
from ..engine.events import Event, Segment
from ..engine.executor import OrchestrationExecutor
from ..engine.mapping.batch import MAP_BATCH
from ..engine.state import InstanceInfo
from ..errors import InstanceNotFoundError
from ..guard import Watch
from ..headers import headers_in, text_of
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..marks import RESERVED
from ..models import JSON, ParentLink, RuntimeStatus
from ..registry import Registry
from ..runtime.bulk.orchestrator import BULK
from ..runtime.schedules.backfill import BACKFILL
from ..runtime.schedules.orchestrator import SCHEDULES
from ..runtime.turn import cached


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history of one generation of an instance, its values loaded.

    build: the build of the app that committed last.
    created: when the execution was started, UTC.
    segments: every commit of this generation, in order; empty: it has not begun, and fits any code.
    seen: keys of inbox rows that earlier generations consumed, so that they are not news.
    headers: those of the instance, by name.
    """

    instance_id: str
    execution_id: str
    generation: int
    name: str
    version: str
    status: RuntimeStatus
    created: datetime
    build: str = ""
    parent: ParentLink | None = None
    segments: tuple[Segment, ...]
    seen: tuple[str, ...] = ()
    headers: Mapping[str, JSON] = field(default_factory=lambda: {})

    @property
    def events(self) -> list[Event]:
        """All events, in order; event 1 is the first."""
        return [event for segment in self.segments for event in segment.events]

    @property
    def info(self) -> InstanceInfo:
        """The identity of the instance, for its context. Callbacks have no URL in a replay outside of a host."""
        return InstanceInfo(
            instance_id=self.instance_id,
            execution_id=self.execution_id,
            generation=self.generation,
            name=self.name,
            version=self.version,
            parent=self.parent,
            headers=text_of(self.headers),
        )

    @classmethod
    def read(cls, path: str | Path) -> History:
        """Read an exported history. HistoryFileError if the file is missing or damaged, NewerFormatError."""
        from .history import read_history

        return read_history(Path(path))

    def write(self, path: str | Path) -> None:
        """Export the history to a JSON file; equal histories make equal files. OSError."""
        from .history import write_history

        write_history(self, Path(path))


async def load_history(hub: TaskHub, instance_id: str) -> History:
    """The history of an instance's current generation. If the instance changes meanwhile, it is read again.

    InstanceNotFoundError, NewerFormatError, CodecError, HistoryMovedError (probably damaged), StorageError.
    """

    async def read() -> History:
        instance = await hub.instances.read(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        return await history_of(hub, instance)

    return await while_it_moves(read)


async def history_of(hub: TaskHub, instance: Instance) -> History:
    """The history of an instance whose row was just read. See ``while_it_moves``."""
    segments = await hub.instances.history(instance)
    carry = await hub.instances.carry(instance)
    return History(
        instance_id=instance.instance_id,
        execution_id=instance.execution_id,
        generation=instance.generation,
        name=instance.name,
        version=instance.version,
        status=instance.status,
        created=instance.created,
        build=instance.build,
        parent=instance.parent,
        segments=tuple(segments),
        seen=carry.seen,
        headers=headers_in(hub.instances.headers(instance)),
    )


def replay(registry: Registry, history: History, converter: Converter | None = None) -> None:
    """Replay a history with the current code, as a host does before the next turn of the instance.

    No activity, step or other instance runs: their results are in the history. Returns if the decisions of the code
    match the history.

    UnknownOrchestratorError: the registry has no such orchestrator, or no such version of it.
    NonDeterminismError: the decisions of the code differ; in a host, the instance would be stuck.
    """
    replay_live(definition_for(registry, history.name, history.version), history, converter).close()


def replay_live(
    definition: OrchestratorDefinition,
    history: History,
    converter: Converter | None = None,
    *,
    follow: Callable[[Event], None] | None = None,
    watch: Watch | None = None,
) -> OrchestrationExecutor:
    """As ``replay``, and returns the live orchestrator, which the caller closes. ``follow``, ``watch``: see
    ``cached.replayed``."""
    converter = Converter() if converter is None else converter
    info, segments = history.info, history.segments
    return cached.replayed(definition, info, converter, segments, history.seen, follow=follow, watch=watch)


def definition_for(registry: Registry, name: str, version: str) -> OrchestratorDefinition:
    """The orchestrator of an instance, from this registry or built in. UnknownOrchestratorError."""
    if name.startswith(RESERVED):
        registry = registry.with_built_in(*SCHEDULES, BACKFILL, BULK, MAP_BATCH)
    return cached.definition_for(registry, name, version)
