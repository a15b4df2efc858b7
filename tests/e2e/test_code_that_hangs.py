"""Real hosts whose orchestrators hang: others go on, the status names the line, SIGTERM and a restart are obeyed."""

from __future__ import annotations

import signal
from pathlib import Path

from tests.support.cli import run_cli
from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import HttpClient, eventually

APP = PROJECT / "tests" / "e2e" / "apps" / "hanging"


def line_of(text: str) -> str:
    lines = (APP / "function_app.py").read_text().splitlines()
    return f"hanging/function_app.py:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def host_of(folder: Path, limit: float) -> HostProcess:
    ran = folder / "ran"
    ran.touch()
    env = {"DURABLE_CODE_LIMIT": str(limit), "DURABLE_GUARD": "false", "RAN": str(ran)}
    return HostProcess(folder, app=APP, env=env)


def begun(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split()


async def test_others_go_on_the_status_names_the_line_and_a_restart_does_not_run_into_it_again(tmp_path: Path) -> None:
    with host_of(tmp_path, 2.0) as host:
        async with HttpClient(host.url) as http:
            for number in range(5):
                await http.start("healthy", number, f"before-{number}")
            await http.start("spins", None, "one")
            for number in range(5):
                await http.start("healthy", number, f"after-{number}")
            status = await http.wait_until("one", lambda shown: "stuckReason" in shown)
            assert status["runtimeStatus"] == "Running"
            assert (
                "orchestrator 'spins' (instance 'one') blocked the event loop at hanging/function_app.py:"
                in status["stuckReason"]
            )
            assert line_of("while True") in status["stuckReason"] or line_of("the line that") in status["stuckReason"]
            for number in range(5):
                assert await http.output_of(f"before-{number}") == number + 1
                assert await http.output_of(f"after-{number}") == number + 1
            answer = await http.call("GET", "/instances/one/query/anything")
            assert (answer.status, answer.body["error"]["code"]) == (409, "InstanceStuck")
        host.kill9()
        host.start()
        host.wait_ready()
        async with HttpClient(host.url) as http:
            recovered = run_cli("recover", "--timer", "--store", str(tmp_path / "durable.db"))  # what is stuck
            assert recovered.returncode == 0, recovered.stderr
            await http.start("healthy", 7, "again")
            assert await http.output_of("again") == 8
            assert begun(tmp_path) == ["spins"]
            assert (await http.call("POST", "/instances/one/terminate")).status == 202
            assert (await http.wait_done("one"))["runtimeStatus"] == "Terminated"


async def test_what_cannot_be_interrupted_is_remembered_all_the_same(tmp_path: Path) -> None:
    with host_of(tmp_path, 2.0) as host:
        async with HttpClient(host.url) as http:
            await http.start("sleeps", None, "one")
        await eventually(lambda: "orchestrator 'sleeps' (instance 'one') blocked the event loop at" in host.log)
        host.kill9()
        host.start()
        host.wait_ready()
        async with HttpClient(host.url) as http:
            await http.start("healthy", 7, "again")
            assert await http.output_of("again") == 8
            status = await http.wait_until("one", lambda shown: "stuckReason" in shown)
            assert line_of("this line, too") in status["stuckReason"]
        assert begun(tmp_path) == ["sleeps"]


async def test_a_host_stops_in_time_while_an_orchestrator_continues_as_new_for_ever(tmp_path: Path) -> None:
    env = {"DURABLE_MESSAGE_LEASE": "12"}  # of which a turn may use the first third; a turn without end fails here
    with HostProcess(tmp_path, app=APP, env=env, options=["--grace", "60"]) as host:
        async with HttpClient(host.url) as http:
            await http.start("never_waits", 1, "one")
            await http.wait_until("one", lambda shown: (shown["customStatus"] or 0) > 20)
            await http.start("healthy", 7, "other")
            assert await http.output_of("other") == 8
        assert host.stop(signal.SIGTERM) == 0
        assert "still running after" not in host.log
    with HostProcess(tmp_path, app=APP, env=env) as host:
        async with HttpClient(host.url) as http:
            reached = (await http.status("one"))["customStatus"]
            await http.wait_until("one", lambda shown: (shown["customStatus"] or 0) > reached)
            await http.call("POST", "/instances/one/terminate")
            assert (await http.wait_done("one"))["runtimeStatus"] == "Terminated"


async def test_sigterm_ends_a_host_while_its_code_hangs(tmp_path: Path) -> None:
    with host_of(tmp_path, 3.0) as host:
        async with HttpClient(host.url) as http:
            await http.start("spins", None, "one")
        await eventually(lambda: begun(tmp_path) == ["spins"])
        assert host.stop(signal.SIGTERM) == 0
