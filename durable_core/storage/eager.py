"""A coroutine that has been begun, up to where it first waits, and is awaited later: without a task of its own.

For one that would otherwise need a task only to be begun before another is awaited.
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
        self._waits_for: object = None  # what it asks the event loop for: a future, or None for its next turn
        self.is_done = False
        try:
            self._step(partial(coroutine.send, None))
        except BaseException as error:  # noqa: BLE001  it is raised to whoever awaits this
            self.is_done, self._error = True, error

    def __await__(self) -> Generator[Any, Any, T]:
        while not self.is_done:
            try:
                yield self._waits_for
            except BaseException as error:  # noqa: BLE001  a cancellation: it is the coroutine's to deal with
                self._step(partial(self._coroutine.throw, error))
            else:
                self._step(partial(self._coroutine.send, None))
        if self._error is not None:
            raise self._error
        return cast("T", self._result)

    @property
    def has_failed(self) -> bool:
        """Whether it raised, and will raise that to whoever awaits it."""
        return self._error is not None

    def close(self) -> None:
        """Give it up where it stands."""
        self.is_done = True
        self._coroutine.close()

    def _step(self, go_on: Callable[[], object]) -> None:
        try:
            self._waits_for = go_on()
        except StopIteration as end:
            self.is_done, self._result = True, end.value
