"""What stands between the start of a host and its first message, counted; and that nobody is refused meanwhile."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections import Counter
from pathlib import Path
from types import FrameType
from typing import Any

import aiohttp
import azure.functions as func
import pytest

from durable_core.errors import ConfigurationError
from durable_core.hosting.local.functions_index import HttpTrigger, IndexedFunction
from durable_core.hosting.local.http_routing import HttpRouter, http_router
from durable_core.hosting.local.http_server import HttpServer
from durable_core.hosting.local.http_sockets import listening_sockets, port_of
from durable_core.hosting.local.invoker import Invoker
from durable_core.hub.taskhub import TaskHub
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage
from tests.support.cli import run_cli
from tests.support.hosts import HostProcess

PROJECT = Path(__file__).resolve().parents[2]

OF_THE_SDKS = ("azure.core", "azure.data", "azure.storage", "azure.identity")
NOT_NEEDED = (
    # the user's models need it when the first of them comes by
    *("pydantic", "pydantic_core"),
    # the web server comes when the queues are listened to
    "aiohttp",
    # of the other store
    *("azure.core", "azure.data", "azure.storage", "azure.identity", "durable_core.storage.azure"),
    # what people ask for: of the history, of the hub, over HTTP
    *("durable_core.operate.explain", "durable_core.operate.timeline", "durable_core.runtime.fork"),
    "durable_core.hosting.http_api",
    # advice, tests and pictures can wait or have no business there
    *("durable_core.linter", "durable_core.testing", "rich", "matplotlib", "hypothesis", "pytest"),
)

APP = """
import azure.functions as func

from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable


@activity
def double(number: int) -> int:
    return 2 * number


@orchestrator
def twice(ctx: OrchestrationContext, number: int) -> Orchestration[int]:
    number = yield from ctx.call_activity(double, number)
    number = yield from ctx.call_activity(double, number)
    return number


durable = Durable(Registry().add(double, twice))
app = func.FunctionApp()
app.register_functions(durable.blueprint())
"""

# A host of work queues alone says that it is ready when it listens to them: what is imported by then, every host needs.
HOST = """
import asyncio, json, sys
from pathlib import Path
import durable_core.cli
from durable_core.hosting.local.host import HostOptions, run_host

async def main():
    stop = asyncio.Event()
    def say(line):
        if line.startswith("listening"):
            print(json.dumps(sorted(sys.modules)))
            stop.set()
    await run_host(HostOptions(app=Path("."), only="work"), stop=stop, say=say)

