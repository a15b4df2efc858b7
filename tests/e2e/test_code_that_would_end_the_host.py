"""A real host whose app raises KeyboardInterrupt and SystemExit everywhere: it lives on, and says what has failed."""

from __future__ import annotations

from pathlib import Path

from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import HttpClient

APP = PROJECT / "tests" / "e2e" / "apps" / "raising"


async def test_the_host_lives_on_whatever_its_app_raises(tmp_path: Path) -> None:
    with HostProcess(tmp_path, app=APP) as host:
        async with HttpClient(host.url) as http:
            for name in ("interrupts", "exits", "step", "handler"):
                await http.start("calls", name, name)
            for path in ("/api/plain", "/api/waits"):
                assert (await http.call("GET", host.url + path)).status == 500
            assert (await http.call("GET", "/instances/handler/query/exits")).status >= 400
            answer = await http.call("GET", "/instances/handler/query/answers")
            assert (answer.status, answer.body) == (200, 7)
            await http.raise_event("handler", "go", 1)
            for name in ("interrupts", "exits", "step", "handler"):
                status = await http.wait_done(name)
                assert status["runtimeStatus"] == "Failed"
        assert not host.has_died
