"""A coroutine that has been begun, up to where it first waits, and is awaited later: without a task of its own.

For one that would otherwise need a task only to be begun before another is awaited.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Begun(Generic[T]):
    """Runs in the caller's task and context. To be awaited once, or closed."""

    __slots__ = ("_coroutine", "_error", "_result", "_waits_for")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._error: BaseException | None = None
        self._result: T | None = None
        self._waits_for: object = None  # what it has yielded to the event loop: a future
        try:
            self._waits_for = coroutine.send(None)
        except StopIteration as end:
            self._result = end.value
        except BaseException as error:  # noqa: BLE001  it is raised to whoever awaits this
            self._error = error

    @property
    def is_done(self) -> bool:
        return self._waits_for is None

    def __await__(self) -> Generator[Any, Any, T]:
        if self._error is not None:
            raise self._error
        while self._waits_for is not None:
            try:
                try:
                    yield self._waits_for
                except BaseException as error:  # noqa: BLE001  a cancellation: it is the coroutine's to deal with
                    self._waits_for = self._coroutine.throw(error)
                else:
                    self._waits_for = self._coroutine.send(None)
            except StopIteration as end:
                self._result, self._waits_for = end.value, None
        return self._result  # pyright: ignore[reportReturnType]  T may be None

    def close(self) -> None:
        """Give it up where it stands."""
        self._waits_for = None
        self._coroutine.close()
