"""Limits that orchestrator code gives to what it calls, checked where they are given."""

from __future__ import annotations

from datetime import timedelta

from ..errors import OrchestratorCodeError
from ..models import JSON
from ..moments import problem_of_time, seconds_of
from .source import caller


def run_options(timeout: timedelta | None) -> JSON:
    """Options of a sub-orchestration's call. OrchestratorCodeError for a timeout that leaves no time."""
    if timeout is None:
        return None
    if (problem := problem_of_time(timeout)) is not None:
        raise OrchestratorCodeError(f"timeout={timeout!r} of a sub-orchestration {problem}", caller())
    return {"timeout": seconds_of(timeout)}
