"""Trace contexts as text (W3C ``traceparent``), and the one that a caller has sent. Needs no OpenTelemetry."""

from __future__ import annotations

import re
from contextvars import ContextVar
from typing import NamedTuple

SAMPLED = 1

_FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")

caller_trace: ContextVar[str] = ContextVar("durable_core_caller_trace", default="")
"""The ``traceparent`` of the HTTP request that is being answered; '' if it has none."""


class TraceParent(NamedTuple):
    """A position in a trace: the trace, a span of it, and whether the trace is sampled."""

    trace_id: int
    span_id: int
    flags: int = SAMPLED

    def __str__(self) -> str:
        return f"00-{self.trace_id:032x}-{self.span_id:016x}-{self.flags & SAMPLED:02x}"


def read_trace(text: str) -> TraceParent | None:
    """The position that a ``traceparent`` names; None for '' and for text that is no ``traceparent``."""
    found = _FORM.fullmatch(text) if text else None
    if found is None or (text.startswith("00") and found[4]):  # only a later version may have more parts
        return None
    return TraceParent(int(found[1], 16), int(found[2], 16), int(found[3], 16))


def valid_trace(text: str) -> str:
    """A ``traceparent`` of a caller in the form that is stored; '' if it is none."""
    found = read_trace(text.strip())
    return "" if found is None else str(found)
