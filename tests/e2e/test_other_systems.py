"""The local host without what only Unix has: what Windows lacks is taken away before durable_core is imported."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hosts import PROJECT, free_port
from tests.support.http_client import HttpClient, eventually

WITHOUT = """\
import asyncio, os, signal, socket, sys

sys.modules["fcntl"] = sys.modules["resource"] = sys.modules["pwd"] = sys.modules["grp"] = None
pair, unix = socket.socketpair, socket.AF_UNIX  # the event loop's own, which Windows makes in another way
socket.socketpair = lambda *_: pair(unix)
for module, names in {
    os: ("O_CLOEXEC", "O_NOFOLLOW", "getuid", "geteuid", "getgid", "fork", "posix_spawn", "register_at_fork"),
    signal: ("SIGKILL", "SIGHUP", "SIGUSR1", "SIGUSR2", "pthread_kill", "pthread_sigmask", "setitimer"),
    socket: ("AF_UNIX",),
}.items():
    for name in names:
        if hasattr(module, name):
            delattr(module, name)


def refuse(*_):
    raise NotImplementedError


asyncio.SelectorEventLoop.add_signal_handler = refuse
from durable_core.cli import main

main()
"""
APP = """\
import azure.functions as func
import shop
from durable_core import Registry
from durable_core.hosting.functions import Durable

app = func.FunctionApp()
app.register_functions(Durable(Registry.scan(shop)).blueprint())
"""
SHOP = """\
from datetime import timedelta

from durable_core import activity, orchestrator


@activity
def plain(text):
    return text + "!"


@activity
async def waits(text):
    return text + "?"


@orchestrator
def order(ctx, text: str):
    first = yield from ctx.call_activity(plain, text, inline=False)
    yield from ctx.create_timer(timedelta(seconds=1))
    return (yield from ctx.call_activity(waits, first))
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
async def test_the_host_runs_and_stops_without_what_only_unix_has(how: signal.Signals, tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (app / "shop.py").write_text(SHOP)
    port, log = free_port(), tmp_path / "host.log"
    env = {name: value for name, value in os.environ.items() if not name.startswith(("DURABLE_", "AzureWebJobs"))}
    env |= {"PYTHONPATH": str(PROJECT), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-c", WITHOUT, "host", "--port", str(port), "--store", str(tmp_path / "durable.db")]
    with log.open("wb") as out:
        host = subprocess.Popen(  # noqa: ASYNC220
            command, cwd=app, env=env, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        await eventually(lambda: "listening on" in log.read_text() or host.poll() is not None)
        assert host.poll() is None, log.read_text()
        async with HttpClient(f"http://127.0.0.1:{port}") as http:
            await http.start("order", "tea", "one")
            assert await http.output_of("one") == "tea!?"
        host.send_signal(how)
        assert host.wait(60) == 0, log.read_text()
        assert "stopping; once more to stop at once" in log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        if host.poll() is None:
            host.kill()
            host.wait()
