"""Rows of the hosts of a hub: which processes serve it, and when each was seen last.

They are in a partition of the catalogue's table that no shard has. A process that is killed leaves its row as it was
seen last; rows that were not written for a day are deleted by the next host that starts.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime

from ..errors import RowExistsError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..storage.ports import Row, Table, Value
from .payloads import dumps
from .times import from_iso, iso

PARTITION = "hosts"
MAX_HOSTS = 1000  # rows that are read; more hosts than Azure gives to an app


@dataclass(frozen=True, slots=True, kw_only=True)
class HostRow:
    """A process that serves the hub.

    id: of the process, 8 characters. name: of its machine. pid: its number there. build: of the app. version: of
        durable_core.
    queues: what it serves: ``control``, ``work``, ``work:NAME`` for the activities with ``queue=NAME``.
    started, seen, stopped: in UTC; stopped is None if it has not said that it stops.
    in_flight: messages that it handled when it was seen. warm: instances in its memory then.
    """

    id: str
    name: str
    pid: int
    build: str
    version: str
    queues: tuple[str, ...]
    started: datetime
    seen: datetime
    stopped: datetime | None = None
    in_flight: int = 0
    warm: int = 0

    def props(self) -> Mapping[str, Value]:
        props: dict[str, Value] = {
            "name": self.name,
            "pid": self.pid,
            "build": self.build,
            "version": self.version,
            "queues": dumps(list(self.queues)),
            "started": iso(self.started),
            "seen": iso(self.seen),
            "flight": self.in_flight,
            "warm": self.warm,
        }
        if self.stopped is not None:
            props["stopped"] = iso(self.stopped)
        return props

    @classmethod
    def of(cls, row: Row) -> HostRow:
        props = row.props
        stopped = props.get("stopped")
        return cls(
            id=row.key,
            name=str(props["name"]),
            pid=int(str(props["pid"])),
            build=str(props["build"]),
            version=str(props["version"]),
            queues=tuple(json.loads(str(props["queues"]))),
            started=from_iso(str(props["started"])),
            seen=from_iso(str(props["seen"])),
            stopped=None if stopped is None else from_iso(str(stopped)),
            in_flight=int(str(props["flight"])),
            warm=int(str(props["warm"])),
        )


class Hosts:
    """The hosts of one hub."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def write(self, host: HostRow, *, is_new: bool) -> None:
        """Write the row of a host. ``is_new``: it has probably none yet."""
        for _ in range(3):  # the row may come and go between two of these
            try:
                if is_new:
                    await self._table.insert(PARTITION, host.id, host.props())
                else:
                    await self._table.replace(PARTITION, host.id, host.props())
            except (RowExistsError, RowNotFoundError):
                is_new = not is_new
            else:
                return

    async def read(self) -> list[HostRow]:
        """The hosts, that seen last first. Rows that this version cannot read are left out."""
        found = await self._table.read_range(PARTITION, limit=MAX_HOSTS)
        hosts: list[HostRow] = []
        for row in found.rows:
            with suppress(LookupError, TypeError, ValueError):
                hosts.append(HostRow.of(row))
        return sorted(hosts, key=lambda host: host.seen, reverse=True)

    async def delete(self, host: HostRow) -> None:
        with suppress(RowNotFoundError):  # another host deletes the same row
            await self._table.delete(PARTITION, host.id)
