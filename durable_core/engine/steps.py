"""Inline steps: what ``ctx.run`` calls. A step is in history only when it has ended, by one StepCompleted event.

Owns the description of a pending step and what may be run as one. Knows no history and runs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..errors import OrchestratorCodeError
from ..models import RetryPolicy
from .user_frames import caller

MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Step:
    """A step that was called and has no result in history.

    born: which commit of its generation called it, counted from 0. It is in no event of that commit.
    """

    task_id: int
    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    retry: RetryPolicy | None
    line: str
    born: int


def check_step(name: object, fn: object) -> None:
    """OrchestratorCodeError, with the line of the call, for what cannot be a step."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise OrchestratorCodeError(
            f"ctx.run takes the step's name first, a text of 1 to {MAX_NAME} characters, not {name!r}: "
            "ctx.run('charge', charge, order)",
            caller(),
        )
    if not callable(fn):
        hint = "hand over the function itself and its arguments: ctx.run('charge', charge, order)"
        if inspect.iscoroutine(fn):
            fn.close()  # nobody will await it
            hint = f"it was called already; {hint}"
        raise OrchestratorCodeError(f"step '{name}' is no function but {fn!r}: {hint}", caller())
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise OrchestratorCodeError(
            f"step '{name}' is a generator, and a step returns its result: make it a plain or async function, "
            "or run it in the orchestrator with 'yield from'",
            caller(),
        )