asyncio.run(main())
"""


def write_app(folder: Path, code: str = APP) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(code)
    (folder / "host.json").write_text(json.dumps({"version": "2.0"}))
    return folder


def test_a_host_imports_nothing_that_it_does_not_need_before_it_listens_to_its_queues(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", HOST],
        cwd=write_app(tmp_path),
        env={"PYTHONPATH": str(PROJECT), "DURABLE_STORE": str(tmp_path / "durable.db")},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded: list[str] = json.loads(run.stdout)
    assert "durable_core.runtime.app" in loaded
    assert "durable_core.hosting.local.queue_listener" in loaded
    found = [name for name in loaded if any(name == no or name.startswith(f"{no}.") for no in NOT_NEEDED)]
    assert not found, found


def test_an_app_is_indexed_without_the_runtime(tmp_path: Path) -> None:
    """Azure imports an app in every worker process before its first trigger, and waits for it."""
    script = "import json, sys, function_app; print(json.dumps(sorted(sys.modules)))"
    run = subprocess.run(
        [sys.executable, "-c", script],
        cwd=write_app(tmp_path),
        env={"PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded: list[str] = json.loads(run.stdout)
    for package in ("runtime.app", "runtime.turn", "runtime.client", "hub.taskhub", "hosting.http_api", "telemetry"):
        assert f"durable_core.{package}" not in loaded, package
    own = [name for name in loaded if name.startswith("durable_core")]
    assert len(own) <= 92, f"{len(own)} modules: {own}"


@pytest.mark.parametrize(
    ("code", "own", "not_needed"),
    [
        ("import durable_core", 2, ("azure", "pydantic", "asyncio", "sqlite3", "dataclasses", "inspect", "logging")),
        ("from durable_core import activity, orchestrator", 25, ("azure", "pydantic", "asyncio", "sqlite3", "aiohttp")),
        (
            "import durable_core.hosting.functions",
            65,
            ("pydantic", "sqlite3", "aiohttp", *OF_THE_SDKS),
        ),
        (
            "import function_app",
            92,
            ("aiohttp", *OF_THE_SDKS),
        ),
    ],
)
def test_an_import_loads_few_modules(code: str, own: int, not_needed: tuple[str, ...]) -> None:
    script = (
        f"import json, sys; before = set(sys.modules); {code}; print(json.dumps(sorted({{*sys.modules}} - before)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT, capture_output=True, text=True, timeout=60, check=True
    )
    loaded: list[str] = json.loads(run.stdout)
    found = [name for name in loaded if any(name == no or name.startswith(f"{no}.") for no in not_needed)]
    assert not found, found
    ours = [name for name in loaded if name.startswith("durable_core")]
    assert len(ours) <= own, f"{len(ours)} modules: {ours}"


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what a process has loaded is read from /proc")
def test_a_host_whose_values_are_plain_json_never_loads_pydantic(tmp_path: Path) -> None:
    with HostProcess(tmp_path / "host", app=write_app(tmp_path / "app")) as host:
        url = f"{host.url}/api/durabletask/orchestrators/twice?timeout=60"
        request = urllib.request.Request(url, b"5", {"Content-Type": "application/json"}, method="POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            assert json.load(answer) == 20
        loaded = Path(f"/proc/{host.pid}/maps").read_text()
    assert "_sqlite3" in loaded, "this shows what is loaded"
    assert "pydantic" not in loaded


# Whoever imports aiohttp waits until the queue's function has run: without a message before the web server, nothing
# ever listens.
APP_OF_A_QUEUE = """
import sys, threading
import azure.functions as func

app = func.FunctionApp()
has_run = threading.Event()

class Gate:
    def find_spec(self, name, path=None, target=None):
        if name == "aiohttp" and not has_run.wait(60):
            raise ImportError("no message came before the web server")

sys.meta_path.insert(0, Gate())

@app.queue_trigger(arg_name="message", queue_name="left", connection="AzureWebJobsStorage")
async def on_message(message: func.QueueMessage) -> None:
    has_run.set()

@app.route(route="hello")
async def hello(req: func.HttpRequest) -> str:
    return "hello"
