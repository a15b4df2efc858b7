"""Asking a real HTTP endpoint. An async activity: waiting for the network holds no thread."""

from __future__ import annotations

from durable_core import activity

CHECK_TIMEOUT = 10.0  # seconds


@activity
async def check_url(url: str) -> int | None:
    """The HTTP status that the address answers, or None if it does not answer within 10 seconds."""
    import aiohttp  # here, as it takes longer to import than the rest of the app, whose every process starts with it

    timeout = aiohttp.ClientTimeout(total=CHECK_TIMEOUT)
    try:
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return None
