"""Histories of instances, and their replay against the code at hand. Reads only.

A ``History`` is all that decides a replay: whoever has it needs no store. What it is replayed by is what a host does
when it wakes an instance (``runtime/warm.py``), so an instance whose history passes here goes on there.
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
        """Every event, in order: the n-th of them is event n, counted from 1."""
        return [event for segment in self.segments for event in segment.events]

    @property
    def info(self) -> InstanceInfo:
        """What the orchestrator is told of its instance. Callbacks have no address here: nobody is to use it."""
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
        """An exported history. HistoryFileError (not there, or broken), NewerFormatError."""
        from .history import read_history

        return read_history(Path(path))

    def write(self, path: str | Path) -> None:
        """Export it as a JSON file; the same history makes the same bytes."""
        from .history import write_history

        write_history(self, Path(path))


async def load_history(hub: TaskHub, instance_id: str) -> History:
    """The history of an instance's current generation. An instance that moves meanwhile is read again.

    InstanceNotFoundError, NewerFormatError, CodecError, HistoryMovedError (damaged, as it seems), StorageError.
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
    """Run the code at hand over a history, as a host does that wakes the instance.

    Activities, steps and other instances are not touched: their results are in the history. Returns if the code
    decides what the history says it did; it may then go on where the history ends.

    UnknownOrchestratorError: the registry lacks this orchestrator, or this version of it.
    NonDeterminismError: the code decides otherwise; such an instance would be parked as stuck.
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
    """The code that an instance is replayed by, of this registry or built in. UnknownOrchestratorError."""
    if name.startswith(RESERVED):
        registry = registry.with_built_in(SCHEDULE)
    return cached.definition_for(registry, name, version)
