"""A local host as a process of its own, and a driver that speaks HTTP to it, as any client of the product would."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from yarl import URL

from tests.support.hosts import SCRUBBED, START_TIMEOUT, HostProcess

APP = Path(__file__).parent
IN_FLIGHT = 200
"""Requests that the driver has open at most."""

_LONGEST_WAIT = 200  # seconds; what the API allows
_AGAIN = 0.01  # seconds between tries while the host is being started again


class BenchmarkedHost(HostProcess):
    """A host of the benchmarks' app on the store that the environment names, on one port however often started.

    It may keep compiled code, whatever this process may: an installed package is compiled.
    """

    def __init__(self, folder: Path) -> None:
        store = {name: value for name, value in os.environ.items() if name.startswith(SCRUBBED)}
        super().__init__(folder, env={"PYTHONDONTWRITEBYTECODE": "", **store}, app=APP)

    async def wait_until_it_listens(self) -> None:
        """RuntimeError with the end of its log if it ends or takes too long."""
        give_up_at = time.monotonic() + START_TIMEOUT
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                if self.has_died or time.monotonic() > give_up_at:
                    raise RuntimeError(f"the host does not listen on port {self.port}: {self.log[-2000:]}") from None
                await asyncio.sleep(_AGAIN)
            else:
                writer.close()
                return


class Driver:
    """Starts instances of one host over HTTP, and waits for their results. ``folder``: for what a workload writes."""

    def __init__(self, host: BenchmarkedHost, session: aiohttp.ClientSession, folder: Path) -> None:
        self.host, self.folder = host, folder
        self._session = session
        self._base = URL(f"http://127.0.0.1:{host.port}/api/durabletask")
        self._coming: asyncio.Task[None] | None = None

    async def call(self, orchestrator: str, data: object) -> Any:
        """Start an instance by one request, which is answered with its output."""
        status, answer = await self._post(orchestrator, data, {"timeout": _LONGEST_WAIT}, {})
        if status != 200:
            raise RuntimeError(f"{orchestrator}: {status} {str(answer)[:300]}")
        return answer

    async def start(self, orchestrator: str, data: object, key: str) -> URL:
        """Start an instance, and return its status URI; ``key`` becomes its id.

        While nobody listens it is tried again: a start is idempotent.
        """
        headers = {"Idempotency-Key": key}
        status, answer = await self._insisting(lambda: self._post(orchestrator, data, {}, headers))
        if status != 202:
            raise RuntimeError(f"{orchestrator}: {status} {str(answer)[:300]}")
        return URL(answer["statusQueryGetUri"])

    def status_uri(self, instance_id: str) -> URL:
        """That of whatever has the id."""
        return self._base / "instances" / instance_id

    async def result(self, status_uri: URL) -> Any:
        """The output of an instance, waited for. RuntimeError if it ended in another way than by completing."""
        while True:
            status, answer = await self._insisting(lambda: self._get(status_uri, {"timeout": _LONGEST_WAIT}))
            if status == 200 and answer["runtimeStatus"] == "Completed":
                return answer["output"]
            if status != 202:
                raise RuntimeError(f"{status} {str(answer)[:300]}")

    async def raise_event(self, instance_id: str, event: str, data: object) -> None:
        """RuntimeError if it is not accepted."""
        url = self._base / "instances" / instance_id / "raiseEvent" / event
        async with self._session.post(url, json=data) as answer:
            if answer.status != 202:
                raise RuntimeError(f"{event} to '{instance_id}': {answer.status} {(await answer.text())[:300]}")

    async def _insisting(self, ask: Callable[[], Awaitable[tuple[int, Any]]]) -> tuple[int, Any]:
        while True:
            try:
                return await ask()
            except (
                aiohttp.ClientConnectionError,
                aiohttp.ClientPayloadError,
            ):  # it was killed before or while it answered
                await self._until_it_listens()

    async def _until_it_listens(self) -> None:
        """One look for all that wait, so that they leave the processors to the host that starts."""
        if self._coming is None or self._coming.done():
            self._coming = asyncio.create_task(self.host.wait_until_it_listens())
        await asyncio.shield(self._coming)

    async def _get(self, url: URL, query: dict[str, int]) -> tuple[int, Any]:
        async with self._session.get(url % query) as response:
            return response.status, await response.json(content_type=None)

    async def _post(
        self, orchestrator: str, data: object, query: dict[str, int], headers: dict[str, str]
    ) -> tuple[int, Any]:
        url = self._base / "orchestrators" / orchestrator % query
        async with self._session.post(url, json=data, headers=headers) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def running_host_process(folder: Path) -> AsyncGenerator[Driver]:
    """A host process that serves, and its driver. The host's log lies in ``folder``."""
    host = BenchmarkedHost(folder)
    host.start()
    try:
        await host.wait_until_it_listens()
        connector, timeout = aiohttp.TCPConnector(limit=IN_FLIGHT), aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            yield Driver(host, session, folder)
    finally:
        host.kill_if_alive() if host.has_died else host.stop(signal.SIGTERM)
