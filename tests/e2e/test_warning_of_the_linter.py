"""A host whose guard is on says at its start what is wrong with the app's orchestrators, and works on."""

from __future__ import annotations

import json
import time
import urllib.request
from pathlib import Path

from tests.support.hosts import HostProcess

APP = """
import time

import azure.functions as func

from durable_core import Registry, orchestrator
from durable_core.hosting.functions import Durable


@orchestrator(name="late", version="1")
def late_1(ctx):
    ctx.set_custom_status(time.time())
    yield from ctx.create_timer(ctx.current_utc_datetime)


@orchestrator(name="late", version="2")
def late_2(ctx):
    yield from ctx.create_timer(ctx.current_utc_datetime)


app = func.FunctionApp()
app.register_functions(Durable(Registry().add(late_1, late_2)).blueprint())
"""


def test_the_first_log_of_a_host_names_the_line_that_reads_the_clock(tmp_path: Path) -> None:
    app = tmp_path / "app"
    app.mkdir()
    (app / "function_app.py").write_text(APP)
    (app / "host.json").write_text(json.dumps({"version": "2.0"}))
    line = 1 + APP.splitlines().index("    ctx.set_custom_status(time.time())")
    with HostProcess(tmp_path / "on", app=app) as host:
        urllib.request.urlopen(f"{host.url}/api/durabletask/instances", timeout=30).close()
        give_up_at = time.monotonic() + 60
        while "DC101" not in host.log and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert f"function_app.py:{line}: DC101" in host.log
        assert host.log.count("DC1") == 1
    with HostProcess(tmp_path / "off", app=app, env={"DURABLE_GUARD": "0"}) as host:
        urllib.request.urlopen(f"{host.url}/api/durabletask/instances", timeout=30).close()
    assert "DC101" not in host.log
