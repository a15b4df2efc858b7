"""Streams under the local host: readers that come back, through an activity that fails and a host that is killed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.cli import run_cli
from tests.support.event_source import Sent, all_events, connection
from tests.support.hosts import PROJECT, HostProcess

APP = PROJECT / "tests" / "e2e" / "apps" / "streaming"


def put_together(events: Sequence[Sent]) -> list[Any]:
    """What a page shows that obeys the events."""
    shown: list[Any] = []
    for event in events:
        if event.kind == "restarted":
            shown.clear()
        elif not event.kind:
            shown.append(event.data)
    return shown


async def test_readers_that_come_back_everywhere_get_every_chunk_once_through_a_kill(tmp_path: Path) -> None:
    """The host is killed while the first attempt writes; its second run fails, and the attempt after that succeeds."""
    host = HostProcess(tmp_path, app=APP, env={"GATE": str(tmp_path / "gate")})
    try:
        host.start().wait_ready()
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{host.url}/api/start/one") as answer:
                url = await answer.text()
            readers = [asyncio.create_task(all_events(session, url)) for _ in range(3)]
            impatient = asyncio.create_task(_one_by_one(session, url))
            async for event in connection(session, url):
                if event.data[1] == 4:
                    break
            host.kill9()
            (tmp_path / "gate").touch()
            host.start().wait_ready()
            whole = await all_events(session, url)
            assert [event.kind for event in whole].count("restarted") == 2
            assert whole[-1].data == {"isComplete": True}
            assert [number for _, number in put_together(whole)] == list(range(20))
            assert len({run for run, _ in put_together(whole)}) == 1, "a mixture of runs"
            for reader in (*readers, impatient):
                assert await reader == whole
            for at, event in enumerate(whole[:-1]):
                assert await all_events(session, url, event.id) == whole[at + 1 :]
            assert [each async for each in connection(session, url, whole[-1].id)] == [], "204"
    finally:
        host.kill9()


async def _one_by_one(session: aiohttp.ClientSession, url: str) -> list[Sent]:
    """Connects anew for each event."""
    events: list[Sent] = []
    while not events or events[-1].kind != "ended":
        try:
            async for event in connection(session, url, events[-1].id if events else ""):
                events.append(event)
                break
        except (aiohttp.ClientError, ConnectionError):
            await asyncio.sleep(0.1)
    return events


async def test_a_plain_function_writes_and_a_host_that_stops_does_not_wait_for_readers(tmp_path: Path) -> None:
    with HostProcess(tmp_path, app=APP) as host:
        api = f"{host.url}/api/durabletask"
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{api}/orchestrators/counting_in_a_thread/one", json=30) as answer:
                assert answer.status == 202
            events = await all_events(session, f"{api}/instances/one/streams/numbers")
            assert [event.data for event in events] == [*range(30), {"isComplete": True}]
            async with session.get(f"{api}/instances/one/streams") as answer:
                assert await answer.json() == ["numbers"]
            for where in (["--url", host.url], ["--store", str(tmp_path / "durable.db")]):
                listed, shown, documents, missing = await asyncio.gather(
                    asyncio.to_thread(run_cli, "stream", "one", *where),
                    asyncio.to_thread(run_cli, "stream", "one", "numbers", *where),
                    asyncio.to_thread(
                        run_cli, "stream", "one", "numbers", "--format", "jsonl", "--from", events[28].id, *where
                    ),
                    asyncio.to_thread(run_cli, "stream", "nobody", "numbers", *where),
                )
                never = await asyncio.to_thread(run_cli, "stream", "one", "letters", *where)
                assert (never.returncode, never.stdout) == (1, "")
                assert "the stream letters was never written" in never.stderr
                assert (listed.returncode, listed.stdout) == (0, "numbers\n"), listed.stderr
                assert (shown.returncode, shown.stdout.split()) == (0, [str(number) for number in range(30)])
                assert [json.loads(line)["event"] for line in documents.stdout.splitlines()] == ["chunk", "ended"]
                assert missing.returncode == 3
            async with session.get(f"{api}/instances/one/streams/numbers?from=nothing") as answer:
                assert answer.status == 400
            async with session.get(f"{api}/instances/one/streams/numbers?from=00000000.0.1") as answer:
                assert answer.status == 410
            async with session.get(f"{api}/instances/two/streams/numbers") as answer:
                assert answer.status == 404
            async with session.post(f"{host.url}/api/start/three") as answer:
                url = await answer.text()
            async for _ in connection(session, url):
                break
            stopping = asyncio.create_task(asyncio.to_thread(host.stop))
            reading = connection(session, url)
            try:
                async for _ in reading:
                    pass
            except (aiohttp.ClientError, ConnectionError):
                pass
            assert await stopping == 0
