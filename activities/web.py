"""Asking a real HTTP endpoint. An async activity: waiting for the network holds no thread."""

from __future__ import annotations

import aiohttp

from durable_core import activity

CHECK_TIMEOUT = aiohttp.ClientTimeout(total=10)


@activity
async def check_url(url: str) -> int | None:
    """The HTTP status that the address answers, or None if it does not answer within 10 seconds."""
    try:
        async with aiohttp.ClientSession(timeout=CHECK_TIMEOUT) as session, session.get(url) as response:
            return response.status
    except (aiohttp.ClientError, TimeoutError):
        return None
