"""Clear errors and warnings for typical mistakes in the code of an orchestrator or of a branch."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from typing import Any

from ..coroutine_code import INSTEAD
from ..errors import OrchestratorCodeError
from ..source_location import raised_at
from ..user_code import is_interrupt, text_of
from .tasks import Task

_log = logging.getLogger("durable_core.engine")


def named_error(error: BaseException) -> BaseException:
    """A clearer error in the place of Python's own, for a typical mistake of the code; else the same error."""
    if isinstance(error, AttributeError) and error.name == "send" and isinstance(error.obj, Iterator):
        kind = type(error.obj).__name__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType, reportUnknownArgumentType]
        named = OrchestratorCodeError(
            f"'yield from' went through a {kind}, not a task: to wait for several tasks, write "
            "'yield from ctx.task_all([...])' or 'yield from ctx.task_any([...])'",
            raised_at(error.__traceback__),
        )
        return named.with_traceback(error.__traceback__)
    if isinstance(error, RuntimeError) and _is_of_asyncio(error):
        named = OrchestratorCodeError(
            f"{error}: an orchestrator has no event loop; use {INSTEAD}", raised_at(error.__traceback__)
        )
        named.__cause__ = error
        return named.with_traceback(error.__traceback__)
    return error


def close_code(code: Generator[Any, Any, Any], whose: str, *about: str) -> None:
    """Close the code of an orchestrator or a branch, whose calls are not recorded. whose, about: what it is, for the
    warning if it raises, as a format and its arguments."""
    try:
        code.close()
    except BaseException as error:  # it cannot fail the instance, which has ended or runs elsewhere
        if is_interrupt(error):
            raise
        _log.warning(
            "%s raised while it was closed; its 'finally:' blocks must not wait for tasks: %s: %s",
            whose % about,
            type(error).__name__,
            text_of(error),
        )


def _is_of_asyncio(error: BaseException) -> bool:
    """Whether asyncio has raised this error itself."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    module = "" if trace is None else str(trace.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] == "asyncio"


def not_a_task(
    yielded: object, where: str, *, is_continued: bool = False, is_itself: bool = False, is_async: bool = False
) -> OrchestratorCodeError:
    """The error for an object that code has yielded and that is no task of its orchestrator, with what to do."""
    if is_itself:
        hint = "a branch cannot wait for itself"
    elif yielded is None and is_continued:
        hint = "continue_as_new returns no task: call it without 'yield', and 'return' after it"
    elif yielded is None and is_async:
        hint = f"it awaited an object of another framework, such as asyncio.sleep(0); use {INSTEAD}"
    elif yielded is None:
        hint = "a call that returns no task, such as ctx.set_custom_status(...), is written without 'yield'"
    elif isinstance(yielded, Task):
        hint = "it belongs to another orchestrator instance"
    elif isinstance(yielded, Generator):
        hint = "to run another generator, write 'yield from'"
    elif isinstance(yielded, list | tuple | set):
        hint = "to wait for several tasks, yield ctx.task_all(...) or ctx.task_any(...)"
    elif hasattr(yielded, "__await__"):
        hint = f"an orchestrator cannot await objects of other frameworks, only tasks of its context; use {INSTEAD}"
    else:
        hint = "yield the tasks that ctx.call_activity(...), ctx.create_timer(...) and the like return"
    return OrchestratorCodeError(
        f"an orchestrator yielded {yielded!r}, which is not a task of this orchestrator: {hint}", where
    )
