"""The row of the task hub itself: its settings that cannot change, which is the number of its partitions.

That number determines the queue of an instance's messages, and the shard of its catalogue and timer rows. A host with
another number would list only some of the instances, and never receive the messages of the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

from ..errors import ConfigurationError, NewerFormatError, RowExistsError, RowNotFoundError
from ..storage.ports import Row, Table
from .keys import FORMAT

PARTITION = KEY = "hub"
"""Partition of the row in the catalogue's table, whose other partitions are numbers."""


_ALL, _SINCE_THEN = "all", "since this row was written"
_ALWAYS, _NEVER = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)


class HubRow:
    """The row of one task hub; every host checks its settings against it."""

    def __init__(self, catalog: Table, hub: str, partitions: int) -> None:
        self._catalog, self._hub, self._partitions = catalog, hub, partitions
        self.schedules = ""
        """What the row said, when it was read last, of the schedules that the code of a host declares."""

    async def settle(self, before: Callable[[], Awaitable[None]]) -> None:
        """Write the row of a new hub, after a call of ``before``. ConfigurationError if the hub has a row with other
        settings than this host."""
        while (row := await self._catalog.get(PARTITION, KEY)) is None:
            await before()
            try:
                props = {"fmt": FORMAT, "partitions": self._partitions, "ends": _ALL}
                await self._catalog.insert(PARTITION, KEY, props)
            except RowExistsError:
                continue  # another host, or our own earlier try, has written it
            return
        self._compare(row)
        self.schedules = str(row.props.get("schedules", ""))
        if "ends" not in row.props:
            await self._catalog.merge(PARTITION, KEY, {"ends": _SINCE_THEN})

    async def note_schedules(self, mark: str) -> None:
        """Remember of which schedules the hub has those that a host's code declares."""
        await self._catalog.merge(PARTITION, KEY, {"schedules": mark})
        self.schedules = mark

    async def ends_known_since(self) -> datetime:
        """From when on every Failed, Terminated and Canceled instance has a catalogue row by the time of its end: for a
        hub that an older version made, from a day after a host of this version opened it first, since hosts of the
        older version may have run beside it."""
        row = await self._catalog.get(PARTITION, KEY)
        if row is None or "ends" not in row.props:
            return _NEVER
        return _ALWAYS if row.props["ends"] == _ALL else row.timestamp + timedelta(days=1)

    async def check(self) -> bool:
        """The same check without a write. Returns whether the hub has a row: each host writes it at its start."""
        try:
            row = await self._catalog.get(PARTITION, KEY)
        except RowNotFoundError:
            return False
        if row is None:
            return False
        self._compare(row)
        return True

    def _compare(self, row: Row) -> None:
        form, partitions = row.props.get("fmt"), row.props.get("partitions")
        if not isinstance(form, int) or form > FORMAT:
            raise NewerFormatError(f"task hub '{self._hub}' has storage format {form}; this version reads {FORMAT}")
        if partitions != self._partitions:
            raise ConfigurationError(
                f"task hub '{self._hub}' was created with partitions={partitions}, which cannot be changed, and "
                f"DURABLE_PARTITIONS is {self._partitions}: most of the hub's instances would not be found. "
                f"Set DURABLE_PARTITIONS={partitions}; for another number create a new task hub (DURABLE_HUB)"
            )
