"""The rows of updates: each has the answer to one update, for as long as its execution is kept.

The row is inserted with the inbox row of the request, in one transaction: by it a second request with the same id is
recognised, also after a continue-as-new and after the end. The commit that answers the update writes the answer into
it. The row of an update that was refused is deleted by the sender that has read it, so a refused update leaves nothing.
A request that nobody has accepted can be withdrawn: both rows are deleted in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import PreconditionFailedError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..storage.accounts import charged_to
from ..storage.ports import Delete, Insert, Merge, Row, Table, Value
from .keys import update_key
from .payloads import Payloads

OPEN = ""
"""The kind of an update that is not answered."""


@dataclass(frozen=True, slots=True)
class UpdateRow:
    """kind: of the answer, as ``engine.updates`` has it, or ``OPEN``. by: the attempt that wrote the row. request: the
    key of the inbox row. value: as stored."""

    key: str
    kind: str
    by: str
    request: str
    value: Value
    etag: str

    @classmethod
    def of(cls, row: Row) -> UpdateRow:
        props = row.props
        return cls(
            row.key,
            str(props.get("kind", OPEN)),
            str(props.get("by", "")),
            str(props.get("request", "")),
            props.get("value", "null"),
            row.etag,
        )


class UpdateRows:
    """Reads and writes them."""

    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    async def insert(self, instance_id: str, key: str, request: Insert, attempt: str) -> None:
        """Write a new update with its request. RowExistsError: there is one with this id."""
        row = Insert(key, {"by": attempt, "request": request.key})
        with charged_to(None):  # the instance counts it when it reads the request
            await self._table.transact(instance_id, [row, request])

    async def get(self, instance_id: str, execution_id: str, update_id: str) -> UpdateRow | None:
        with charged_to(None):
            row = await self._table.get(instance_id, update_key(execution_id, update_id))
        return None if row is None else UpdateRow.of(row)

    async def value(self, instance_id: str, row: UpdateRow) -> JSON:
        return await self._payloads.load(instance_id, row.value)

    async def change(
        self, instance_id: str, execution_id: str, update_id: str, kind: str, value: JSON, *, looks: bool, inline: bool
    ) -> Insert | Merge:
        """The answer, to be written by a commit; a large one is written now. looks: whether the row may be missing.
        inline: whether the row may hold a value that is compressed."""
        stored = await self._payloads.store(instance_id, execution_id, value)
        if isinstance(stored, bytes) and not inline:
            stored = await self._payloads.put(instance_id, execution_id, stored)
        key = update_key(execution_id, update_id)
        props: dict[str, Value] = {"kind": kind, "value": stored}
        if looks and await self._table.get(instance_id, key, ["by"]) is None:
            return Insert(key, props)
        return Merge(key, props)

    async def write(self, instance_id: str, changes: Sequence[Insert | Merge]) -> None:
        """Write answers without a commit, for those that do not fit into its transaction."""
        for change in changes:
            if isinstance(change, Insert):
                await self._table.insert(instance_id, change.key, change.props)
            else:
                await self._table.merge(instance_id, change.key, change.props)

    async def forget(self, instance_id: str, row: UpdateRow) -> None:
        """Delete the row of a refused update, unless it is another one's by now."""
        with charged_to(None):
            try:
                await self._table.delete(instance_id, row.key, row.etag)
            except (RowNotFoundError, PreconditionFailedError):
                return

    async def withdraw(self, instance_id: str, row: UpdateRow) -> bool:
        """Delete an update that no turn has read. False if one has."""
        try:
            with charged_to(None):
                await self._table.transact(instance_id, [Delete(row.key, row.etag), Delete(row.request)])
        except (RowNotFoundError, PreconditionFailedError):
            return False
        return True


def request_data(update_id: str, args: JSON) -> JSON:
    """The data of the inbox row."""
    return [update_id, args]
