"""Heartbeat rows: the latest progress details of a running activity, for the attempt that follows a crash.

One row per call, written by the host that runs an attempt and read by the host that runs the next attempt; no decision
depends on it. The row is deleted when the call has succeeded, and at the latest with the execution.
"""

from __future__ import annotations

from contextlib import suppress

from ..errors import RowExistsError, RowNotFoundError
from ..models import JSON
from ..storage.ports import Table
from .keys import heartbeat_key
from .payloads import Payloads


class Heartbeats:
    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    async def read(self, instance_id: str, execution_id: str, generation: int, task_id: int) -> JSON:
        """The last details; None if there are none."""
        row = await self._table.get(instance_id, heartbeat_key(execution_id, generation, task_id))
        return None if row is None else await self._payloads.load(instance_id, row.props["details"])

    async def write(self, instance_id: str, execution_id: str, generation: int, task_id: int, details: JSON) -> None:
        """Keep these details; the last writer wins."""
        key = heartbeat_key(execution_id, generation, task_id)
        props = {"details": await self._payloads.store(instance_id, execution_id, details)}
        try:
            await self._table.replace(instance_id, key, props)
        except RowNotFoundError:
            with suppress(RowExistsError):  # another attempt of the same call was faster: its details serve as well
                await self._table.insert(instance_id, key, props)

    async def drop(self, instance_id: str, execution_id: str, generation: int, task_id: int) -> None:
        """Delete the details of a call that has succeeded."""
        with suppress(RowNotFoundError):
            await self._table.delete(instance_id, heartbeat_key(execution_id, generation, task_id))
