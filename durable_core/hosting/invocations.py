"""Sets for Azure's Python worker the invocation for which a thread of ours works, so that its log lines are kept.

The worker sends a line to the Functions host with the id of its invocation, and the host drops one without. Tasks
inherit the id; in a thread that the worker did not begin it looks at ``thread_local_storage`` of the invocation's
context, and on Python 3.13 at a context variable of its library.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from ..runtime.threads import around_threads

if TYPE_CHECKING:
    import azure.functions as func

LIBRARY = "azure_functions_runtime"  # of Python 3.13; the worker imports it if it runs on that version


@contextmanager
def working_for(context: func.Context | None) -> Generator[None]:
    """Within this, all that is logged belongs to the invocation of ``context``, in threads begun here as well.

    None if the caller of the function has no context.
    """
    if context is None:
        yield
        return
    variable: ContextVar[Any] | None = getattr(sys.modules.get(LIBRARY), "invocation_id_cv", None)
    for_library = None if variable is None else variable.set(context.invocation_id)
    for_threads = around_threads.set(partial(_in_thread, context))
    try:
        yield
    finally:
        around_threads.reset(for_threads)
        if variable is not None and for_library is not None:
            variable.reset(for_library)


@contextmanager
def _in_thread(context: func.Context) -> Generator[None]:
    local: Any = context.thread_local_storage
    before = getattr(local, "invocation_id", None)
    local.invocation_id = context.invocation_id
    try:
        yield
    finally:
        local.invocation_id = before
