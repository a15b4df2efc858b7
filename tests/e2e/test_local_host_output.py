"""A host whose output nobody reads serves as ever, and ends when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.support.hosts import PROJECT, free_port

APP = """
import logging
import azure.functions as func

app = func.FunctionApp()


@app.route("talk", auth_level=func.AuthLevel.ANONYMOUS)
async def talk(req: func.HttpRequest) -> str:
    for _ in range(200):
        print("x" * 1000)
        logging.error("y" * 1000)
    return "said"
"""
PATIENCE = 150.0


@pytest.mark.parametrize("reader", ["does not read", "is gone"])
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_host_that_nobody_reads_answers_and_ends(tmp_path: Path, reader: str, how: signal.Signals) -> None:
    (tmp_path / "function_app.py").write_text(APP)
    port = free_port()
    host = subprocess.Popen(
        [sys.executable, "-m", "durable_core", "host", "--app", str(tmp_path), "--port", str(port)],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "DURABLE_STORE": str(tmp_path / "durable.db")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert host.stdout is not None
    try:
        while b"listening on" not in (line := host.stdout.readline()):
            assert line, "the host has ended"
        if reader == "is gone":
            host.stdout.close()
        for _ in range(2):
            connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
            connection.request("GET", "/api/talk")
            assert connection.getresponse().read() == b"said"
            connection.close()
        host.send_signal(how)
        assert host.wait(PATIENCE) == 0
    finally:
        host.kill()
        host.wait(PATIENCE)
        host.stdout.close()
