"""The samples in the style of Durable Functions, each served by a local host, over HTTP, on both stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from tests.e2e.conftest import STORES, settings_of
from tests.support.hosts import PROJECT, HostProcess
from tests.support.http_client import DONE, POLL, HttpClient
from tests.support.web_site import web_site

SAMPLES = PROJECT / "samples" / "durable_functions"
NAMES = sorted(path.parent.name for path in SAMPLES.glob("*/function_app.py"))
FAST = {"AzureFunctionsJobHost__extensions__queues__maxPollingInterval": "00:00:00.200"}


class Samples:
    """One host for each sample, all started at the same time."""

    def __init__(self, request: pytest.FixtureRequest, folder: Path, stack: ExitStack) -> None:
        self._hosts: dict[str, HostProcess] = {}
        for name in NAMES:
            env = {**settings_of(request, request.param), **FAST}
            host = HostProcess(folder / name, app=SAMPLES / name, env=env).start()
            self._hosts[name] = host
            stack.callback(host.kill_if_alive)
        for host in self._hosts.values():
            host.wait_ready()

    def url(self, name: str) -> str:
        return self._hosts[name].url


@pytest.fixture(scope="module", params=STORES)
def samples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Samples]:
    with ExitStack() as stack:
        yield Samples(request, tmp_path_factory.mktemp("samples"), stack)


@pytest.fixture
async def http() -> AsyncGenerator[HttpClient]:
    async with HttpClient("") as client:
        yield client


async def start(http: HttpClient, url: str, body: Any = None) -> dict[str, str]:
    """The links of the instance that a starter has begun."""
    answer = await http.call("POST", url, json=body)
    assert answer.status == 202, answer
    assert answer.headers["Retry-After"] == "10"
    return answer.body


async def ended(http: HttpClient, links: dict[str, str]) -> dict[str, Any]:
    """The status of the instance when it has ended, by the link that its starter gave."""
    async with asyncio.timeout(60):
        while True:
            status = (await http.call("GET", links["statusQueryGetUri"])).body
            if status["runtimeStatus"] in DONE:
                return status
            await asyncio.sleep(POLL)


async def output(http: HttpClient, url: str, body: Any = None) -> Any:
    status = await ended(http, await start(http, url, body))
    assert status["runtimeStatus"] == "Completed", status
    return status["output"]


async def test_chaining(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('chaining')}/api/orchestrators/hello_cities"
    assert await output(http, url) == ["Hello Tokyo!", "Hello Seattle!", "Hello London!"]
    assert await output(http, url, ["Oslo"]) == ["Hello Oslo!"]


async def test_fan_out(samples: Samples, http: HttpClient) -> None:
    answer = await http.call("POST", f"{samples.url('fan_out')}/api/count", json=["a b", "c", ""] * 10)
    assert (answer.status, answer.body) == (200, {"texts": 30, "words": 30})


async def test_monitor(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('monitor')}/api/monitors"
    links = await start(http, f"{url}/build", {"pause": 0.1, "within": 60})
    assert links["id"] == "monitor-build"
    status = await ended(http, links)
    assert (status["output"], status["customStatus"]) == ("sent: build is done", {"job": "build", "last": "done"})
    assert await output(http, f"{url}/endless", {"pause": 0.1, "within": 0.3}) == "endless was given up"


async def test_human_interaction(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('human_interaction')}/api"

    async def verify(phone: str, *codes: int) -> Any:
        links = await start(http, f"{url}/verify/{phone}")
        async with asyncio.timeout(30):
            sent = (await http.call("GET", f"{url}/sent/{phone}")).body
            while not sent:
                await asyncio.sleep(POLL)
                sent = (await http.call("GET", f"{url}/sent/{phone}")).body
        for code in codes:
            answer = await http.call("POST", f"{url}/enter/{links['id']}", json=int(sent) + code)
            assert answer.status == 202, answer
        return (await ended(http, links))["output"]

    assert await verify("555-1", 1, 0) is True
    assert await verify("555-2", 1, 2, 3) is False
    assert await output(http, f"{url}/verify/555-3?seconds=0.2") is False
    answer = await http.call("POST", f"{url}/enter/nobody", json=1)
    assert (answer.status, answer.body) == (400, "No instance with ID nobody found.")


async def test_sub_orchestration(samples: Samples, http: HttpClient) -> None:
    links = await start(http, f"{samples.url('sub_orchestration')}/api/devices", ["lamp", "door"])
    assert (await ended(http, links))["output"] == [
        {"device": "lamp", "key": "pmal", "parent": links["id"]},
        {"device": "door", "key": "rood", "parent": links["id"]},
    ]


async def test_eternal(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('eternal')}/api/cleanup?pause=0.1"
    links = await start(http, url)
    assert await start(http, url) == links, "the second start finds the instance, and gives the same links"
    async with asyncio.timeout(60):
        status = (await http.call("GET", links["statusQueryGetUri"])).body
        while status.get("generation", 0) < 2:
            assert status["runtimeStatus"] in ("Pending", "Running"), status
            await asyncio.sleep(POLL)
            status = (await http.call("GET", links["statusQueryGetUri"])).body
    while status["runtimeStatus"] not in DONE:  # an event that comes between two waits is dropped
        answer = await http.call("POST", links["sendEventPostUri"].replace("{eventName}", "stop"), json=True)
        assert answer.status in (202, 410), answer
        await asyncio.sleep(POLL)
        status = (await http.call("GET", links["statusQueryGetUri"])).body
    assert status["output"] == f"stopped in round {status['generation'] + 1}"


async def test_blueprint(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('blueprint')}/api"
    assert (await http.call("GET", f"{url}/health")).body == "healthy"
    assert await output(http, f"{url}/greet/Ann") == "Hello Ann!"
    assert await output(http, f"{url}/orders", {"customer": "Bob", "items": [1, 2]}) == "Hello Bob! That is 20."


async def test_call_http(samples: Samples, http: HttpClient) -> None:
    looks = 0

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal looks
        if request.path == "/orders":
            assert await request.json() == {"order": 7}
            return web.Response(status=202, headers={"Location": "/orders/7", "Retry-After": "1"})
        if request.path == "/broken":
            return web.Response(status=400, text="no")
        looks += 1
        return (
            web.json_response({"packed": True})
            if looks > 1
            else web.Response(status=202, headers={"Location": "/orders/7", "Retry-After": "1"})
        )

    url = f"{samples.url('call_http')}/api/pack"
    async with web_site(answer) as site:
        assert await output(http, url, {"url": f"{site}/orders", "order": 7}) == {"packed": True}
        assert looks == 2
        failed = await ended(http, await start(http, url, {"url": f"{site}/broken", "order": 7}))
        assert failed["runtimeStatus"] == "Failed"
        assert "the order service answered 400: no" in failed["output"]


async def test_retries(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('retries')}/api/orders"
    assert await output(http, f"{url}/found") == ["paid at attempt 3", "delivered"]
    paid, refunded, failure = await output(http, f"{url}/lost")
    assert (paid, refunded) == ("paid at attempt 3", "refunded")
    assert failure.startswith("Orchestrator function 'deliver' failed: Activity function 'hand_over' failed:")


async def test_serialization(samples: Samples, http: HttpClient) -> None:
    links = await start(http, f"{samples.url('serialization')}/api/parcels", {"to": "Oslo", "kilos": 2})
    status = await ended(http, links)
    assert status["output"] == {"stamp": "to Oslo", "kilos": 4, "stamped": 1}
    parcel = {"to": "Oslo", "kilos": 2, "stamp": ""}
    assert status["input"] == {"__class__": "Parcel", "__module__": "parcels", "__data__": parcel}


async def test_entities(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('entities')}/api"
    assert (await http.call("GET", f"{url}/accounts/ann")).status == 404
    for amount in (10, 20, 30):
        assert (await http.call("POST", f"{url}/accounts/ann", json=amount)).status == 202
    async with asyncio.timeout(60):
        balance = (await http.call("GET", f"{url}/accounts/ann")).body
        while balance != "60":
            await asyncio.sleep(POLL)
            balance = (await http.call("GET", f"{url}/accounts/ann")).body
    assert await output(http, f"{url}/transfers", {"from": "ann", "to": "Bob", "amount": 45}) == 45
    assert (
        await output(http, f"{url}/transfers", {"from": "ann", "to": "Bob", "amount": 45}) == "refused: only 15 is left"
    )
    assert (await http.call("GET", f"{url}/accounts/ann")).body == "15"
    old = f"{samples.url('entities')}/runtime/webhooks/durabletask/entities/Account/Bob"
    assert (await http.call("GET", old)).body == 45
    assert (await http.call("POST", f"{old}?op=deposit&taskHub=durable&code=key", json=5)).status == 202


async def test_callers_of_the_old_webhooks_find_them_on_the_local_host(samples: Samples, http: HttpClient) -> None:
    url = f"{samples.url('eternal')}/runtime/webhooks/durabletask"
    answer = await http.call("POST", f"{url}/orchestrators/clean_up/old?code=key", json={"round": 5, "pause": 3600})
    assert (answer.status, answer.body["id"]) == (202, "old")
    place = "taskHub=durable&connection=Storage&code=key"
    status = (await http.call("GET", f"{url}/instances/old?{place}&showInput=true")).body
    assert status["input"] == {"round": 5, "pause": 3600}
    for operation in ("suspend?reason=why&", "resume?reason=why&", "raiseEvent/Stop?"):
        answer = await http.call("POST", f"{url}/instances/old/{operation}{place}", data="1")
        assert answer.status == 202, (operation, answer)
    status = await ended(http, {"statusQueryGetUri": f"{url}/instances/old"})
    assert status["output"] == "stopped in round 5"
    assert (await http.call("DELETE", f"{url}/instances/old")).status == 200
    assert (await http.call("GET", f"{url}/instances/old")).status == 404
    listed = await http.call("GET", f"{url}/instances?createdTimeFrom=2020-01-01T00:00:00Z&runtimeStatus=Completed")
    assert listed.status == 200
    assert (await http.call("GET", f"{samples.url('eternal')}/runtime/webhooks/other")).status == 404


def test_each_sample_has_a_test() -> None:
    assert {f"test_{name}" for name in NAMES} <= set(globals())


def test_each_sample_has_the_settings_of_the_queues() -> None:
    for name in NAMES:
        host = json.loads((SAMPLES / name / "host.json").read_text())
        assert host["extensions"]["queues"]["maxPollingInterval"] == "00:00:02", name
