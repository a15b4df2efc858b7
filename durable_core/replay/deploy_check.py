"""The check before a deployment: replays every open instance of a live hub with the new code. Reads only.

Reads the open rows of the catalogue page by page and replays a few instances at a time, so that the memory depends on
the longest histories and not on their number. Instances that break at the same place are reported together. Instances
that start after the begin of the check are not checked.

The code of journaled activities whose calls are open is run over their recorded steps: one read for each such call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Hashable
from contextlib import aclosing
from dataclasses import asdict, field

from ..converter import Converter
from ..errors import (
    CodecError,
    ConfigurationError,
    HubNotFoundError,
    NewerFormatError,
    NonDeterminismError,
    RowNotFoundError,
    StorageError,
    StorageUnavailableError,
    UnknownOrchestratorError,
)
from ..hub.catalog import OPEN, Entry
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..registry import Registry
from .journaled_code import load_call, open_parts, run_code
from .replayer import History, definition_for, history_of, replay_live

PAGE = 200  # rows of the catalogue that are read at once
AT_ONCE = 16  # instances that are read at once
CODE_SECONDS = 10.0  # for the code between the steps of one call
SHOWN_IDS = 5
MOST_PARTITIONS = 64


@dataclass(slots=True)
class Group:
    """Instances with the same problem. ``stuck``: the number of those that are stuck already."""

    orchestrator: str
    version: str
    text: str
    line: str = ""
    count: int = 0
    stuck: int = 0
    instance_ids: list[str] = field(default_factory=list[str])

    def add(self, entry: Entry) -> None:
        self.count += 1
        self.stuck += bool(entry.stuck)
        if len(self.instance_ids) < SHOWN_IDS:
            self.instance_ids.append(entry.instance_id)


@dataclass(slots=True, kw_only=True)
class DeployReport:
    """The result for every open instance; it grows while the check runs.

    fitting: instances whose histories match the code. not_begun: instances without a history, whose orchestrator
    exists. ended: instances that ended during the check. breaking: grouped by the place of the first difference.
    missing: grouped by the orchestrator and version that the code does not have. unreadable: grouped by the reason.

    journals: open calls of journaled activities whose code was run over their recorded steps. unchecked: those of which
    that code has failed outside of its steps, or did not come to an end in time; so it may do elsewhere, or not. These
    instances are among the fitting ones.
    """

    hub: str
    fitting: int = 0
    not_begun: int = 0
    ended: int = 0
    breaking: list[Group] = field(default_factory=list[Group])
    missing: list[Group] = field(default_factory=list[Group])
    unreadable: list[Group] = field(default_factory=list[Group])
    journals: int = 0
    unchecked: list[Group] = field(default_factory=list[Group])

    @property
    def troubled(self) -> int:
        """The number of instances that would not continue with this code."""
        return sum(group.count for group in (*self.breaking, *self.missing, *self.unreadable))

    @property
    def checked(self) -> int:
        return self.fitting + self.not_begun + self.ended + self.troubled

    @property
    def is_fine(self) -> bool:
        return self.troubled == 0

    def to_json(self) -> dict[str, JSON]:
        """The report as JSON, with the groups in a stable order, the largest first."""
        for groups in (self.breaking, self.missing, self.unreadable, self.unchecked):
            groups.sort(key=lambda group: (-group.count, group.orchestrator, group.version))
        return {"ok": self.is_fine, "checked": self.checked, **asdict(self)}


async def check_deploy(
    hub: TaskHub,
    registry: Registry,
    converter: Converter | None = None,
    *,
    name: str | None = None,
    limit: int | None = None,
    progress: Callable[[DeployReport], None] = lambda _: None,
) -> DeployReport:
    """Replay the open instances of a hub with this registry's code.

    name: only instances of this orchestrator. limit: the highest number of instances, the newest of each partition.
    progress: called with the report so far after each instance.

    HubNotFoundError. ConfigurationError: the hub has more partitions than the settings have. StorageError.
    """
    check = _Check(hub, registry, converter or Converter(), progress)
    await check.see_that_all_is_seen()
    waiting: asyncio.Queue[Entry] = asyncio.Queue(AT_ONCE)  # the producer waits while the workers are behind

    async def work() -> None:
        while True:
            await check.look_at(await waiting.get())
            waiting.task_done()

    async def produce() -> None:
        taken = 0
        async with aclosing(entries(hub, OPEN)) as found:
            async for entry in found:
                if name is None or entry.name == name:
                    if limit is not None and taken >= limit:
                        break
                    taken += 1
                    await waiting.put(entry)
        await waiting.join()
        for worker in workers:
            worker.cancel()

    try:
        async with asyncio.TaskGroup() as group:
            workers = [group.create_task(work()) for _ in range(AT_ONCE)]
            group.create_task(produce())
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return check.report


async def entries(hub: TaskHub, *kinds: str) -> AsyncGenerator[Entry]:
    """The rows of these streams of the catalogue, shard by shard, newest first, read page by page."""
    for shard in hub.catalog.shards:
        for kind in kinds:
            after = ""
            while page := await hub.catalog.read(shard, kind, after, PAGE):
                after = page[-1].key
                for entry in page:
                    yield entry


class _JournalDiffersError(Exception):
    """The code of a journaled activity does not fit what an open call of it has recorded."""


class _Check:
    def __init__(
        self, hub: TaskHub, registry: Registry, converter: Converter, progress: Callable[[DeployReport], None]
    ) -> None:
        self._hub, self._registry, self._converter, self._progress = hub, registry, converter, progress
        self.report = DeployReport(hub=hub.names.hub)
        self._groups: dict[Hashable, Group] = {}

    async def see_that_all_is_seen(self) -> None:
        """HubNotFoundError if the hub does not exist; ConfigurationError if the settings leave out partitions of it."""
        names = self._hub.names
        shards = [f"{number:02}" for number in range(MOST_PARTITIONS)]
        try:
            found = await asyncio.gather(*(self._hub.catalog.read(shard, OPEN, limit=1) for shard in shards))
        except RowNotFoundError as error:
            raise HubNotFoundError(
                f"there is no task hub '{names.hub}' in this storage (no table {names.catalog}); "
                "check --hub, --store and AzureWebJobsStorage"
            ) from error
        used = max((number + 1 for number, page in enumerate(found) if page), default=0)
        if used > names.partitions:
            raise ConfigurationError(
                f"task hub '{names.hub}' has at least {used} partitions, but the settings have {names.partitions}: set "
                "DURABLE_PARTITIONS to the app's value, or some instances would not be checked"
            )

    async def look_at(self, entry: Entry) -> None:
        report = self.report
        try:
            await self._replay(entry)
        except UnknownOrchestratorError as error:
            self._tell(report.missing, entry, str(error), error.version or entry.version)
        except NonDeterminismError as error:
            line = error.actual_at or error.expected_at
            kinds = tuple(side.partition("(")[0] for side in (error.expected, error.actual))
            self._tell(report.breaking, entry, str(error), entry.version, line, key=(line, error.expected_at, *kinds))
        except _JournalDiffersError as error:
            self._tell(report.breaking, entry, str(error), entry.version, key=str(error))
        except (CodecError, NewerFormatError) as error:
            self._tell(report.unreadable, entry, str(error), entry.version, key=type(error))
        except StorageUnavailableError:
            raise  # not a problem of the instance: the check itself cannot continue
        except (StorageError, ValueError, LookupError, TypeError, AttributeError) as error:
            text = f"its rows are damaged: {type(error).__name__}: {error}"
            self._tell(report.unreadable, entry, text, entry.version, key=type(error))
        self._progress(report)

    async def _replay(self, entry: Entry) -> None:
        async def read() -> tuple[Instance | None, History | None]:
            instance = await self._hub.instances.read(entry.instance_id)
            if instance is None or instance.is_terminal or instance.is_unstarted:
                return instance, None
            return instance, await history_of(self._hub, instance)

        report = self.report
        instance, history = await while_it_moves(read)
        if instance is None or instance.is_terminal:
            report.ended += 1
            return
        definition = definition_for(self._registry, instance.name, instance.version)
        if history is None:
            report.not_begun += 1
            return
        replay_live(definition, history, self._converter).close()
        if self._registry.has_journals:
            await self._run_journaled(entry, history)
        report.fitting += 1

    async def _run_journaled(self, entry: Entry, history: History) -> None:
        """Run the code of journaled activities over what they have recorded. _JournalDiffersError."""
        for part in open_parts(self._registry, history):
            definition = self._registry.activity(part.name)
            call = await load_call(self._hub, history, part)
            try:
                end = await run_code(definition, call, self._converter, patience=CODE_SECONDS)
            except TimeoutError:
                problem = f"its code did not come to a step, a wait or its end within {CODE_SECONDS:g} s"
            else:
                if not end.fits:
                    raise _JournalDiffersError(str(end.error))
                error = end.error
                problem = (
                    "" if error is None else f"its code raised {type(error).__name__} outside of its steps: {error}"
                )
            self.report.journals += 1
            if problem:
                text = f"activity '{part.name}': {problem}"
                self._tell(self.report.unchecked, entry, text, entry.version, definition.location, key=text)

    def _tell(
        self, groups: list[Group], entry: Entry, text: str, version: str, line: str = "", key: Hashable = None
    ) -> None:
        whole = (id(groups), entry.name, version, key)
        if whole not in self._groups:
            self._groups[whole] = Group(entry.name, version, text, line)
            groups.append(self._groups[whole])
        self._groups[whole].add(entry)
