"""The hub's own row: what is fixed for its whole life. Today that is the number of its partitions.

Which queue an instance's messages go to, and which shard of the catalogue and of the timers its rows are in, follows
from that number. A host with another one would look elsewhere: it would list a part of the instances, and never receive
what was sent to the others.
"""

from __future__ import annotations

from ..errors import ConfigurationError, NewerFormatError, RowExistsError, RowNotFoundError
from ..storage.ports import Row, Table
from .keys import FORMAT

PARTITION = KEY = "hub"
"""Of the catalogue's table, whose other partitions are numbers."""


class HubRow:
    """The row of one hub, and what a host of it has to agree with."""

    def __init__(self, catalog: Table, hub: str, partitions: int) -> None:
        self._catalog, self._hub, self._partitions = catalog, hub, partitions

    async def settle(self) -> None:
        """Write the row of a new hub. ConfigurationError if there is one that this host does not agree with."""
        while (row := await self._catalog.get(PARTITION, KEY)) is None:
            try:
                await self._catalog.insert(PARTITION, KEY, {"fmt": FORMAT, "partitions": self._partitions})
            except RowExistsError:
                continue  # another host was faster, or the answer to our own try was lost
            return
        self._compare(row)

    async def check(self) -> None:
        """The same for who only reads: a hub that has no row, or no tables yet, agrees with everything."""
        try:
            row = await self._catalog.get(PARTITION, KEY)
        except RowNotFoundError:
            return
        if row is not None:
            self._compare(row)

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
