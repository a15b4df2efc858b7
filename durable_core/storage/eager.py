"""A coroutine that is started at once, up to its first wait, and awaited later, without a task of its own.

Used where a task would only serve to start a coroutine before another one is awaited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Runs in the caller's task and context. To be awaited once, or closed."""

    __slots__ = ("_coroutine", "_result", "_waits_for", "error", "is_done")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._result: T | None = None
        self.error: BaseException | None = None  # that the coroutine has raised, and that ``await`` will raise
        self._waits_for: Any = None  # what it has yielded to the event loop: a future, or None for the next iteration
        self.is_done = False
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as end:
            self.is_done, self._result = True, end.value
        except BaseException as error:  # noqa: BLE001  __await__ raises it
            self.is_done, self.error = True, error

    def __await__(self) -> Generator[Any, Any, T]:
        while not self.is_done:
            waits_for = self._waits_for
            go_on = self._coroutine.send
            given: Any = None
            # To yield a future that is done already would cost an iteration of the event loop.
            if not (isinstance(waits_for, asyncio.Future) and waits_for.done()):
                try:
                    yield waits_for
                except BaseException as error:  # noqa: BLE001  a cancellation, which the coroutine handles
                    go_on, given = self._coroutine.throw, error
            try:
                self._waits_for = go_on(given)
            except StopIteration as end:
                self.is_done, self._result = True, end.value
        if self.error is not None:
            raise self.error
        return self._result  # pyright: ignore[reportReturnType]  T may be None

    def close(self) -> None:
        """Close the coroutine where it waits."""
        self.is_done = True
        self._coroutine.close()
