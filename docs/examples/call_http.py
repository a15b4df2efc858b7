"""A durable HTTP call: begin a long operation elsewhere, and wait for it without holding a worker."""

from __future__ import annotations

from datetime import timedelta

from aiohttp import web

from durable_core import DurableClient, Orchestration, OrchestrationContext, RetryPolicy, orchestrator

PATIENTLY = RetryPolicy(max_attempts=5, first_interval=timedelta(seconds=2))


@orchestrator
def render(ctx: OrchestrationContext, service: str) -> Orchestration[str]:
    # The service answers 202 with the address of the film's state; that is polled until it answers otherwise.
    response = yield from ctx.call_http(
        "POST", f"{service}/films", {"title": "Cats"}, retry=PATIENTLY, timeout=timedelta(hours=1)
    )
    if response.status_code != 200:
        raise RuntimeError(f"no film: {response.status_code} {response.content}")
    return response.json()["film"]


async def example(client: DurableClient) -> None:
    service, address = await slow_service()
    try:
        instance_id = await client.start_new(render, client_input=address)
        status = await client.wait_for_completion(instance_id, timeout=600)
        assert status.output == "cats.mp4"
    finally:
        await service.cleanup()


async def slow_service() -> tuple[web.AppRunner, str]:
    """Somebody else's service, which takes a minute to render a film."""
    asked = 0

    async def begin(_: web.Request) -> web.Response:
        return web.Response(status=202, headers={"Location": "/films/1", "Retry-After": "20"})

    async def state(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        if asked < 3:
            return web.Response(status=202, headers={"Location": "/films/1", "Retry-After": "20"})
        return web.json_response({"film": "cats.mp4"})

    app = web.Application()
    app.add_routes([web.post("/films", begin), web.get("/films/1", state)])
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"
