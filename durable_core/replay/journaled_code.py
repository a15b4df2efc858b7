"""The code of a journaled activity, run over its recorded steps: how far it comes, and whether it fits them.

It is the run of a host (``runtime.activities.journal``), over a log in memory. A recorded step returns its value; one
that is not recorded is not run: the code stays there, and is left when nothing else of it goes on. The code between
the steps runs, as it does whenever a host takes the activity up. Interceptors do not run, and what the code writes to
streams and tells by heartbeats goes nowhere.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ..converter import Converter
from ..definitions import ActivityDefinition
from ..engine.code_scope import enter_outside
from ..engine.events import TaskCompleted, TaskFailed, TaskScheduled
from ..errors import ConfigurationError, InvalidInputError, JournalError, SerializationError
from ..hang_watch import Code, in_stretches
from ..hub.journals import Entry, JournalKey, StepId, root_of
from ..hub.taskhub import TaskHub
from ..journal import JournalContext
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..registry import Registry
from ..runtime.activities.call_options import definition_here
from ..runtime.activities.journal import JournalRun, Leaving
from ..runtime.activities.journal_calls import StepCall
from ..streams import StreamWriter
from ..user_code import is_interrupt
from .replayer import History

Told = Callable[[Entry, str], None]


class Ahead(NamedTuple):
    """A step that is not recorded, or a wait that has not ended, at which the code has stopped. line: of its call."""

    step: str
    line: str
    is_wait: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class CodeEnd:
    """How a run over the recorded steps has ended.

    told: how many recorded ends of steps and waits the code has got. ahead: where it would go on; empty: it has ended.
    result: what it has returned, then. error: what it has raised, or None. fits: whether the code fits its journal; if
    not, ``error`` says why, with the lines of both.
    """

    told: int
    ahead: Sequence[Ahead] = ()
    result: Any = None
    error: BaseException | None = None

    @property
    def fits(self) -> bool:
        return not isinstance(self.error, JournalError | InvalidInputError | SerializationError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedCall:
    """A part of a call with what its journal had when it ended, or has now."""

    history: History
    part: TaskScheduled
    entries: Sequence[Entry]


def open_parts(registry: Registry, history: History) -> list[TaskScheduled]:
    """The last part of each call of a journaled activity that has not ended, as far as the registry has its code."""
    parts: dict[int, TaskScheduled] = {}
    roots: dict[int, int] = {}
    for event in history.events:
        if isinstance(event, TaskScheduled) and _is_journaled(registry, event):
            roots[event.task_id] = root = root_of(event)
            parts[root] = event
        elif (isinstance(event, TaskCompleted) and event.waits is None) or isinstance(event, TaskFailed):
            parts.pop(roots.get(event.task_id, 0), None)
    return list(parts.values())


def part_of(registry: Registry, history: History, number: int) -> TaskScheduled:
    """The call with this number. ConfigurationError if there is none, or if it is not of a journaled activity."""
    calls = [event for event in history.events if isinstance(event, TaskScheduled)]
    journaled = [each for each in calls if _is_journaled(registry, each)]
    for event in journaled:
        if event.task_id == number:
            return event
    there = ", ".join(f"{each.task_id} ('{each.name}')" for each in journaled) or "none"
    raise ConfigurationError(
        f"instance '{history.instance_id}' has no call {number} of a journaled activity of this code; it has: {there}"
    )


def _is_journaled(registry: Registry, event: TaskScheduled) -> bool:
    definition = definition_here(registry, event.name)
    return definition is not None and definition.journal


async def load_call(hub: TaskHub, history: History, part: TaskScheduled) -> RecordedCall:
    """A part with its recorded steps: one read. CodecError, DamagedRowError, PayloadGoneError, StorageError."""
    key = JournalKey(history.instance_id, history.execution_id, history.generation, root_of(part))
    entries = await hub.journals.read(key)
    return RecordedCall(history=history, part=part, entries=[each for each in entries if each.part <= part.task_id])


async def run_code(
    definition: ActivityDefinition,
    call: RecordedCall,
    converter: Converter,
    *,
    follow: Told = lambda _entry, _line: None,
    begin: Callable[[], None] = lambda: None,
    patience: float | None,
) -> CodeEnd:
    """Run the code of the activity over the recorded steps of a call.

    follow: is told each recorded end that the code gets, and the line of its call. begin: called before its first line.
    patience: seconds for all of its code; None: any time. TimeoutError.
    """
    run = _RecordedRun(call, converter, follow)
    part, context = call.part, run.context(definition.name)
    arguments: list[Any] = [context] if definition.takes_context else []
    try:
        if definition.takes(part.input):
            arguments.append(converter.from_json(part.input, definition.input_type))
    except (InvalidInputError, SerializationError) as error:
        return CodeEnd(told=0, error=type(error)(f"the input of activity '{definition.name}': {error}"))

    async def code() -> Any:
        enter_outside(f"activity '{definition.name}'")
        begin()
        return await in_stretches(definition.fn(*arguments), Code(f"activity '{definition.name}'"))

    await run.begin(is_first=False, again=False, woke=_woke(part))
    limit = asyncio.timeout(patience)
    try:
        async with limit:
            result = await run.run(code())
    except BaseException as error:  # whatever the code raises is how it has ended
        task = asyncio.current_task()
        is_cancelled = isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling()
        if is_interrupt(error) or limit.expired() or is_cancelled:
            raise
        return CodeEnd(told=run.told, error=error)
    return CodeEnd(told=run.told, result=result) if run.left is None else CodeEnd(told=run.told, ahead=run.ahead)


def _woke(part: TaskScheduled) -> Sequence[JSON]:
    options: dict[str, JSON] = part.options or {}
    return options.get("woke") or ()


class _Entries:
    """A log in memory."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        self._entries = list(entries)

    async def insert(self, key: JournalKey, entries: Sequence[Entry]) -> None:
        self._entries.extend(entries)

    async def read(self, key: JournalKey, number: int = 0) -> list[Entry]:
        return self._entries[number:]


