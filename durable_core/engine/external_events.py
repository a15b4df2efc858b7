"""External events of one generation: each is delivered once, in order, per name in any letter case.

An event goes to the first waiter that is still wanted, and is kept while there is none. A waiter that did not win its
``task_any`` (with a timer, for example) therefore takes no event from the next waiter, and still receives one when the
code waits for it again. If the code has a handler for the name, the handler gets the event first; a waiter in the queue
receives it as well, but the event is not kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ..converter import Converter
from ..errors import DurableError, TaskFailedError
from ..guard import Watch, unwatched
from ..models import FailureDetails
from .code_scope import refuse_outside
from .events import EventRaised
from .handlers import Handler, handle_event
from .tasks import EventTask, fail, has_ended, is_wanted, settle
from .values import read

_NONE_KEPT: deque[tuple[int, EventRaised]] = deque(maxlen=0)
"""Of every name for which no event was ever kept: an empty deque takes 600 bytes, of each instance that waits."""


class _Line:
    """Events and waiters of one name. While an event is kept here, no waiter of the queue is wanted."""

    __slots__ = ("handler", "kept", "waiters")

    def __init__(self) -> None:
        self.handler: Handler | None = None
        self.kept = _NONE_KEPT
        self.waiters: list[EventTask[Any]] = []

    def keep(self, number: int, event: EventRaised) -> None:
        if self.kept is _NONE_KEPT:
            self.kept = deque[tuple[int, EventRaised]]()
        self.kept.append((number, event))


class ExternalEvents:
    """The kept events of a generation and the tasks that wait for events."""

    __slots__ = ("_arrived", "_converter", "_lines", "_waiters", "_watch")

    def __init__(self, converter: Converter, watch: Watch = unwatched) -> None:
        self._converter = converter
        self._watch = watch
        self._lines: dict[str, _Line] = {}
        self._arrived = 0
        self._waiters = 0

    def wait(
        self,
        owner: object,
        name: str,
        returns: Any,
        line: str,
        *,
        is_running: bool,
        since: datetime | None = None,
    ) -> EventTask[Any]:
        """A task for the next event of this name; it has ended already if an event is kept.

        since: the time of the call.
        is_running: False while the generator is being closed; the task then receives no event.
        """
        refuse_outside()
        self._waiters += 1
        claim = self._claim if is_running else None
        task: EventTask[Any] = EventTask(owner, name, returns, order=self._waiters, line=line, claim=claim, since=since)
        if claim is not None:
            claim(task)
        return task

    def on(self, name: str, fn: Callable[..., Any], *, is_replaying: bool) -> None:
        """Call ``fn`` for every event of this name, and at once for the kept ones. OrchestratorCodeError."""
        line = self._line(str(name))
        line.handler = Handler.checked("event", name, fn, line.handler)
        while line.kept:
            data = line.kept.popleft()[1].data
            handle_event(line.handler, data, self._converter, self._watch, is_replaying=is_replaying)

    def put(self, event: EventRaised, *, is_replaying: bool = False) -> EventTask[Any] | None:
        """Deliver an event and return the task that has received it; or keep it. Raises an exception of the handler."""
        line = self._line(event.name)
        if line.handler is not None:
            handle_event(line.handler, event.data, self._converter, self._watch, is_replaying=is_replaying)
        while line.waiters:
            task = line.waiters.pop(0)
            task.is_queued = False
            if not has_ended(task) and is_wanted(task):
                self._deliver(task, event)
                return task
        if line.handler is not None:
            return None
        self._arrived += 1
        line.keep(self._arrived, event)
        return None

    def kept(self) -> list[EventRaised]:
        """Events without a receiver so far, in the order in which they came."""
        waiting = sorted((entry for line in self._lines.values() for entry in line.kept), key=lambda entry: entry[0])
        return [event for _, event in waiting]

    def waiters(self) -> list[EventTask[Any]]:
        """The waiting tasks of all names."""
        return [task for line in self._lines.values() for task in line.waiters if not has_ended(task)]

    def handled(self) -> list[str]:
        """The names that have a handler, without letter case."""
        return [name for name, line in self._lines.items() if line.handler is not None]

    def let_go(self) -> None:
        """The generation is over in this process: no event will be delivered."""
        self._lines.clear()

    def _line(self, name: str) -> _Line:
        key = name.casefold()
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line()
        return line

    def _claim(self, task: EventTask[Any]) -> None:
        """Deliver a kept event to a waiter, or put it into the queue, at its place in the order of calls."""
        line = self._line(task.event_name)
        if line.kept:
            self._deliver(task, line.kept.popleft()[1])
        elif not task.is_queued:
            task.is_queued = True
            waiters = line.waiters
            if not waiters or waiters[-1].order < task.order:
                waiters.append(task)
            else:
                later = next(at for at, other in enumerate(waiters) if other.order > task.order)
                waiters.insert(later, task)

    def _deliver(self, task: EventTask[Any], event: EventRaised) -> None:
        try:
            value = read(self._converter, event.data, task.returns)
        except DurableError as error:
            failure = FailureDetails.from_exception(error, retriable=False)
            fail(task, TaskFailedError(f"external event '{event.name}': {error}", failure, name=event.name))
        else:
            settle(task, value)
