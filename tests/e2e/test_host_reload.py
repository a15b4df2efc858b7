"""``host --reload``: a new host for new code, on the same store; and the lines that a host logs about instances."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path

from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient, eventually

APP = """\
import azure.functions as func
import shop
from durable_core import Registry
from durable_core.hosting.functions import Durable

app = func.FunctionApp()
app.register_functions(Durable(Registry.scan(shop)).blueprint())
"""
SHOP = """\
import pathlib
import time

from durable_core import activity, orchestrator


@activity
def slow(seconds):
    pathlib.Path("begun").touch()
    time.sleep(seconds)
    return "first"


@orchestrator
def order(ctx, seconds: float = 0.0):
    done = yield from ctx.call_activity(slow, seconds)
    paid = yield from ctx.wait_for_external_event("Paid")
    return [done, paid, "old"]


@orchestrator
def fails(ctx):
    raise ValueError("no")
    yield
"""


def app_in(folder: Path) -> Path:
    app = folder / "app"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (app / "shop.py").write_text(SHOP)
    return app


async def log_has(host: HostProcess, text: str, times: int = 1) -> None:
    await eventually(lambda: host.log.count(text) >= times)


async def test_a_changed_file_restarts_the_host_after_what_runs_and_broken_code_does_not_end_it(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    shop = app / "shop.py"
    with HostProcess(tmp_path, app=app, options=["--reload"]) as host:
        watching = host.pid
        async with HttpClient(host.url) as http:
            await http.start("order", 1.5, "one")
            await eventually(lambda: (app / "begun").exists())
            shop.write_text(SHOP.replace('"old"', '"new"'))
            await log_has(host, "shop.py changed")
            await log_has(host, "listening on", 2)
        async with HttpClient(host.url) as http:
            await http.wait_until("one", lambda shown: bool(shown))
            shop.write_text("this is no Python (\n")
            await log_has(host, "waiting for a change")
            assert "SyntaxError" in host.log
            shop.write_text(SHOP.replace('"old"', '"newest"'))
            await log_has(host, "listening on", 3)
        async with HttpClient(host.url) as http:
            await http.raise_event("one", "Paid", 7)
            assert await http.output_of("one") == ["first", 7, "newest"]
            assert (await http.status("one"))["runtimeStatus"] == "Completed"
            (app / "notes.txt").write_text("no code")
            (app / ".venv").mkdir()
            (app / ".venv" / "inside.py").write_text("x = 1\n")
            (app / "added.py").write_text("x = 1\n")
            await log_has(host, "added.py changed")
            await log_has(host, "listening on", 4)
        assert "notes.txt" not in host.log
        assert "inside.py" not in host.log
        assert host.pid == watching
        assert "functions are still running" not in host.log  # the activity had its time
        assert "goes on after a restart: one (order)" in host.log
        assert host.stop(signal.SIGTERM) == 0
        assert "stopping" in host.log


async def test_a_host_whose_watcher_is_killed_ends_by_itself(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    with HostProcess(tmp_path, app=app, options=["--reload"]) as host:
        host.kill9()
        give_up_at = time.monotonic() + 60
        while _is_served(host.port):
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.1)


def _is_served(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_store_in_memory_cannot_be_kept(tmp_path: Path) -> None:
    from tests.support.cli import run_cli

    done = run_cli("host", "--reload", "--app", str(app_in(tmp_path)), "--store", ":memory:")
    assert done.returncode == 2
    assert "would lose the store" in done.stderr


async def test_a_host_logs_starts_and_ends_and_what_goes_on_after_a_restart(tmp_path: Path) -> None:
    app = app_in(tmp_path)
    with HostProcess(tmp_path, app=app) as host:
        async with HttpClient(host.url) as http:
            await http.start("order", 0, "one")
            await http.start("order", 0, "two")
            await http.start("fails", None, "three")
            await log_has(host, "ended: three (fails) Failed after")
            await http.wait_until("one", lambda shown: shown["runtimeStatus"] == "Running")
            assert (await http.call("POST", "/instances/two/terminate")).status == 202
            await log_has(host, "ended: two (order) Terminated after")
        line = next(line for line in host.log.splitlines() if "ended: three" in line)
        assert " WARNING durable_core.instances: " in line
        assert line.endswith(f"s with ValueError at app/shop.py:{_line_of('raise ValueError')}")
        host.kill9()
        host.start()
        host.wait_ready()
        async with HttpClient(host.url) as http:
            await http.raise_event("one", "Paid", 7)
            await http.output_of("one")
            await log_has(host, "ended: one (order) Completed after")
        for text in (
            "started: one (order)",
            "started: three (fails)",
            "goes on after a restart: one (order)",
            "ended: one",
        ):
            assert host.log.count(text) == 1, text
        assert "goes on after a restart: two" not in host.log


def _line_of(text: str) -> int:
    return next(number for number, line in enumerate(SHOP.splitlines(), 1) if text in line)
