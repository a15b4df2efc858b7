"""The function that a call names: it must be marked, and of the kind that is called. A mistake fails at its line.

A new decision is refused, and not one that history holds: an instance that was started before this check goes on.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any, Literal

from ..definitions import ActivityDefinition, OrchestratorDefinition, name_of
from ..entities import EntityDefinition
from ..errors import OrchestratorCodeError
from ..marks import MARK
from ..signatures import function_in
from ..source_location import place
from .events import OrchestrationStarted, SubOrchestrationCreated, TaskScheduled
from .state import ExecutionState
from .user_frames import caller

NAME = re.compile(r"[\w.\-]{1,128}")
"""What names look like. Wider than for registered ones, as calls of older programs may be in histories."""

Kind = Literal["activity", "orchestrator"]

_KINDS: dict[Kind, type[Any]] = {"activity": ActivityDefinition, "orchestrator": OrchestratorDefinition}
_CALLS: dict[Kind, tuple[type[Any], ...]] = {
    "activity": (TaskScheduled,),
    "orchestrator": (SubOrchestrationCreated, OrchestrationStarted),
}
_METHODS: dict[Kind, str] = {"activity": "ctx.call_activity", "orchestrator": "ctx.call_sub_orchestrator"}


def called_name(called: object, kind: Kind, decisions: ExecutionState | None = None) -> str:
    """The registered name of what is called, given as a marked function or by its name.

    decisions: those of the execution, with what history expects next; None for what is called later.
    OrchestratorCodeError, with the line of the call, for a function that is not marked, or marked as another kind, for
    a text that cannot be a name, and for any other object.
    """
    definition: Any = getattr(called, MARK, None)
    if isinstance(definition, _KINDS[kind]):
        return definition.name
    if isinstance(called, str) and NAME.fullmatch(called):
        return called
    if decisions is not None and (isinstance(called, str) or callable(called)):
        name = name_of(called)
        expected: Sequence[Any] = decisions.expected_decisions
        if any(isinstance(event, _CALLS[kind]) and event.name == name for event in expected):
            return name
    if isinstance(called, str):
        check_name(called, kind)
    raise OrchestratorCodeError(_problem(called, definition, kind), caller())


def check_name(name: str, kind: Kind) -> None:
    """OrchestratorCodeError, with the line of the call, for a text that cannot be the name of anything registered."""
    if not NAME.fullmatch(name):
        raise OrchestratorCodeError(
            f"{name!r:.200} cannot be the name of an {kind}. If it is the result of a call, pass the function and "
            f"its input instead: {_METHODS[kind]}(function, input)",
            caller(),
        )


def _problem(called: object, definition: object, kind: Kind) -> str:
    match definition:
        case ActivityDefinition() | OrchestratorDefinition():
            other: Kind = "activity" if isinstance(definition, ActivityDefinition) else "orchestrator"
            return f"'{definition.name}' is an {other}, not an {kind}: call it with {_METHODS[other]}(...)"
        case EntityDefinition():
            return (
                f"'{definition.name}' is an entity, not an {kind}: call one of its operations with "
                f"ctx.call_entity(EntityId('{definition.name}', key), operation)"
            )
        case _:
            pass
    if inspect.iscoroutine(called):
        called.close()  # without this, Python warns that it was never awaited
    if not callable(called):
        hint = f"pass the function itself, and its input: {_METHODS[kind]}(function, input)"
        if inspect.iscoroutine(called) or inspect.isgenerator(called):
            hint = f"it was called already; {hint}"
        return f"what is called must be an {kind}, as a function or by its name, not {called!r:.200}: {hint}"
    name = getattr(called, "__qualname__", None) or repr(called)
    code = getattr(function_in(called), "__code__", None)
    where = "" if code is None else f" ({place(code.co_filename, code.co_firstlineno)})"
    step = f", or run it as a step: ctx.run('{name}', {name}, ...)" if kind == "activity" else ""
    return f"{name}{where} is not marked as an {kind}, so no host would run it: mark it with @{kind}{step}"
