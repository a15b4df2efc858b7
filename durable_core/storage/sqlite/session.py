"""One transaction on the embedded store: its connection, its counter, its clock, and the numbers of its containers."""

from __future__ import annotations

import sqlite3


def micros(seconds: float) -> int:
    """A time as the store keeps it: whole microseconds since 1970."""
    return round(seconds * 1_000_000)


SET_BACK = 1_000_000
"""Microseconds. A clock that is this far behind the latest write has been set back."""


class Session:
    """One transaction on the store: its connection, its counter and its clock. Lives no longer than the transaction.

    containers: the numbers of the tables and queues that are known so far; see ``container``.
    """

    __slots__ = ("_clock", "_counter", "_read", "_seconds", "_seen", "con", "containers", "now")

    def __init__(self, con: sqlite3.Connection, seconds: float, containers: dict[tuple[str, str], int]) -> None:
        self.con = con
        self.now = round(seconds * 1_000_000)  # as ``micros``
        self._seconds = seconds
        self.containers = containers
        self._counter, self._clock, self._seen = 0, 0, 0
        self._read = False

    def next_number(self) -> int:
        """A number that the store has never given before and never gives again."""
        if not self._read:
            self._load()
        self._counter += 1
        return self._counter

    def next_stamp(self) -> int:
        """The time of a write, in microseconds: the clock's, but always later than every stamp before it."""
        if not self._read:
            self._load()
        self._clock = max(self.now, self._clock + 1)
        return self._clock

    def after(self, seconds: float) -> int:
        """The time that long from now. Adds as a caller's clock would, so that a clock turned to it is there."""
        return micros(self._seconds + seconds)

    @property
    def is_set_back(self) -> bool:
        """Whether the clock has been set back since the latest write: a write puts that right."""
        (seen,) = self.con.execute("SELECT seen FROM store").fetchone()
        return seen - self.now > SET_BACK

    def save(self) -> None:
        """Write counter and clock if they moved. Once, before the commit."""
        if self._read:
            self.con.execute(
                "UPDATE store SET counter = ?, clock = ?, seen = ?", (self._counter, self._clock, self._seen)
            )

    def container(self, kind: str, name: str) -> int | None:
        """The number of a table or queue, or None if it was never created."""
        found = self.containers.get((kind, name))
        if found is None:
            row = self.con.execute("SELECT id FROM container WHERE kind = ? AND name = ?", (kind, name)).fetchone()
            if row is not None:
                found = self.containers[kind, name] = int(row[0])
        return found

    def _load(self) -> None:
        self._counter, self._clock, seen = self.con.execute("SELECT counter, clock, seen FROM store").fetchone()
        self._read = True
        if (step := seen - self.now) > SET_BACK:
            # The machine's clock was set back, perhaps while no process ran. Hidden messages become visible after
            # their remaining time, not when the clock reaches the old time again.
            self.con.execute("UPDATE message SET visible_at = visible_at - ? WHERE visible_at > ?", (step, self.now))
            seen = self.now
        self._seen = max(seen, self.now)
