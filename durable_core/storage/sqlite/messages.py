"""Queue messages in SQLite.

Owns visibility, receipts and dequeue counts. Every function here runs inside a ``Session``'s transaction. A message's
time is the store's clock; a receipt is a number that is never given twice.
"""

from __future__ import annotations

from ...errors import LeaseLostError, QueueNotFoundError
from ..ports import OldestMessage, QueueMessage
from .rows import time_of
from .session import Session

_Found = tuple[int, int, int, str]


class Messages:
    """The messages of one queue, in one transaction. ``QueueNotFoundError`` if it was never created."""

    __slots__ = ("_con", "_queue", "_session")

    def __init__(self, session: Session, queue: str) -> None:
        found = session.containers.get(("queue", queue)) or session.container("queue", queue)
        if found is None:
            raise QueueNotFoundError(f"there is no queue '{queue}'; create it first")
        self._session, self._con, self._queue = session, session.con, found

    def send(self, body: str, delay: float) -> None:
        self._con.execute(
            "INSERT INTO message VALUES (?, ?, ?, 0, 0, ?, ?)",
            (self._session.next_number(), self._queue, self._session.after(delay), self._session.now, body),
        )

    def nothing_to_receive(self) -> list[QueueMessage] | None:
        """The answer of a receive that finds nothing visible; None if there is something, or may be after a write."""
        return None if self._visible(1) or self._session.is_set_back else []

    def receive(self, max_messages: int, lease: float) -> list[QueueMessage]:
        receipt = self._session.next_number()  # first: it sees a clock that was set back
        found = self._visible(max_messages)
        if not found:
            return []
        until = self._session.after(lease)
        self._con.executemany(
            "UPDATE message SET visible_at = ?, receipt = ?, dequeues = dequeues + 1 WHERE id = ?",
            [(until, receipt, number) for number, *_ in found],
        )
        return [
            QueueMessage(str(number), body, str(receipt), dequeues + 1, time_of(inserted_at))
            for number, dequeues, inserted_at, body in found
        ]

    def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        receipt = self._session.next_number()
        changed = self._con.execute(
            "UPDATE message SET visible_at = ?, receipt = ? WHERE id = ? AND queue = ? AND receipt = ?",
            (self._session.after(lease), receipt, *self._show(message)),
        )
        if changed.rowcount == 0:
            raise self._lost(message)
        return QueueMessage(message.id, message.body, str(receipt), message.dequeue_count, message.inserted_at)

    def delete(self, message: QueueMessage) -> None:
        changed = self._con.execute(
            "DELETE FROM message WHERE id = ? AND queue = ? AND receipt = ?", self._show(message)
        )
        if changed.rowcount == 0:
            raise self._lost(message)

    def count(self) -> int:
        return int(self._con.execute("SELECT count(*) FROM message WHERE queue = ?", (self._queue,)).fetchone()[0])

    def oldest(self) -> OldestMessage | None:
        found = self._visible(1)
        return None if not found else OldestMessage(time_of(found[0][2]), found[0][1])

    def clear(self) -> None:
        self._con.execute("DELETE FROM message WHERE queue = ?", (self._queue,))

    def free_leases(self) -> None:
        """Make received and hidden messages visible, and take the receipts of their dead receivers back."""
        self._con.execute(
            "UPDATE message SET visible_at = ?, receipt = ? WHERE queue = ? AND dequeues > 0 AND visible_at > ?",
            (self._session.now, self._session.next_number(), self._queue, self._session.now),
        )

    def _visible(self, limit: int) -> list[_Found]:
        return self._con.execute(
            "SELECT id, dequeues, inserted_at, body FROM message WHERE queue = ? AND visible_at <= ? "
            "ORDER BY visible_at, id LIMIT ?",
            (self._queue, self._session.now, limit),
        ).fetchall()

    def _show(self, message: QueueMessage) -> tuple[str, int, str]:
        # SQLite converts the texts to the columns' integers; a text that is no number matches nothing.
        return message.id, self._queue, message.receipt

    def _lost(self, message: QueueMessage) -> LeaseLostError:
        return LeaseLostError(f"message {message.id} was deleted, or another receiver holds its lease")
