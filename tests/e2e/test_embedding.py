"""A task hub inside another program: a web application, killed while it works, and a plain asyncio program."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest

import durable_core
from durable_core import Orchestration, OrchestrationContext, Registry, RuntimeStatus, activity, orchestrator, schedule
from durable_core.errors import ConfigurationError, StorageError
from durable_core.settings import Settings
from durable_core.testing.azurite import Azurite

ROOT = Path(__file__).resolve().parents[2]
KEY = {"x-functions-key": "change-me"}
PATIENCE = 150.0


@activity
async def greet(name: str) -> str:
    return f"hello {name}"


@activity
async def wait_for_file(path: str) -> str:
    while not os.path.exists(path):  # noqa: ASYNC110, ASYNC240  nothing tells of a file that another process makes
        await asyncio.sleep(0.05)
    return "there"


@activity(inline=False)
def fails(_: None) -> None:
    raise ValueError("no")


@orchestrator
def greeting(ctx: OrchestrationContext, name: str) -> Orchestration[list[str]]:
    first = yield from ctx.call_activity(greet, name)
    both = yield from ctx.task_all([ctx.call_activity(greet, str(n)) for n in range(5)])
    return [first, *both]


@orchestrator
def waiting(ctx: OrchestrationContext, path: str) -> Orchestration[str]:
    return (yield from ctx.call_activity(wait_for_file, path))


@orchestrator
def failing(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(fails, None)


REGISTRY = Registry().add(greet, wait_for_file, fails, greeting, waiting, failing)


async def test_a_program_runs_orchestrators_and_the_next_one_finds_them(tmp_path: Path) -> None:
    store, file = tmp_path / "hub.db", tmp_path / "file"
    async with durable_core.running(REGISTRY, store=store, grace=0.1) as client:
        done = await client.start_new(greeting, client_input="you")
        status = await client.wait_for_completion(done, PATIENCE)
        assert status.output == ["hello you", *(f"hello {n}" for n in range(5))]
        failed = await client.wait_for_completion(await client.start_new(failing), PATIENCE)
        assert failed.runtime_status is RuntimeStatus.FAILED
        open_one = await client.start_new(waiting, client_input=str(file))
        await asyncio.sleep(0.3)  # the activity is under way, and outlives its grace time
    file.touch()
    async with durable_core.running(REGISTRY, store=store) as client:
        assert (await client.wait_for_completion(open_one, PATIENCE)).output == "there"
        assert (await client.get_status(done)).output == status.output


async def test_what_the_code_declares_is_started_by_the_clock_of_a_real_host(tmp_path: Path) -> None:
    @schedule(id="often", every=timedelta(seconds=1), input="you")
    @orchestrator(name="greeting")
    def often(ctx: OrchestrationContext, name: str) -> Orchestration[str]:
        return (yield from ctx.call_activity(greet, name))

    registry = Registry().add(often, greet)
    async with durable_core.running(registry, store=tmp_path / "hub.db") as client:
        async with asyncio.timeout(PATIENCE):
            while not (ran := (await client.get_schedule("often")).last_instance_id):  # noqa: ASYNC110  a run of the host
                await asyncio.sleep(0.1)
        assert (await client.wait_for_completion(ran, PATIENCE)).output == "hello you"
    async with durable_core.running(REGISTRY, store=tmp_path / "hub.db") as client:  # code that declares none
        async with asyncio.timeout(PATIENCE):
            while not (found := await client.get_schedule("often")).is_paused:  # noqa: ASYNC110  as above
                await asyncio.sleep(0.1)
        assert "no longer declared" in found.pause_reason


async def test_a_store_is_served_once_in_a_process(tmp_path: Path) -> None:
    async with durable_core.running(REGISTRY, store=tmp_path / "hub.db"):
        with pytest.raises(ConfigurationError, match="already"):
            async with durable_core.running(REGISTRY, store=tmp_path / "hub.db"):
                pytest.fail("the second block began")
        async with durable_core.running(REGISTRY, store=tmp_path / "other.db") as client:
            assert (
                await client.wait_for_completion(await client.start_new(greeting, client_input="x"), PATIENCE)
            ).output


async def test_an_error_in_the_block_stops_the_hub_and_is_the_one_that_is_raised(tmp_path: Path) -> None:
    clients = list[durable_core.DurableClient]()
    with pytest.raises(ZeroDivisionError):
        async with durable_core.running(REGISTRY, store=tmp_path / "hub.db") as client:
            clients.append(client)
            raise ZeroDivisionError
    with pytest.raises(StorageError):
        await clients[0].get_status("any")


@pytest.mark.azurite
async def test_a_program_runs_orchestrators_on_azure_storage(azurite: Azurite) -> None:
    settings = Settings(hub="embedded1", connection={"": azurite.connection_string}, message_lease=30)
    async with durable_core.running(REGISTRY, settings=settings) as client:
        status = await client.wait_for_completion(await client.start_new(greeting, client_input="you"), PATIENCE)
        assert status.runtime_status is RuntimeStatus.COMPLETED


@contextmanager
def _uvicorn(folder: Path, port: int) -> Generator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "embedding:app", "--port", str(port), "--log-level", "warning"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "docs" / "examples"), str(ROOT)])},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def _answer(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> tuple[int, Any]:
    """The status and the body, once the server listens."""
    for _ in range(600):
        try:
            async with session.request(method, url, **options) as response:
                is_json = response.content_type == "application/json"
                return response.status, await response.json() if is_json else await response.text()
        except aiohttp.ClientConnectionError:
            await asyncio.sleep(0.05)
    raise TimeoutError(url)


async def _until_done(session: aiohttp.ClientSession, url: str) -> Any:
    for _ in range(600):
        _, order = await _answer(session, "GET", url)
        if order["done"]:
            return order
        await asyncio.sleep(0.1)
    raise TimeoutError(url)


async def test_a_web_application_is_killed_and_its_orders_go_on(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = cast(int, free.getsockname()[1])
    base = f"http://127.0.0.1:{port}"
    async with aiohttp.ClientSession() as session:
        with _uvicorn(tmp_path, port) as process:
            _, started = await _answer(session, "POST", f"{base}/orders/lamp")
            process.send_signal(signal.SIGKILL)
        with _uvicorn(tmp_path, port):
            order = await _until_done(session, f"{base}/orders/{started['id']}")
            assert order == {"done": True, "result": "lamp is reserved; ordered"}

            api = f"{base}/durabletask"
            assert (await _answer(session, "GET", f"{api}/instances"))[0] == 401
            status, listed = await _answer(session, "GET", f"{api}/instances", headers=KEY)
            assert status == 200 and [each["instanceId"] for each in listed] == [started["id"].partition("/")[0]]
            status, page = await _answer(session, "GET", f"{api}/ui/")
            assert status == 200 and "<html" in page
            assert (await _answer(session, "PUT", f"{api}/instances", headers=KEY))[0] == 405
            assert (await _answer(session, "GET", f"{api}/nowhere", headers=KEY))[0] == 404
            status, sent = await _answer(session, "POST", f"{api}/orchestrators/order", headers=KEY, json="desk")
            assert status == 202 and sent["statusQueryGetUri"].startswith(f"{api}/c/")
            status, _ = await _answer(session, "GET", sent["statusQueryGetUri"])
            assert status in (200, 202)


async def test_without_a_block_the_api_answers_503_and_without_a_key_refuses_other_sites() -> None:
    management = durable_core.ManagementApi(key=None)
    assert await _ask(management, "/durabletask/instances") == 503
    assert await _ask(management, "/durabletask/instances", origin="https://evil.example") == 403
    assert await _ask(management, "/elsewhere") == 404
    async with durable_core.running(REGISTRY, store=":memory:", http=management):
        assert await _ask(management, "/durabletask/instances") == 200
        assert await _ask(management, "/durabletask/instances/%ff") == 400
    assert await _ask(management, "/durabletask/instances") == 503
    for bad in ("", "/"):
        with pytest.raises(ConfigurationError, match="path"):
            durable_core.ManagementApi(bad, key=None)
    with pytest.raises(ConfigurationError, match="key"):
        durable_core.ManagementApi(key=" ")


async def _ask(management: durable_core.ManagementApi, path: str, origin: str = "") -> int:
    """The status of a GET, asked as an ASGI server asks."""
    headers = [(b"host", b"app.example")] + ([(b"origin", origin.encode())] if origin else [])
    scope = {"type": "http", "method": "GET", "scheme": "http", "raw_path": path.encode(), "headers": headers}
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        sent.append(event)

    await management(scope, receive, send)
    return cast(int, sent[0]["status"])
