"""What HTTP adds to an instance on the local host: calls of the product's functions, from the socket and back to it.

For a request that starts an instance and one that waits for its result, beyond the same by the client of the process.
aiohttp's calls, asyncio's and those of azure.functions are left out: they are theirs, and vary with the versions. The
callers are threads, whose calls are not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from durable_core import DurableClient
from durable_core.hosting.local.host import HostOptions, run_host

from .python_calls import counting
from .test_calls_of_steps import PRODUCT

INSTANCES = 20
REPETITIONS = 3  # of which the least counts: on a busy machine the host polls meanwhile
PATIENCE = 60
MOST_OF_HTTP = 245  # about 232 on a quiet machine, where fewer writes share a commit, and 210 on a busy one

APP = """
import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.hosting.functions import Durable


@orchestrator
def echo(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    yield from ()
    return number


durable = Durable(Registry().add(echo), auth_level=func.AuthLevel.ANONYMOUS)
app = func.FunctionApp()
app.register_functions(durable.blueprint())
"""

SETTINGS = {  # as a local host sets them, so that it changes nothing in the environment of the tests
    "DURABLE_MESSAGE_LEASE": "60",
    "DURABLE_INSTANCE_LOG": "false",
    "DURABLE_GUARD": "false",
    "WEBSITE_HOSTNAME": "127.0.0.1:7071",
}


@asynccontextmanager
async def host(folder: Path, patch: pytest.MonkeyPatch) -> AsyncGenerator[tuple[int, DurableClient]]:
    """A local host in this process: its port, and the client of its app."""
    for name, value in {**SETTINGS, "DURABLE_STORE": str(folder / "durable.db")}.items():
        patch.setenv(name, value)
    patch.setattr(sys, "path", [*sys.path])
    patch.setitem(sys.modules, "function_app", sys)  # put back afterwards, whatever the host puts there
    patch.chdir(folder)
    (folder / "function_app.py").write_text(APP)
    stop, ready = asyncio.Event(), asyncio.Event()
    said: list[str] = []

    def say(line: str) -> None:
        said.append(line)
        if line.startswith("listening"):
            ready.set()

    running = asyncio.create_task(run_host(HostOptions(app=folder, port=0), stop=stop, say=say))
    try:
        await asyncio.wait({running, asyncio.create_task(ready.wait())}, return_when=asyncio.FIRST_COMPLETED)
        line = next(line for line in said if line.startswith("listening"))
        app: Any = sys.modules["function_app"]
        yield int(line.rsplit(":", 1)[1].split("/")[0].split()[0]), await app.durable.client()
    finally:
        stop.set()
        await running


def by_http(port: int, numbers: range) -> None:
    """One caller, on one connection."""
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)

    def ask(method: str, path: str, body: str | None = None) -> tuple[int, Any]:
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.load(answer)

    try:
        for number in numbers:
            status, started = ask("POST", "/api/durabletask/orchestrators/echo", json.dumps(number))
            assert status == 202, started
            found = urlsplit(str(started["statusQueryGetUri"]))
            status, ended = ask("GET", f"{found.path}?{found.query}&timeout={PATIENCE}")
            assert (status, ended["output"]) == (200, number), ended
    finally:
        connection.close()


async def by_the_client(client: DurableClient, number: int) -> None:
    ended = await client.wait_for_completion(await client.start_new("echo", None, number), PATIENCE)
    assert ended.output == number


async def test_an_instance_over_http_takes_few_more_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with host(tmp_path, monkeypatch) as (port, client):
        await asyncio.to_thread(by_http, port, range(3))  # what is made at its first use
        await by_the_client(client, 0)
        counts = [await measured(port, client) for _ in range(REPETITIONS)]
    more, beyond = min(counts)
    assert 0 < more <= MOST_OF_HTTP, f"{more:.1f} calls more, beyond {beyond:.1f}"


async def measured(port: int, client: DurableClient) -> tuple[float, float]:
    """The calls that HTTP adds to an instance, and those of an instance without it."""
    with counting(PRODUCT) as over_http:
        await asyncio.to_thread(by_http, port, range(INSTANCES))
    with counting(PRODUCT) as in_process:
        for number in range(INSTANCES):
            await by_the_client(client, number)
    return (over_http.number - in_process.number) / INSTANCES, in_process.number / INSTANCES
