"""Loads histories of instances, and replays them with the current code. Reads only.

A ``History`` is all that a replay needs, without a store. It is replayed by the same code as in a host
(``runtime/turn/cached.py``), so an instance whose history matches here continues there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ..converter import Converter
from ..engine.events import Event, Segment
from ..engine.executor import OrchestrationExecutor
from ..engine.state import InstanceInfo
from ..errors import InstanceNotFoundError
from ..hub.instance_row import Instance
from ..hub.instances import MOVED_TRIES, HistoryMovedError
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..models import ParentLink, RuntimeStatus
from ..registry import RESERVED, OrchestratorDefinition, Registry
from ..runtime.bulk.orchestrator import BULK
from ..runtime.schedules.orchestrator import SCHEDULE
from ..runtime.turn import cached


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The history of one generation of an instance, its values loaded.

    build: the build of the app that committed last.
    created: when the execution was started, UTC.
    segments: every commit of this generation, in order; empty: it has not begun, and fits any code.
    seen: keys of inbox rows that earlier generations consumed, so that they are not news.
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
    tries = 0
    while True:
        tries += 1
        instance = await hub.instances.read(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        try:
            return await history_of(hub, instance)
        except (HistoryMovedError, PayloadGoneError):
            if tries >= MOVED_TRIES:
                raise


async def history_of(hub: TaskHub, instance: Instance) -> History:
    """The history of an instance whose row was just read. HistoryMovedError, PayloadGoneError: read the row again."""
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
) -> OrchestrationExecutor:
    """As ``replay``, and returns the live orchestrator, which the caller closes. ``follow``: see ``warm.replayed``."""
    converter = Converter() if converter is None else converter
    return cached.replayed(definition, history.info, converter, history.segments, history.seen, follow=follow)


def definition_for(registry: Registry, name: str, version: str) -> OrchestratorDefinition:
    """The orchestrator of an instance, from this registry or built in. UnknownOrchestratorError."""
    if name.startswith(RESERVED):
        registry = registry.with_built_in(SCHEDULE, BULK)
    return cached.definition_for(registry, name, version)
