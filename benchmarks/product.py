"""The product's real path in this process, as ``python -m durable_core host`` goes: host, queues, functions, client."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from durable_core.hosting.local.host import HostOptions, run_host
from durable_core.runtime.client import DurableClient

APP = Path(__file__).parent


@asynccontextmanager
async def running_host() -> AsyncGenerator[DurableClient]:
    """A local host on the store that the environment names, and the client of its app."""
    ready, stop = asyncio.Event(), asyncio.Event()

    def say(line: str) -> None:
        if line.startswith("listening on"):
            ready.set()

    host = asyncio.create_task(run_host(HostOptions(app=APP, port=0), stop=stop, say=say))
    waiting = asyncio.create_task(ready.wait())
    await asyncio.wait({host, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if not ready.is_set():
            waiting.cancel()
            await host  # raises what kept it from starting
        yield await sys.modules["function_app"].durable.client()
    finally:
        stop.set()
        await host