"""


async def leave_a_leased_message(store: Path) -> None:
    storage = SqliteStorage(str(store))
    await storage.create((), ("left",))
    await storage.queue("left").send("of a host that died")
    await storage.queue("left").receive(1, 3600.0)  # and it held its lease
    await storage.close()


def test_a_message_that_is_left_is_at_work_before_there_is_a_web_server(tmp_path: Path) -> None:
    write_app(tmp_path / "app", APP_OF_A_QUEUE)
    (tmp_path / "host").mkdir()
    asyncio.run(leave_a_leased_message(tmp_path / "host" / "durable.db"))
    with HostProcess(tmp_path / "host", app=tmp_path / "app") as host:
        with urllib.request.urlopen(f"{host.url}/api/hello", timeout=60) as answer:
            assert answer.read() == b"hello"
        assert "ImportError" not in host.log


# ---------------------------------------------------------------- HTTP


def endpoints(function: Any) -> HttpRouter:
    indexed = IndexedFunction(
        name="hello",
        call=function,
        trigger=HttpTrigger(route="hello/{name}", methods=frozenset({"POST"}), auth_level="anonymous"),
        parameter="request",
        wants_context=False,
        is_async=True,
    )
    router = http_router([indexed], prefix="api", has_key=False)
    assert router is not None
    return router


async def hello(request: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(f"hello {request.route_params['name']}"), headers={"Content-Type": "application/json"}
    )


async def test_who_calls_before_there_is_a_server_waits_and_is_answered(tmp_path: Path) -> None:
    with listening_sockets("127.0.0.1", 0) as sockets:
        url = f"http://127.0.0.1:{port_of(sockets)}/api/hello/ann"
        async with aiohttp.ClientSession() as session:
            calls = [asyncio.create_task(session.post(url)) for _ in range(20)]
            _, waiting = await asyncio.wait(calls, timeout=0.2)
            assert len(waiting) == len(calls)
            server = HttpServer(endpoints(hello), Invoker(tmp_path, 60.0).invoke)
            await server.start(sockets)
            try:
                answers = [await call for call in calls]
                assert [await answer.json() for answer in answers] == ["hello ann"] * len(calls)
            finally:
                await server.stop()


def test_an_empty_key_is_refused_for_it_would_open_every_function() -> None:
    for key in ("", "  "):
        refused = run_cli("host", "--require-keys", key)
        assert refused.returncode == 2
        assert "--require-keys is empty" in refused.stderr


async def test_a_host_with_another_number_of_partitions_than_its_hub_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    store = SqliteStorage(str(tmp_path / "s.db"))
    await TaskHub(store, Settings(partitions=4)).create()
    await store.close()
    env = {"DURABLE_PARTITIONS": "2", "DURABLE_STORE": str(tmp_path / "s.db")}
    for verb in (["host", "--app", tmp_path, "--port", 0], ["recover"], ["history", "export", "one", "--out", "-"]):
        refused = run_cli(*verb, env=env)
        assert refused.returncode != 0
        assert "Set DURABLE_PARTITIONS=4" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.parametrize("folder", ["/", "."])
def test_a_folder_in_the_place_of_the_store_is_refused(folder: str, tmp_path: Path) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    refused = run_cli("host", "--app", tmp_path, "--port", 0, "--store", folder, cwd=tmp_path)
    assert refused.returncode == 2
    assert "is a folder; name a file" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not tmp_path.with_name(f"{tmp_path.name}.hosts").exists(), "beside the folder, as beside a store"


def test_a_port_that_is_taken_is_refused_with_its_number() -> None:
    with listening_sockets("127.0.0.1", 0) as sockets:
        port = port_of(sockets)
        with pytest.raises(ConfigurationError, match=f"127.0.0.1:{port}"), listening_sockets("127.0.0.1", port):
            pass


def test_all_addresses_of_a_name_are_listened_to_on_one_port() -> None:
    with listening_sockets("localhost", 0) as sockets:
        assert len({each.getsockname()[1] for each in sockets}) == 1


async def test_a_request_takes_few_calls_of_ours_from_the_socket_to_the_function_and_back(tmp_path: Path) -> None:
    """Frames of durable_core's own code: aiohttp's and asyncio's are theirs, and vary with the versions.

    A coroutine that goes on counts as a call, so a busy machine, on which more has to be waited for, counts a few more.
    """
    requests = 20
    counted: Counter[str] = Counter()

    def count(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and "durable_core/hosting" in frame.f_code.co_filename:
            counted[frame.f_code.co_name] += 1

    with listening_sockets("127.0.0.1", 0) as sockets:
        server = HttpServer(endpoints(hello), Invoker(tmp_path, 60.0).invoke)
        await server.start(sockets)
        try:
            async with aiohttp.ClientSession() as session:
                url = f"http://127.0.0.1:{port_of(sockets)}/api/hello/ann?a=1"
                async with session.post(url, json={}) as answer:
                    assert answer.status == 200
                before = sys.getprofile()
                sys.setprofile(count)
                try:
                    for _ in range(requests):
                        async with session.post(url, json={}) as answer:
                            await answer.read()
                finally:
                    sys.setprofile(before)
        finally:
            await server.stop()
    assert counted["_serve"] >= requests
    assert sum(counted.values()) <= 20 * requests, counted
