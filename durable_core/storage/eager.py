"""A coroutine that is started at once, up to its first wait, and awaited later, without a task of its own.

Used where a task would only serve to start a coroutine before another one is awaited.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from functools import partial
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")


class Begun(Generic[T]):
    """Runs in the caller's task and context. To be awaited once, or closed."""

    __slots__ = ("_coroutine", "_error", "_result", "_waits_for", "is_done")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._result: T | None = None
        self._error: BaseException | None = None
        self._waits_for: object = (
            None  # what the coroutine has yielded to the event loop: a future, or None for the next iteration
        )
        self.is_done = False
        try:
            self._step(partial(coroutine.send, None))
        except BaseException as error:  # noqa: BLE001  __await__ raises it
            self.is_done, self._error = True, error

    def __await__(self) -> Generator[Any, Any, T]:
        while not self.is_done:
            try:
                yield self._waits_for
            except BaseException as error:  # noqa: BLE001  a cancellation, which the coroutine handles
                self._step(partial(self._coroutine.throw, error))
            else:
                self._step(partial(self._coroutine.send, None))
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    @property
    def has_failed(self) -> bool:
        """Whether the coroutine has raised an error, which ``await`` will raise."""
        return self._error is not None

    def close(self) -> None:
        """Close the coroutine where it waits."""
        self.is_done = True
        self._coroutine.close()

    def _step(self, go_on: Callable[[], object]) -> None:
        try:
            self._waits_for = go_on()
        except StopIteration as end:
            self.is_done, self._result = True, end.value
