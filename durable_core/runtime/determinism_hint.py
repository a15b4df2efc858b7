"""Adds the likely cause to a NonDeterminismError: the linter finds where the code reads a clock or random values.

Connects engine and linter, which do not import each other.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from ..errors import NonDeterminismError

MOST = 3  # suspects that are named: the first to be put right may be all


def with_likely_cause(error: NonDeterminismError, orchestrator: Callable[..., Any]) -> NonDeterminismError:
    """The error, with the lines of this function and of its callees that read a clock or random values."""
    suspects = _suspects(orchestrator)
    if not suspects:
        return error
    return error.with_cause("the code reads a clock, random values or its environment: " + "; ".join(suspects))


@lru_cache(maxsize=256)
def _suspects(orchestrator: Callable[..., Any]) -> tuple[str, ...]:
    from ..linter import clock_and_chance_in  # only those pay for it who need it

    return tuple(str(suspect) for suspect in clock_and_chance_in(orchestrator)[:MOST])
