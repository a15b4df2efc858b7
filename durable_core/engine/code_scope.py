"""Knows whether the code that runs now is an orchestrator's or is outside of any: an activity, a step, a query.

A context that is used from out there, through a closure say, would record calls at random moments. So whoever runs
such code says so here, and the context refuses. Knows nothing else.
"""

from __future__ import annotations

from contextvars import ContextVar

from ..errors import OrchestratorCodeError
from .user_frames import caller

_WHERE: ContextVar[str] = ContextVar("durable_core_outside", default="")

whose_code = _WHERE.get
"""What the code that runs now is, if it is not an orchestrator's; else ''."""


class outside:
    """While this lasts, code in this ``contextvars`` context is not an orchestrator's. ``what`` names it in errors."""

    __slots__ = ("_token", "_what")

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        self._token = _WHERE.set(self._what)

    def __exit__(self, *_: object) -> None:
        _WHERE.reset(self._token)


def refuse_outside() -> None:
    """OrchestratorCodeError, with the line of the call, if an orchestrator's context is used out there."""
    what = _WHERE.get()
    if what:
        raise OrchestratorCodeError(
            f"the orchestrator's context is used inside {what}: only the orchestrator itself can call activities, "
            "wait or set its status; return what you have found, and let the orchestrator decide",
            caller(),
        )
