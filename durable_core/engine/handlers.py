"""Handlers of events and queries, which orchestrator code registers: how they are checked and called.

An event handler runs as part of the orchestrator. A query handler runs outside of it: it may read the orchestrator's
variables, and makes no decisions. Handlers of updates are in ``updates``.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable
from typing import Any

from ..converter import Converter
from ..errors import InvalidInputError, OrchestratorCodeError, QueryFailedError, UnknownQueryError
from ..guard import Watch
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..user_code import is_interrupt
from .annotations import parameter_types
from .code_scope import outside, refuse_outside
from .no_entries import NO_ENTRIES
from .user_frames import caller
from .values import read

_log = logging.getLogger("durable_core.engine")


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered handler. takes: the annotated types of its parameters; it has at most one."""

    name: str
    fn: Callable[..., Any]
    takes: tuple[Any, ...]
    line: str

    @classmethod
    def checked(
        cls, what: str, name: object, fn: Callable[..., Any], present: Handler | None, *, may_wait: bool = False
    ) -> Handler:
        """The handler. OrchestratorCodeError, with the line, if the function cannot be a handler of this kind.

        may_wait: whether it may be a generator function, or an ``async def``.
        """
        refuse_outside()
        line = caller()
        if not isinstance(name, str) or not name:
            raise OrchestratorCodeError(
                f"the first argument is the name of the {what} that is handled, not {name!r}", line
            )
        if present is not None:
            raise OrchestratorCodeError(
                f"two handlers of {what} '{name}': the first one was set at {present.line}; "
                "combine them, or rename one",
                line,
            )
        is_generator = inspect.isgeneratorfunction(fn)
        if may_wait and inspect.isasyncgenfunction(fn):
            raise OrchestratorCodeError(
                f"the handler of {what} '{name}' is an async generator, because it has a 'yield': it must be a plain "
                "function, a generator function that waits with 'yield from', or an 'async def' with 'await'",
                line,
            )
        if not may_wait and (is_generator or inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn)):
            raise OrchestratorCodeError(
                f"the handler of {what} '{name}' must be a plain function, since a handler cannot wait; "
                "let it set a variable, and let the orchestrator wait with ctx.wait_condition",
                line,
            )
        if not callable(fn):
            raise OrchestratorCodeError(f"the handler of {what} '{name}' must be a function, not {fn!r}", line)
        takes = parameter_types(fn)
        if takes is None:
            raise OrchestratorCodeError(f"the handler of {what} '{name}' must have one parameter, or none", line)
        return cls(name, fn, takes, line)


def handle_event(handler: Handler, data: JSON, converter: Converter, watch: Watch, *, is_replaying: bool) -> None:
    """Call the handler of an event. Data that does not fit the annotated type is logged and dropped, as in Temporal:
    the sender is at fault, not the orchestrator. An exception of the handler is a failure of the orchestrator."""
    if not handler.takes:
        watch(handler.fn)
        return
    try:
        value = read(converter, data, handler.takes[0])
    except InvalidInputError as error:
        if not is_replaying:
            _log.warning(
                "external event '%s' is dropped, since its data does not fit the handler set at %s: %s",
                handler.name,
                handler.line,
                error,
            )
        return
    watch(handler.fn, value)


class Queries:
    """The query handlers of one generation."""

    __slots__ = ("_converter", "_handlers", "_instance_id", "_watch")

    def __init__(self, instance_id: str, converter: Converter, watch: Watch) -> None:
        self._instance_id = instance_id
        self._watch = watch
        self._converter = converter
        self._handlers: dict[str, Handler] = NO_ENTRIES

    def add(self, name: str, fn: Callable[..., Any]) -> None:
        self._handlers = self._handlers or {}
        self._handlers[name] = Handler.checked("query", name, fn, self._handlers.get(name))

    def answer(self, name: str, args: JSON) -> JSON:
        """The result of the query handler. UnknownQueryError, InvalidInputError (``args``), QueryFailedError."""
        handler = self._handlers.get(name)
        if handler is None:
            raise UnknownQueryError(self._instance_id, name, tuple(self._handlers))
        if not handler.takes and args is not None:
            raise InvalidInputError(f"query '{name}' takes no arguments")
        values = tuple(read(self._converter, args, kind) for kind in handler.takes)
        try:
            with outside(f"query '{name}'"):
                return self._converter.to_json(self._watch(handler.fn, *values), f"the answer to query '{name}'")
        except BaseException as error:
            if is_interrupt(error):
                raise
            raise QueryFailedError(self._instance_id, name, error) from error
