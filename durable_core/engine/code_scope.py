"""Tells whether the code that runs now belongs to an orchestrator, or to an activity, a step or a query.

If an activity used an orchestration context, through a closure for example, the context would record calls at random
moments. So the framework marks code outside of orchestrators with ``outside``, and the context raises an error there.
"""

from __future__ import annotations

from contextvars import ContextVar

from ..errors import OrchestratorCodeError
from .user_frames import caller

_WHERE: ContextVar[str] = ContextVar("durable_core_outside", default="")

whose_code = _WHERE.get
"""Names the code that runs now, if it does not belong to an orchestrator; else ''."""


enter_outside = _WHERE.set
"""Marks all further code of this context, such as that of an asyncio task, as code outside of orchestrators."""


class outside:
    """Marks the code in this block as code outside of orchestrators. ``what`` names it in errors."""

    __slots__ = ("_token", "_what")

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._token = _WHERE.set(self._what)

    def __exit__(self, *_: object) -> None:
        _WHERE.reset(self._token)


def refuse_outside() -> None:
    """OrchestratorCodeError, with the line of the call, if an orchestration context is used in such code."""
    what = _WHERE.get()
    if what:
        raise OrchestratorCodeError(
            f"the orchestrator's context is used inside {what}: only the orchestrator itself can call activities, "
            "wait or set its status; return a value, and let the orchestrator make the call",
            caller(),
        )
