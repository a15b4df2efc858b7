"""What a map has made of its items, for the policies under which some may have failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar, overload

from ...errors import OrchestratorCodeError, TaskFailedError
from ...lazy_dataclass import dataclass
from ..user_frames import caller

T = TypeVar("T")

UNFINISHED: Any = object()
"""In the place of the value of an item that has not succeeded."""


@dataclass(frozen=True, slots=True)
class MapItem(Generic[T]):
    """What became of one item.

    index: its place among the items, from 0. value: the result, if it has succeeded. error: why it failed, if it did.
    has_ended: False for an item that was taken and whose call had not ended, or not begun, when the map was over.
    """

    __durable_no_value__ = "an item of a map cannot be stored; pass its value, or its error.failure"

    index: int
    value: T | None
    error: TaskFailedError | None
    has_ended: bool

    @property
    def result(self) -> T:
        """The value. Raises the error of an item that has failed; OrchestratorCodeError for one that has not ended."""
        if self.error is not None:
            raise self.error.with_traceback(None)
        if not self.has_ended:
            raise OrchestratorCodeError(f"item {self.index} has no result: the map was over before it ended", caller())
        value: Any = self.value
        return value


class MapResult(Sequence[MapItem[T]]):
    """What became of the items of a map, in their order: ``for item in result``.

    It has an entry for each item that was taken from the iterable; items that were not taken have none.
    """

    __slots__ = ("_values", "errors")
    __durable_no_value__ = "the result of a map cannot be stored; pass its values"

    errors: Mapping[int, TaskFailedError]
    """The errors of the items that have failed, by their index."""

    def __init__(self, values: Sequence[Any], errors: Mapping[int, TaskFailedError]) -> None:
        self._values, self.errors = values, errors

    @property
    def values(self) -> list[T]:
        """The results of the items that have succeeded, in the order of the items."""
        return [value for value in self._values if value is not UNFINISHED]

    @property
    def succeeded(self) -> int:
        """How many items have succeeded."""
        return sum(value is not UNFINISHED for value in self._values)

    @property
    def failed(self) -> int:
        """How many items have failed."""
        return len(self.errors)

    @property
    def unfinished(self) -> int:
        """How many items were taken, and had not ended when the map was over."""
        return len(self) - self.succeeded - self.failed

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[MapItem[T]]:
        return map(self._item, range(len(self)))

    @overload
    def __getitem__(self, index: int) -> MapItem[T]: ...
    @overload
    def __getitem__(self, index: slice) -> list[MapItem[T]]: ...
    def __getitem__(self, index: int | slice) -> MapItem[T] | list[MapItem[T]]:
        if isinstance(index, slice):
            return [self._item(each) for each in range(len(self))[index]]
        return self._item(range(len(self))[index])

    def __repr__(self) -> str:
        return f"<MapResult {self.succeeded} succeeded, {self.failed} failed, {self.unfinished} unfinished>"

    def _item(self, index: int) -> MapItem[T]:
        value = self._values[index]
        has_succeeded = value is not UNFINISHED
        error = self.errors.get(index)
        return MapItem(index, value if has_succeeded else None, error, has_succeeded or error is not None)
