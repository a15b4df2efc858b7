"""Streams over HTTP: server-sent events as they come, and a long poll for a server that sends whole bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

import durable_core
from durable_core import ActivityContext, DurableClient, Orchestration, OrchestrationContext, Registry
from durable_core.hosting.http_api import Endpoint, HttpApi
from durable_core.hosting.http_types import HttpRequest
from durable_core.hosting.signed_urls import CapabilitySigner, Verb

GO: dict[str, asyncio.Event] = {}


@durable_core.activity
async def speak(ctx: ActivityContext, words: list[str]) -> None:
    stream = ctx.stream("words")
    for word in words:
        if word == "wait":
            await GO.setdefault(ctx.instance_id, asyncio.Event()).wait()
        await stream.write(word)


@durable_core.orchestrator
def tell(ctx: OrchestrationContext, words: list[str]) -> Orchestration[None]:
    yield from ctx.call_activity(speak, words)


MANAGEMENT = durable_core.ManagementApi(key="secret")
SIGNER = CapabilitySigner([b"a key"])


@pytest.fixture
async def client() -> AsyncGenerator[DurableClient]:
    GO.clear()
    async with durable_core.running(
        Registry().add(tell, speak), store=":memory:", http=MANAGEMENT, grace=0.1
    ) as client:
        yield client


def api(client: DurableClient) -> HttpApi:
    return HttpApi(client, SIGNER, max_payload=1000)


def asked(query: str = "", name: str = "words", **headers: str) -> HttpRequest:
    return HttpRequest.of(
        "GET",
        f"http://here/durabletask/instances/one/streams/{name}{query}",
        route={"instanceId": "one", "streamName": name},
        headers={key.replace("_", "-"): value for key, value in headers.items()},
    )


def events_of(body: bytes) -> list[tuple[str, str, Any]]:
    found: list[tuple[str, str, Any]] = []
    for block in body.decode().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line[1:])
        if "data" in fields:
            found.append((fields.get("event", ""), fields["id"], json.loads(fields["data"])))
    return found


async def test_a_server_of_whole_bodies_gets_what_is_there_then_what_follows_then_204(client: DurableClient) -> None:
    await client.start_new(tell, "one", ["ä\n", "wait", "end"])
    first = await api(client).handle(Endpoint.STREAM, asked())
    assert first.status == 200
    assert first.headers["Content-Type"].startswith("text/event-stream")
    ((kind, offset, data),) = events_of(first.body)
    assert (kind, data) == ("", "ä\n")
    empty = await api(client).handle(Endpoint.STREAM, asked("?follow=false", last_event_id=offset))
    assert (empty.status, events_of(empty.body)) == (200, [])
    waiting = asyncio.create_task(api(client).handle(Endpoint.STREAM, asked(f"?from={offset}")))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    GO["one"].set()
    read: list[Any] = []
    answer = await waiting
    while answer.status == 200:
        events = events_of(answer.body)
        read += [data for _, _, data in events]
        answer = await api(client).handle(Endpoint.STREAM, asked(last_event_id=events[-1][1]))
    assert read == ["wait", "end", {"isComplete": True}]
    assert (answer.status, answer.body) == (204, b"")


async def test_the_url_of_a_stream_is_for_one_stream_of_one_execution(client: DurableClient) -> None:
    started = await client.start_new(tell, "one", ["to", "be"])
    await client.wait_for_completion(started, 30)
    execution = (await client.get_status("one")).execution_id

    async def read(
        method: str = "GET", *, execution_id: str = execution, verb: Verb = Verb.STREAM, end: str = ""
    ) -> Any:
        name = "words" if verb is Verb.STREAM else ""
        token = SIGNER.issue("one", verb, execution_id=execution_id, event_name=name)
        route = {"token": token, "eventName": end.partition("?")[0]}
        url = f"http://here/durabletask/c/{token}" + (f"/{end}" if end else "")
        return await api(client).handle(Endpoint.CAPABILITY, HttpRequest.of(method, url, route=route))

    answer = await read()
    assert [data for _, _, data in events_of(answer.body)] == ["to", "be", {"isComplete": True}]
    assert (await read("POST")).status == 405
    assert (await read(execution_id="x2")).status == 410
    view = await read(verb=Verb.VIEW, end="streams")
    assert view.json() == ["words"]
    assert events_of((await read(verb=Verb.VIEW, end="streams?name=words")).body) == events_of(answer.body)


@pytest.mark.parametrize(
    ("query", "status"), [("?from=x", 400), ("?from=12345678.0.1", 410), ("?follow=perhaps", 400), ("?unknown=1", 400)]
)
async def test_what_is_asked_wrongly_is_refused(client: DurableClient, query: str, status: int) -> None:
    await client.start_new(tell, "one", ["to"])
    assert (await api(client).handle(Endpoint.STREAM, asked(query))).status == status


async def test_an_instance_that_is_not_there_has_no_streams(client: DurableClient) -> None:
    assert (await api(client).handle(Endpoint.STREAM, asked())).status == 404
    assert (await api(client).handle(Endpoint.STREAMS, asked())).status == 404


class Connection:
    """One request to the ASGI app, and what it has sent so far."""

    def __init__(self, path: str) -> None:
        self.sent: list[dict[str, Any]] = []
        self._news = asyncio.Event()
        self._gone = asyncio.Event()
        self._asked = False
        headers = [(b"host", b"here"), (b"x-functions-key", b"secret")]
        scope = {"type": "http", "method": "GET", "raw_path": path.encode(), "headers": headers, "query_string": b""}
        self.task = asyncio.create_task(MANAGEMENT(scope, self._receive, self._send))

    async def _receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b""}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)
        self._news.set()

    def leave(self) -> None:
        self._gone.set()

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(30):
            while not any(text in message.get("body", b"") for message in self.sent):
                self._news.clear()
                await self._news.wait()


async def test_an_asgi_server_gets_each_chunk_when_it_is_written_and_may_leave(client: DurableClient) -> None:
    await client.start_new(tell, "one", ["first", "wait", "last"])
    staying, leaving = (Connection("/durabletask/instances/one/streams/words") for _ in range(2))
    await staying.until(b"first")
    await leaving.until(b"first")
    assert not staying.task.done()
    leaving.leave()
    await leaving.task
    GO["one"].set()
    await staying.until(b"ended")
    await staying.task
    assert staying.sent[-1] == {"type": "http.response.body", "body": b""}
    assert b"content-length" not in dict(staying.sent[0]["headers"])
    assert not any(b"last" in message.get("body", b"") for message in leaving.sent)


async def test_a_program_that_ends_does_not_wait_for_readers() -> None:
    GO.clear()
    async with durable_core.running(
        Registry().add(tell, speak), store=":memory:", http=MANAGEMENT, grace=0.1
    ) as client:
        await client.start_new(tell, "one", ["first", "wait"])
        connection = Connection("/durabletask/instances/one/streams/words")
        await connection.until(b"first")
    async with asyncio.timeout(10):
        await connection.task
    assert not any(b"ended" in message.get("body", b"") for message in connection.sent)
