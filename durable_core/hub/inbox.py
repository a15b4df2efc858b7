"""Inbox rows: external events, updates, management requests, and results saved from poisoned messages.

A row is written before its sender gets an answer, with the execution id that the sender has read: a row of another
execution is ignored and deleted. Rows are consumed in the order of the service's timestamps, then of their keys: the
events of a sender that awaits each answer keep their order. The commit that records a row deletes it in the same
transaction: a row in the inbox has not been consumed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from enum import StrEnum

from ..errors import RowNotFoundError
from ..lazy_dataclass import dataclass
from ..storage.accounts import charged_to
from ..storage.ports import Insert, Row, Table, Value
from .encoding import Encoding

RECURSIVE = '{"recursive":true}'
"""Data of a terminate or cancel request that includes sub-orchestrations. A stored value."""

INBOX_PROPS = ("kind", "name", "data", "for", "trace", "rewinds", "answer")


class InboxKind(StrEnum):
    EVENT = "event"
    UPDATE = "update"  # data: its id and its arguments, as a JSON array
    TERMINATE = "terminate"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    RESULTS = "results"  # data: the body of a control message that could not be delivered

    @property
    def is_request(self) -> bool:
        """Whether it is about the execution as its sender saw it: not after a rewind, as an event is."""
        return self in (InboxKind.TERMINATE, InboxKind.CANCEL, InboxKind.SUSPEND, InboxKind.RESUME)


_NAMED = (InboxKind.EVENT, InboxKind.UPDATE)


@dataclass(frozen=True, slots=True)
class InboxRow:
    """``name``: the name of an event or update, or the reason of a request. ``data`` is a stored value: the data of an
    event; for a terminate or cancel request, whether it includes sub-orchestrations. ``trace``: the ``traceparent`` of
    the sender, or ''. ``rewinds``: how often the execution was rewound when the sender read it. ``answer``: the key of
    the row of an update, '' for others.
    """

    key: str
    kind: InboxKind
    execution_id: str
    name: str
    data: Value
    timestamp: datetime
    trace: str = ""
    rewinds: int = 0
    answer: str = ""

    @classmethod
    def from_row(cls, row: Row, encoding: Encoding) -> InboxRow:
        """CodecError if the reason of a request cannot be decoded."""
        props = row.props
        kind, name = InboxKind(str(props["kind"])), str(props["name"])
        return cls(
            row.key,
            kind,
            str(props["for"]),
            name if kind in _NAMED else encoding.show(name),
            props.get("data", "null"),
            row.timestamp,
            str(props.get("trace", "")),
            int(str(props.get("rewinds", 0))),
            str(props.get("answer", "")),
        )

    @property
    def order(self) -> tuple[datetime, str]:
        return self.timestamp, self.key


class Inbox:
    """Writes and collects inbox rows."""

    def __init__(self, table: Table, encoding: Encoding) -> None:
        self._table = table
        self._encoding = encoding

    async def put(
        self,
        instance_id: str,
        execution_id: str,
        key: str,
        kind: InboxKind,
        name: str,
        data: Value = "null",
        rewinds: int = 0,
        *,
        trace: str = "",
    ) -> None:
        """``key`` is ``i`` and a ULID. RowExistsError if the key exists: the same request was written before."""
        await self.insert(instance_id, self.row(execution_id, key, kind, name, data, rewinds, trace=trace))

    async def insert(self, instance_id: str, row: Insert) -> None:
        """RowExistsError as above."""
        with charged_to(None):  # the instance counts it when it reads the row
            await self._table.insert(instance_id, row.key, row.props)

    def row(
        self,
        execution_id: str,
        key: str,
        kind: InboxKind,
        name: str,
        data: Value = "null",
        rewinds: int = 0,
        *,
        trace: str = "",
    ) -> Insert:
        """An inbox row to be written, perhaps together with others."""
        shown = name if kind in _NAMED else self._encoding.hide(name)  # the reason of a request
        props: dict[str, Value] = {"kind": kind.value, "name": shown, "data": data, "for": execution_id}
        if trace:
            props["trace"] = trace
        if rewinds:
            props["rewinds"] = rewinds
        return Insert(key, props)

    async def insert_once(self, instance_id: str, row: Insert, marker: str, attempt: str) -> None:
        """Insert a row, and a ``marker`` row that outlasts it. RowExistsError if the marker exists."""
        with charged_to(None):  # as above
            await self._table.transact(instance_id, [Insert(marker, {"by": attempt}), row])

    async def marked_by(self, instance_id: str, marker: str) -> str | None:
        """The attempt that wrote a marker row."""
        row = await self._table.get(instance_id, marker)
        return None if row is None else str(row.props["by"])

    async def discard(self, instance_id: str, rows: Sequence[InboxRow]) -> None:
        """Delete rows of another execution, or of an ended one. The row of an update goes first: while its request is
        in the inbox, it is discarded again."""
        for row in rows:
            for key in (row.answer, row.key):
                with suppress(RowNotFoundError):  # another host discards the same rows
                    if key:
                        await self._table.delete(instance_id, key)
