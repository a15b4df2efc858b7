"""Heartbeat rows: the latest progress details of a running activity, for the attempt that follows a crash.

One row per call, written by the host that runs an attempt and read by the host that runs the next attempt; no decision
depends on it. The row is deleted when the call has succeeded, and at the latest with the execution.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from ..errors import RowExistsError, RowNotFoundError
from ..lazy_dataclass import dataclass
from ..models import JSON
from ..storage.ports import Row, Table, Value
from .keys import after_prefix, heartbeat_key, heartbeat_prefix
from .payloads import Payloads
from .times import from_iso, iso


@dataclass(frozen=True, slots=True)
class RunningAttempt:
    """An attempt that has reported progress. started: by the clock of its host. host: the id of the host process."""

    number: int
    started: datetime
    host: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The last progress report of an attempt. details: what it reported. at: when the store took it."""

    attempt: RunningAttempt
    details: JSON
    at: datetime


class Heartbeats:
    def __init__(self, table: Table, payloads: Payloads) -> None:
        self._table = table
        self._payloads = payloads

    async def read(self, instance_id: str, execution_id: str, generation: int, task_id: int) -> JSON:
        """The last details; None if there are none."""
        row = await self._table.get(instance_id, heartbeat_key(execution_id, generation, task_id))
        return None if row is None else await self._payloads.load(instance_id, row.props["details"])

    async def last(self, instance_id: str, execution_id: str, generation: int, task_id: int) -> Heartbeat | None:
        """The last report of a call; None if there is none, or one of an older release.

        CodecError, PayloadGoneError.
        """
        row = await self._table.get(instance_id, heartbeat_key(execution_id, generation, task_id))
        if row is None or (attempt := _attempt_in(row)) is None:
            return None
        return Heartbeat(attempt, await self._payloads.load(instance_id, row.props["details"]), row.timestamp)

    async def running(self, instance_id: str, execution_id: str, generation: int) -> dict[int, RunningAttempt]:
        """The attempts that have reported progress, by task id: of open calls, the attempt that runs or has failed."""
        prefix = heartbeat_prefix(execution_id, generation)
        select = ["attempt", "started", "host"]
        found = await self._table.read_range(instance_id, prefix, after_prefix(prefix), select=select)
        attempts: dict[int, RunningAttempt] = {}
        for row in found.rows:
            if (attempt := _attempt_in(row)) is not None:
                attempts[int(row.key[len(prefix) :])] = attempt
        return attempts

    async def write(
        self,
        instance_id: str,
        execution_id: str,
        generation: int,
        task_id: int,
        details: JSON,
        running: RunningAttempt,
    ) -> None:
        """Keep these details, of this attempt; the last writer wins."""
        key = heartbeat_key(execution_id, generation, task_id)
        props: dict[str, Value] = {
            "details": await self._payloads.store(instance_id, execution_id, details),
            "attempt": running.number,
            "started": iso(running.started),
            "host": running.host,
        }
        try:
            await self._table.replace(instance_id, key, props)
        except RowNotFoundError:
            with suppress(RowExistsError):  # another attempt of the same call was faster: its details serve as well
                await self._table.insert(instance_id, key, props)

    async def drop(self, instance_id: str, execution_id: str, generation: int, task_id: int) -> None:
        """Delete the details of a call that has succeeded."""
        with suppress(RowNotFoundError):
            await self._table.delete(instance_id, heartbeat_key(execution_id, generation, task_id))


def _attempt_in(row: Row) -> RunningAttempt | None:
    """The attempt of a row; None if an older release wrote it."""
    attempt, started = row.props.get("attempt"), row.props.get("started")
    if not isinstance(attempt, int) or not isinstance(started, str):
        return None
    return RunningAttempt(attempt, from_iso(started), str(row.props.get("host")))
