"""The functions over the real runtime and the embedded store: HTTP in, messages through, a result out."""

from __future__ import annotations

import json
from collections.abc import Generator
from typing import Any

import azure.functions as func
from azure.functions.queue import QueueMessage
from pydantic import BaseModel

from durable_core import OrchestrationContext, Registry, activity, orchestrator
from durable_core.hosting.functions import Durable
from durable_core.hosting.storage_pool import acquire_storage, release_storage
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.ports import Storage

BASE = "https://shop.example/api/durabletask"


class Order(BaseModel):
    sku: str


@activity
def price(sku: str) -> int:
    return len(sku)


@orchestrator
def order(ctx: OrchestrationContext, wanted: Order) -> Generator[Any, Any, dict[str, Any]]:
    amount = yield from ctx.call_activity(price, wanted.sku, inline=False)
    paid = yield from ctx.wait_for_external_event("Paid")
    return {"amount": amount, "paid": paid}


class Host:
    """The least of a Functions host: it routes by function name and hands over messages until there are none."""

    def __init__(self, durable: Durable, storage: Storage) -> None:
        app = func.FunctionApp()
        app.register_functions(durable.blueprint())
        self._functions = {str(f.get_function_name()): f for f in app.get_functions()}
        self._queues = DurableApp.queue_names(durable.settings)
        self._storage = storage

    async def http(self, function: str, method: str, url: str, body: Any = None, /, **route: str) -> tuple[int, Any]:
        raw = b"" if body is None else json.dumps(body).encode()
        request = func.HttpRequest(method, url, route_params=route, body=raw)
        response = await self._functions[function].get_user_function()(request)
        return response.status_code, json.loads(response.get_body() or b"null")

    async def follow(self, method: str, url: str, body: Any = None) -> tuple[int, Any]:
        """A capability URL, as its holder uses it."""
        parts = url.partition("?")[0].partition("/c/")[2].split("/")
        route = dict(zip(("token", "eventName"), parts, strict=False))
        return await self.http("durable_capability", method, url, body, **route)

    async def drain(self) -> None:
        busy = True
        while busy:
            busy = False
            for names, function in ((self._queues.control, "durable_control"), (self._queues.work, "durable_work")):
                queue = self._storage.queue(names[0])
                for message in await queue.receive(32):
                    busy = True
                    await self._functions[function].get_user_function()(
                        QueueMessage(body=message.body, dequeue_count=message.dequeue_count)
                    )
                    await queue.delete(message)


async def test_an_explanation_and_a_tree_are_answered_as_described() -> None:
    settings = Settings(store=":memory:")
    durable = Durable(Registry().add(order, price), settings=settings)
    storage = acquire_storage(settings)
    await durable.start()
    try:
        host, url = Host(durable, storage), f"{BASE}/instances/o-1/explain"
        status, body = await host.http("durable_explain", "GET", url, instanceId="o-1")
        assert (status, body["error"]["code"]) == (404, "InstanceNotFound")
        assert "There is no instance 'o-1'" in body["error"]["message"]
        await host.http(
            "durable_start", "POST", f"{BASE}/orchestrators/order/o-1", {"sku": "x"}, name="order", instanceId="o-1"
        )
        await host.drain()
        await host.http(
            "durable_event", "POST", f"{BASE}/instances/o-1/raiseEvent/payed", {}, instanceId="o-1", eventName="payed"
        )
        await host.drain()
        status, body = await host.http("durable_explain", "GET", url, instanceId="o-1")
        assert (status, body["cause"], body["needsSomebody"]) == (200, "event", True)
        assert "Came and kept: 'payed' - did the sender mean this event?" in body["sentence"]
        assert body["details"]["alike"] == ["payed"]
        assert body["waits"][0]["name"] == "Paid"
        status, body = await host.http("durable_tree", "GET", f"{BASE}/instances/o-1/tree", instanceId="o-1")
        assert (status, body) == (
            200,
            {"instanceId": "o-1", "name": "order", "runtimeStatus": "Running", "children": []},
        )
        status, _ = await host.http("durable_explain", "GET", f"{url}?deep=1", instanceId="o-1")
        assert status == 400
    finally:
        await durable.stop()
        await release_storage(storage)


async def test_an_order_goes_from_its_start_to_its_purge_by_the_urls_handed_out() -> None:
    settings = Settings(store=":memory:")
    durable = Durable(Registry().add(order, price), settings=settings)
    storage = acquire_storage(settings)
    await durable.start()
    try:
        host = Host(durable, storage)
        url = f"{BASE}/orchestrators/order/o-1"
        refused = await host.http("durable_start", "POST", url, {"sku": 1}, name="order", instanceId="o-1")
        assert (refused[0], refused[1]["error"]["code"]) == (400, "InvalidInput")
        code, uris = await host.http("durable_start", "POST", url, {"sku": "tea"}, name="order", instanceId="o-1")
        assert code == 202
        await host.drain()
        code, status = await host.follow("GET", uris["statusQueryGetUri"])
        assert (code, status["runtimeStatus"], status["input"]) == (202, "Running", None)
        assert (await host.follow("DELETE", uris["purgeHistoryDeleteUri"]))[0] == 409
        event_uri = uris["sendEventPostUri"].replace("{eventName}", "paid")
        assert (await host.follow("POST", event_uri, {"by": "ann"}))[0] == 202
        await host.drain()
        code, status = await host.follow("GET", uris["statusQueryGetUri"])
        assert (code, status["output"]) == (200, {"amount": 3, "paid": {"by": "ann"}})
        one = f"{BASE}/instances/o-1?showHistory=true"
        code, status = await host.http("durable_instance", "GET", one, instanceId="o-1")
        assert (code, status["input"]) == (200, {"sku": "tea"})
        assert status["historyEvents"]
        assert (await host.follow("POST", event_uri))[0] == 410
        assert [
            shown["instanceId"] for shown in (await host.http("durable_instances", "GET", f"{BASE}/instances"))[1]
        ] == ["o-1"]
        assert await host.follow("DELETE", uris["purgeHistoryDeleteUri"]) == (200, {"instancesDeleted": 1})
        assert (await host.follow("GET", uris["statusQueryGetUri"]))[0] == 404
    finally:
        await durable.stop()
        await release_storage(storage)
