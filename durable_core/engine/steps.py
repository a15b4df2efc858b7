"""Steps, which ``ctx.run`` calls. A step is in the history only once it has ended, by one StepCompleted event.

Describes a pending step and checks its arguments; the runtime runs it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import OrchestratorCodeError
from ..lazy_dataclass import dataclass
from ..models import RetryPolicy
from .user_frames import caller

MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class Step:
    """A step that the code has called and whose result is not in the history.

    born: the number of commits in this generation before the call.
    """

    task_id: int
    name: str
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    retry: RetryPolicy | None
    line: str
    born: int


def check_step(name: object, fn: object) -> None:
    """OrchestratorCodeError, with the line of the call, for a name or a function that cannot be a step."""
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME:
        raise OrchestratorCodeError(
            f"the first argument of ctx.run is the step's name, a text of 1 to {MAX_NAME} characters, not {name!r}: "
            "ctx.run('charge', charge, order)",
            caller(),
        )
    if not callable(fn):
        hint = "pass the function itself and its arguments: ctx.run('charge', charge, order)"
        if inspect.iscoroutine(fn):
            fn.close()  # without this, Python warns that it was never awaited
            hint = f"it was called already; {hint}"
        raise OrchestratorCodeError(f"step '{name}' must be a function, not {fn!r}: {hint}", caller())
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise OrchestratorCodeError(
            f"step '{name}' is a generator function, but a step must return its result: make it a plain or async "
            "function, or run it in the orchestrator with 'yield from'",
            caller(),
        )
