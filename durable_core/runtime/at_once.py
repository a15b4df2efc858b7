"""Runs coroutines, some at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

PARALLEL = 16


async def run_some_at_once(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all, 16 at a time. The first error is raised after all have ended."""
    todo = list(work)
    if len(todo) == 1:
        await todo[0]
        return
    errors: list[BaseException] = []
    try:
        for at in range(0, len(todo), PARALLEL):
            done = await asyncio.gather(*todo[at : at + PARALLEL], return_exceptions=True)
            errors.extend(error for error in done if error is not None)
    finally:
        for each in todo:
            each.close()  # coroutines that have not begun when this one is cancelled
    if errors:
        raise errors[0]
