"""Inbox rows: external events, management requests, and results saved from poisoned messages.

A row is written before its sender gets an answer, with the execution id read at the door: a row of another execution
is ignored and deleted. Rows are consumed in the order of the service's timestamps, then of their keys, so that a
sender who awaits each answer is served in order. The commit that records a row deletes it in the same transaction:
a row that is there has not been consumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ..errors import RowNotFoundError
from ..storage.ports import Insert, Row, Table, Value

INBOX_PROPS = ("kind", "name", "data", "for")


class InboxKind(StrEnum):
    EVENT = "event"
    TERMINATE = "terminate"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESULTS = "results"  # data: the body of a control message that could not be delivered


@dataclass(frozen=True, slots=True)
class InboxRow:
    """``name``: the event's name, or the reason of a request. ``data`` is a stored value."""

    key: str
    kind: InboxKind
    execution_id: str
    name: str
    data: Value
    timestamp: datetime

    @classmethod
    def from_row(cls, row: Row) -> InboxRow:
        props = row.props
        return cls(
            row.key,
            InboxKind(str(props["kind"])),
            str(props["for"]),
            str(props["name"]),
            props.get("data", "null"),
            row.timestamp,
        )

    @property
    def order(self) -> tuple[datetime, str]:
        return self.timestamp, self.key


def inbox_props(execution_id: str, kind: InboxKind, name: str, data: Value) -> dict[str, Value]:
    return {"kind": kind.value, "name": name, "data": data, "for": execution_id}


class Inbox:
    """Writes and collects inbox rows."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def put(
        self, instance_id: str, execution_id: str, key: str, kind: InboxKind, name: str, data: Value = "null"
    ) -> None:
        """``key`` is ``i`` and a ULID. RowExistsError if that key is there: the same request, written before."""
        await self._table.insert(instance_id, key, inbox_props(execution_id, kind, name, data))

    async def put_once(
        self, instance_id: str, execution_id: str, key: str, name: str, data: Value, marker: str, attempt: str
    ) -> None:
        """An event, and a row ``marker`` that stays when it is consumed; RowExistsError if there is such a row."""
        event = inbox_props(execution_id, InboxKind.EVENT, name, data)
        await self._table.transact(instance_id, [Insert(marker, {"by": attempt}), Insert(key, event)])

    async def marked_by(self, instance_id: str, marker: str) -> str | None:
        """The attempt that wrote a marker row."""
        row = await self._table.get(instance_id, marker)
        return None if row is None else str(row.props["by"])

    async def discard(self, instance_id: str, rows: Sequence[InboxRow]) -> None:
        """Delete rows of another execution, or of an ended one."""
        for row in rows:
            try:
                await self._table.delete(instance_id, row.key)
            except RowNotFoundError:
                continue  # somebody else discards too
