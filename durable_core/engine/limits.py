"""Limits that orchestrator code gives to what it calls, checked where they are given."""

from __future__ import annotations

from datetime import timedelta

from ..errors import OrchestratorCodeError
from ..models import JSON
from ..moments import seconds_of
from .source import caller


def run_options(timeout: timedelta | None) -> JSON:
    """Options of a sub-orchestration's call. OrchestratorCodeError for a timeout that leaves no time."""
    if timeout is None:
        return None
    if timeout <= timedelta(0):
        raise OrchestratorCodeError(
            f"a sub-orchestration needs time: the timeout must be positive, not {timeout}", caller()
        )
    return {"timeout": seconds_of(timeout)}
