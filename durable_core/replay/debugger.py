"""One history replayed under pdb: from event to event, through the orchestrator's own lines.

The orchestrator is the user's function inside a generator that watches its inputs: for every event that makes the code
continue, it prints the value that the ``yield`` returned, and then lets pdb stop in the user's code. Values that are
changed in the debugger change the decisions of the code.

Branches, and handlers of updates that wait, are told by the ``watch`` by which the engine calls them. They have numbers
in the order in which they begin; the prompt of pdb names the one whose code runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ParamSpec, TypeVar, get_args

from ..converter import Converter
from ..coroutine_code import inner_code
from ..definitions import OrchestratorDefinition
from ..engine.events import Event, Incoming, TaskScheduled, describe
from ..engine.executor import OrchestrationExecutor
from ..engine.user_frames import suspended_at
from ..errors import ConfigurationError, NonDeterminismError
from ..marks import RESERVED
from ..source_location import short
from .replayer import History, replay_live
from .user_pdb import QuitDebuggerError, UserPdb, shown

P = ParamSpec("P")
R = TypeVar("R")


def debug_history(
    definition: OrchestratorDefinition,
    history: History,
    *,
    at: int | None = None,
    converter: Converter | None = None,
    say: Callable[[str], None] = print,
    steps: Mapping[int, Sequence[str]] | None = None,
) -> None:
    """Replay under pdb on standard input and output. Returns at the end of the history, or after ``q``.

    at: the number of an event, from 1. The code stops after it; for a decision, before it is made. None: it stops at
    the first line of the orchestrator. steps: what journaled activities have recorded, as ``load_steps`` returns it; it
    is shown behind their calls.

    ConfigurationError if there is no such event; NonDeterminismError as in ``replay``.
    """
    events = history.events
    if at is not None and not 1 <= at <= len(events):
        raise ConfigurationError(f"the history of '{history.instance_id}' has events 1 to {len(events)}, no event {at}")
    if not events:
        raise ConfigurationError(f"instance '{history.instance_id}' has not begun: there is nothing to step through")
    session = _Session(definition, _first_stop(history, at), say, steps or {})
    if at is not None and session.stop_after != at:
        say(f"event {at} is decided by the code: it stops before that, after event {session.stop_after}")
    watched = replace(definition, fn=session.run)
    try:
        live = replay_live(watched, history, converter, follow=session.on_event, watch=session.watch)
    except QuitDebuggerError:
        return
    except NonDeterminismError:
        session.end_tracing()
        replay_live(definition, history, converter).close()  # gives the line, which the watching generator hides
        raise  # it matches without the debugger: then the changes in the debugger made the difference
    try:
        session.end(live)
    finally:
        live.close()


def _first_stop(history: History, at: int | None) -> int:
    """The event after which the code continues. In a commit the events that the code received come before its
    decisions."""
    if at is None:
        return 1
    before = 0
    for segment in history.segments:
        if at <= before + len(segment.events):
            return at if _is_received(segment.events[at - before - 1]) else before + 1
        before += len(segment.events)
    return at


def _is_received(event: Event) -> bool:
    """Whether the code receives the event, and has not decided it."""
    return isinstance(event, get_args(Incoming))


class _Session:
    """The state of a debugged replay. ``stop_after``: the event after which the code stops for the first time."""

    def __init__(
        self,
        definition: OrchestratorDefinition,
        stop_after: int,
        say: Callable[[str], None],
        steps: Mapping[int, Sequence[str]],
    ) -> None:
        self._definition, self._steps = definition, steps
        self.stop_after = stop_after
        self._say = say
        self._number = 0
        self._event: Event | None = None
        self._was_told = True  # whether a line was printed for the event
        self._has_stopped = False
        self._branches: dict[Hashable, int] = {}  # their code, with the number of each
        built_in = definition.name.startswith(RESERVED)
        self._pdb = UserPdb(definition.fn, built_in=built_in)

    def on_event(self, event: Event) -> None:
        self._close_line()
        self._number += 1
        self._event = event
        self._was_told = False
        if not _is_received(event):
            line = getattr(event, "line", "")
            self._tell(f"  decided{f' at {line}' if line else ''}")
            for step in self._steps.get(event.task_id, ()) if isinstance(event, TaskScheduled) else ():
                self._say(f"    {step}")

    def run(self, context: Any, *arguments: Any) -> Generator[Any, Any, Any]:
        """The orchestrator, watched."""
        inner: Generator[Any, Any, Any] = self._definition.fn(context, *arguments)
        value: Any = None
        error: BaseException | None = None
        is_first = True
        try:
            while True:
                where = self._definition.location if is_first else suspended_at(inner)
                self._runs_on(value, error, where, is_first=is_first)
                is_first = False
                yielded = inner.send(value) if error is None else inner.throw(error)
                try:
                    value, error = (yield yielded), None
                except GeneratorExit:
                    raise
                except BaseException as raised:  # noqa: BLE001  passed on to the orchestrator
                    value, error = None, raised
        except StopIteration as stop:
            return stop.value
        finally:
            self.end_tracing()
            inner.close()

    def watch(self, code: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call user code for the engine. If that runs a branch, say so first."""
        branch: Any = getattr(code, "__self__", None)
        how = getattr(code, "__name__", "")
        if how not in ("send", "throw") or not self._is_of_branch(branch):
            return code(*args, **kwargs)
        inner: Any = inner_code(branch)
        is_first = inner not in self._branches
        number = self._branches.setdefault(inner, len(self._branches) + 1)
        name = f"branch '{getattr(branch, '__name__', type(branch).__name__)}' #{number}"
        running = getattr(inner, "gi_code", None) or getattr(inner, "cr_code", None)
        was = self._pdb.enter(name, running)
        try:
            error = args[0] if how == "throw" and isinstance(args[0], BaseException) else None
            value = args[0] if how == "send" and args else None
            self._runs_on(value, error, "" if is_first else suspended_at(branch), is_first=is_first, name=name)
            return code(*args, **kwargs)
        except QuitDebuggerError:
            self.end_tracing()  # the code is closed now, and must not stop there
            raise
        finally:
            self._pdb.leave(was)

    @staticmethod
    def _is_of_branch(code: object) -> bool:
        """Whether this is a generator, and not the one that watches the orchestrator's own code."""
        if getattr(code, "gi_code", None) is _Session.run.__code__:
            return False
        return isinstance(code, Generator)

    def _runs_on(self, value: Any, error: BaseException | None, where: str, *, is_first: bool, name: str = "") -> None:
        place = short(where) if is_first else where
        if is_first:
            what = f"{name} begins".lstrip()
        elif error is None:
            what = f"-> {shown(value)} into"
        else:
            what = f"-> raises {error!r} {'in' if name else 'at'}"
        if name and not is_first:
            what += f" {name} at"
        if self._was_told and name:
            self._say(f"  {what} {place}".rstrip())
        elif self._was_told:
            self._say(f"  had ended before {what} {place}")
        else:
            self._tell(f" {what} {place}".rstrip())
        if not self._has_stopped and self._number >= self.stop_after:
            self._has_stopped = True
            self._pdb.set_trace(sys._getframe())  # pyright: ignore[reportPrivateUsage]

    def _tell(self, more: str) -> None:
        assert self._event is not None
        self._was_told = True
        self._say(f"event {self._number} {describe(self._event)}{more}")

    def _close_line(self) -> None:
        if not self._was_told:
            self._tell("  the code waits on")

    def end_tracing(self) -> None:
        """Stop tracing: pdb must not see the code that follows."""
        sys.settrace(None)

    def end(self, live: OrchestrationExecutor) -> None:
        self.end_tracing()
        self._close_line()
        match live.completion:
            case None:
                self._say(f"end of the history after {self._number} events: the code fits, and waits")
            case completion:
                self._say(f"end of the history after {self._number} events: the code fits; {describe(completion)}")