class _Nowhere:
    """What the context of a replay reports to: nobody."""

    is_cancelled = False

    def heartbeat(self, details: object) -> None: ...

    def stream(self, name: str, *, shared: bool) -> StreamWriter:
        return StreamWriter(name)


class _RecordedRun(JournalRun):
    """A run that begins no step, and leaves when its code does nothing but wait for what is not recorded."""

    def __init__(self, call: RecordedCall, converter: Converter, follow: Told) -> None:
        history, part = call.history, call.part
        numbers = iter(range(1_000_000))

        async def look() -> None: ...

        def callback_url(name: str, step: StepId, lifetime: object) -> tuple[str, str]:
            return f"{name}-{step.occurrence}", "https://replay.invalid/callback"

        own = [each.attempt for each in call.entries if each.part == part.task_id]
        super().__init__(
            _Entries(call.entries),
            JournalKey(history.instance_id, history.execution_id, history.generation, root_of(part)),
            run="replay",
            new_id=lambda: f"replay-{next(numbers)}",
            unit_random=random.random,
            converter=converter,
            attempt=max(own, default=1),
            part=part.task_id,
            about=f"activity '{part.name}'",
            is_over=lambda: False,
            is_gone=lambda: False,
            look=look,
            leave_at=None,
            now=time.time,
            executor=None,
            callback_url=callback_url,
        )
        self._call, self._follow = call, follow
        self.told = 0
        self.ahead: list[Ahead] = []

    def context(self, name: str) -> JournalContext:
        history, part = self._call.history, self._call.part
        headers: Mapping[str, JSON] = history.headers if part.headers is None else part.headers
        return self.make_context(
            instance_id=history.instance_id,
            execution_id=history.execution_id,
            task_id=part.task_id,
            attempt=self._attempt,
            idempotency_key=f"{history.execution_id}-{history.generation}-{root_of(part)}",
            name=name,
            headers=headers,
            listener=_Nowhere(),
        )

    def _start(self, call: StepCall) -> None:
        self._look_for_quiet()

    def _waits(self) -> list[JSON]:
        if self._replayed or self._teller is not None:
            return []
        return [str(call.step) for call in self._open]

    def _leave(self, leaving: Leaving) -> None:
        self.ahead = [Ahead(str(call.step), call.line, call.wait is not None) for call in self._open]
        super()._leave(leaving)

    def _tell(self, call: StepCall, entry: Entry) -> None:
        self.told += 1
        self._follow(entry, call.line)
        super()._tell(call, entry)
