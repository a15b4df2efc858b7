"""A task hub with several host processes on it, and the log of side effects that they leave.

Hosts are killed at moments of the work, not of the clock: when the log has come to so many lines.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from durable_core import DurableClient, Registry
from durable_core.errors import StorageUnavailableError
from durable_core.models import OrchestrationStatus, RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.open import open_storage
from durable_core.testing.azurite import Azurite
from tests.support.hosts import HostProcess
from tests.support.http_client import BASE

BUSY_APP = Path(__file__).resolve().parents[1] / "e2e" / "apps" / "busy"
PATIENCE = 240.0  # seconds without any progress; a loaded machine is slow, and no test asserts a duration


@dataclass(frozen=True)
class Run:
    """One run of an activity: a line of the log."""

    event: str
    key: str
    instance_id: str
    task_id: int
    pid: int


class BusyHub:
    """Hosts on one store. roles: what each serves ("" for all). lease: seconds, of a message."""

    def __init__(
        self,
        folder: Path,
        roles: Sequence[str],
        *,
        azurite: Azurite | None = None,
        cold: bool = False,
        lease: float = 10.0,
        grace: float = 10.0,
        more_env: Mapping[str, str] | None = None,
        app: Path = BUSY_APP,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lease = lease
        self.effects = folder / "effects.jsonl"
        self.bombs = folder / "bombs"
        self.bombs.mkdir()
        self.hub = "t" + uuid.uuid4().hex[:12]
        connection = {} if azurite is None else {"": azurite.connection_string}
        self.settings = Settings(hub=self.hub, store=str(folder / "durable.db"), connection=connection)
        env = {
            "SIDE_EFFECTS": str(self.effects),
            "BOMBS": str(self.bombs),
            "DURABLE_HUB": self.hub,
            "DURABLE_MESSAGE_LEASE": str(lease),
            **(more_env or {}),
        }
        if azurite is not None:
            env["AzureWebJobsStorage"] = azurite.connection_string
        if cold:
            env["DURABLE_WARM_CACHE"] = "0"
        self.hosts = [
            HostProcess(
                folder,
                env=env,
                app=app,
                name=f"host{n}",
                options=[*(["--only", role] if role else []), "--grace", str(grace)],
            )
            for n, role in enumerate(roles)
        ]
        self.doors = [host for host, role in zip(self.hosts, roles, strict=True) if role != "work"]
        self.kills = 0

    @property
    def runs(self) -> list[Run]:
        """Every run that the log tells of, so far."""
        if not self.effects.exists():
            return []
        return [Run(*json.loads(line)) for line in self.effects.read_text().splitlines()]

    @asynccontextmanager
    async def app(self) -> AsyncGenerator[DurableApp]:
        """An app of the hub in this process, which handles no messages: for its client and its recovery."""
        storage = open_storage(self.settings)
        try:
            app = await DurableApp.open(Registry(), self.settings, storage)
            yield app
            await app.close()
        finally:
            await storage.close()

    async def count(self, queue: str) -> int:
        """Messages in a queue, hidden ones too."""
        storage = open_storage(self.settings)
        try:
            return await storage.queue(queue).count()
        finally:
            await storage.close()

    def start(self) -> None:
        for host in self.hosts:
            host.start()
        for host in self.hosts:
            host.wait_ready()

    def stop(self) -> None:
        """Kill what still runs: the test has counted already, or has failed."""
        for host in self.hosts:
            host.kill_if_alive()

    async def kill(self, host: HostProcess) -> None:
        """``kill -9``, and a new process in its place that is not waited for."""
        self.kills += 1
        await asyncio.to_thread(host.kill9)
        host.start()

    async def stand_still(self, host: HostProcess) -> None:
        """Stop the process for longer than its messages' lease, and let it go on: a laptop that sleeps, a debugger."""
        self.kills += 1
        host.stand_still()
        await asyncio.sleep(1.5 * self.lease)
        host.go_on()

    async def start_instance(self, session: aiohttp.ClientSession, name: str, instance_id: str, data: Any) -> None:
        """Accepted once, at whichever door answers: a host may be killed with the answer on its lips."""
        give_up_at = time.monotonic() + PATIENCE
        tries = 0
        while True:
            door = self.doors[tries % len(self.doors)]
            tries += 1
            try:
                path = f"{door.url}{BASE}/orchestrators/{name}/{instance_id}"
                async with session.post(path, json=data) as response:
                    if response.status == 202 or (response.status == 409 and tries > 1):
                        return
                    said = await response.text()
            except (aiohttp.ClientError, TimeoutError) as error:
                said = repr(error)
            assert time.monotonic() < give_up_at, said
            await asyncio.sleep(0.1)

    async def until_all_ended(self, client: DurableClient, *, but: int = 0) -> list[OrchestrationStatus]:
        """Those that have ended, once no more than ``but`` are open; AssertionError if nothing moves for long.

        A start that was killed between its two rows, and made again, stays in the list for a quarter of an hour as a
        second row of its id: an instance that never came to be.
        """
        last: Counter[str] = Counter()
        give_up_at = time.monotonic() + PATIENCE
        while True:
            found = await patiently(client.get_status_all)
            now = Counter(status.runtime_status.value for status in found)
            now["lines"] = len(self.runs)
            ended = [status for status in found if status.is_terminal]
            left = [status for status in found if not status.is_terminal]
            if len(left) <= but + 16 * self.kills:
                still_open = 0
                for listed in left:
                    real = await patiently(lambda name=listed.instance_id: client.get_status(name))
                    if real.execution_id == listed.execution_id and real.is_terminal:
                        ended.append(real)
                    elif real.execution_id == listed.execution_id:
                        still_open += 1
                if still_open <= but:
                    return ended
            if now != last:
                last, give_up_at = now, time.monotonic() + PATIENCE
            assert time.monotonic() < give_up_at, f"nothing moves: {now}, {[s for s in found if not s.is_terminal][:5]}"
            await asyncio.sleep(0.3)

    async def until(self, holds: Callable[[], bool]) -> None:
        """AssertionError if it does not come true while the log does not grow for long."""
        give_up_at, lines = time.monotonic() + PATIENCE, -1
        while not holds():
            if (now := len(self.runs)) != lines:
                lines, give_up_at = now, time.monotonic() + PATIENCE
            assert time.monotonic() < give_up_at, f"nothing moves after {lines} lines"
            await asyncio.sleep(0.02)


async def patiently(ask: Callable[[], Any]) -> Any:
    """Ask again while the store is away."""
    for _ in range(20):
        try:
            return await ask()
        except StorageUnavailableError:
            await asyncio.sleep(1)
    return await ask()


def completed(found: Sequence[OrchestrationStatus]) -> dict[str, OrchestrationStatus]:
    """By id, all of them completed."""
    bad = [status for status in found if status.runtime_status is not RuntimeStatus.COMPLETED]
    assert not bad, bad[:5]
    return {status.instance_id: status for status in found}
