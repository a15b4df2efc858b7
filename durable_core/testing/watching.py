"""A storage that tells of every write to one table once it is done, whether or not its answer arrives anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from ..storage.around import AroundStorage, AroundTable, Call, TableCall
from ..storage.ports import Operation, Storage, Table

T = TypeVar("T")

Wrote = Callable[[str, Sequence[Operation]], None]


class _WatchedTable(AroundTable):
    def __init__(self, inner: Table, wrote: Wrote) -> None:
        super().__init__(inner)
        self._wrote = wrote

    async def _around(self, call: Call[T]) -> T:
        what = TableCall.of(call)
        result = await call()
        if not what.is_read:
            self._wrote(what.partition, what.operations)
        return result


class WatchedStorage(AroundStorage):
    """``wrote`` is called with the partition and what was done to it, of the table of this name."""

    def __init__(self, inner: Storage, table: str, wrote: Wrote) -> None:
        super().__init__(inner)
        self._watched = table
        self._wrote = wrote

    def table(self, name: str) -> Table:
        table = self._inner.table(name)
        return _WatchedTable(table, self._wrote) if name == self._watched else table
