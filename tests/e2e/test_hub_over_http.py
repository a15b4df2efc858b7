"""The hub over HTTP, of two real hosts on one store: who serves it, what is open and ended, what waits, what is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient


async def shows(client: HttpClient, holds: Callable[[dict[str, Any]], bool], within: float = 60) -> dict[str, Any]:
    """The first overview for which ``holds`` is true."""
    give_up_at = time.monotonic() + within
    while True:
        hub: dict[str, Any] = (await client.call("GET", "/hub")).body
        if holds(hub):
            return hub
        assert time.monotonic() < give_up_at, hub
        await asyncio.sleep(0.2)


async def test_the_hub_shows_its_hosts_its_instances_its_queues_and_its_timers(
    two_hosts: tuple[HostProcess, HostProcess],
) -> None:
    left, right = two_hosts
    async with HttpClient(left.url) as client:
        await client.start("approval", {"request": {"days": 3}, "deadline_seconds": 7200}, "waits")
        await client.start("approval", {"request": {"days": 3}, "deadline_seconds": 7200}, "ends")
        await client.wait_until("ends", lambda status: bool(status.get("waits")))
        assert (await client.call("POST", "/instances/ends/terminate?reason=enough")).status == 202
        await client.wait_done("ends")
        status = await client.wait_until("waits", lambda status: bool(status.get("waits")))
        assert {wait["kind"] for wait in status["waits"]} >= {"event", "timer"}
        hub = await shows(
            client, lambda hub: len(hub["hosts"]) == 2 and hub["counts"] == {"Running": 1, "Terminated": 1}
        )
        assert {host["pid"] for host in hub["hosts"]} == {left.pid, right.pid}
        assert all(host["isAlive"] and host["queues"] == ["control", "work"] for host in hub["hosts"])
        assert {queue["kind"] for queue in hub["queues"]} == {"control", "work", "poison"}
        assert hub["isComplete"] is True
        async with asyncio.timeout(60):  # it is written after the commit that shows it
            timers = await client.call("GET", "/timers")
            while "waits" not in [timer["instanceId"] for timer in timers.body]:
                await asyncio.sleep(0.1)
                timers = await client.call("GET", "/timers")
        ended = (await client.call("GET", "/instances?order=ended&showDetails=false")).body
        assert [status["instanceId"] for status in ended] == ["ends"]
        assert ended[0]["endedTime"]
        since = ended[0]["endedTime"]
        lately = await client.call("GET", f"/instances?runtimeStatus=Terminated,Failed&endedFrom={since}")
        assert [status["instanceId"] for status in lately.body] == ["ends"]
        assert right.stop() == 0
        hub = await shows(client, lambda hub: [host["isAlive"] for host in hub["hosts"]].count(True) == 1)
        (stopped,) = [host for host in hub["hosts"] if not host["isAlive"]]
        assert stopped["pid"] != left.pid
        assert stopped["stoppedTime"]
