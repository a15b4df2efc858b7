"""The management HTTP API, as a test types it. Each call opens its own connection, so hosts may come and go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

BASE = "/api/durabletask"
DONE = frozenset({"Completed", "Failed", "Terminated", "Canceled"})
POLL = 0.1  # seconds
PATIENCE = 150.0  # seconds; a loaded machine is slow, and no test asserts a duration


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: dict[str, str]


class HttpClient:
    """One host's HTTP API, by the host's root URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(total=PATIENCE)
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._session is not None
        await self._session.close()

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        data: str | bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """``path`` below the API's base, or a whole URL. ``data`` is sent as it is, and called JSON."""
        assert self._session is not None
        url = path if path.startswith("http") else self.url + BASE + path
        body: dict[str, Any] = {} if json is None else {"json": json}
        body["headers"] = dict(headers or {})
        if data is not None:
            body["data"] = data
            body["headers"]["Content-Type"] = "application/json"
        async with self._session.request(method, url, **body) as response:
            is_json = response.content_type == "application/json"
            content = await response.json() if is_json else await response.text()
            return Answer(response.status, content, dict(response.headers))

    async def start(self, name: str, input: Any = None, instance_id: str = "") -> str:
        answer = await self.call(
            "POST", f"/orchestrators/{name}" + (f"/{instance_id}" if instance_id else ""), json=input
        )
        assert answer.status == 202, answer
        return str(answer.body["id"])

    async def status(self, instance_id: str, *, history: bool = False) -> dict[str, Any]:
        query = "?showHistory=true&showHistoryOutput=true" if history else ""
        answer = await self.call("GET", f"/instances/{instance_id}{query}")
        assert answer.status in (200, 202), answer
        return answer.body

    async def raise_event(self, instance_id: str, name: str, data: Any = None) -> None:
        answer = await self.call(
            "POST", f"/instances/{instance_id}/raiseEvent/{name}", json={} if data is None else data
        )
        assert answer.status == 202, answer

    async def wait_until(
        self,
        instance_id: str,
        holds: Callable[[dict[str, Any]], bool],
        *,
        within: float = PATIENCE,
        history: bool = False,
    ) -> dict[str, Any]:
        """The first status for which ``holds`` is true; AssertionError with the last one after ``within`` seconds."""
        give_up_at = time.monotonic() + within
        while True:
            status = await self.status(instance_id, history=history)
            if holds(status):
                return status
            assert time.monotonic() < give_up_at, f"not within {within} s: {status}"
            await asyncio.sleep(POLL)

    async def wait_done(self, instance_id: str, *, within: float = PATIENCE) -> dict[str, Any]:
        return await self.wait_until(instance_id, lambda s: s["runtimeStatus"] in DONE, within=within)

    async def output_of(self, instance_id: str, *, within: float = PATIENCE) -> Any:
        """The output of an instance that must complete."""
        status = await self.wait_done(instance_id, within=within)
        assert status["runtimeStatus"] == "Completed", status
        return status["output"]


async def eventually(holds: Callable[[], bool], *, within: float = PATIENCE) -> None:
    """Return when ``holds()`` is true; AssertionError after ``within`` seconds."""
    give_up_at = time.monotonic() + within
    while not holds():
        assert time.monotonic() < give_up_at, f"it did not come true within {within} s"
        await asyncio.sleep(0.005)
