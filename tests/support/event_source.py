"""Reads server-sent events as a browser's ``EventSource`` does: it connects again behind the last event."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

import aiohttp


class Sent(NamedTuple):
    """An event. kind: '' for a chunk."""

    id: str
    kind: str
    data: Any


async def connection(session: aiohttp.ClientSession, url: str, last: str = "") -> AsyncGenerator[Sent]:
    """The events of one answer."""
    headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last} if last else {})}
    async with session.get(url, headers=headers) as answer:
        if answer.status == 204:
            return
        assert answer.status == 200, f"{answer.status}: {await answer.text()}"
        assert answer.content_type == "text/event-stream"
        fields: dict[str, str] = {}
        while line := await answer.content.readline():
            text = line.decode().removesuffix("\n")
            if text and not text.startswith(":"):
                name, _, value = text.partition(": ")
                fields[name] = value
            elif fields.get("data") is not None:
                yield Sent(fields["id"], fields.get("event", ""), json.loads(fields["data"]))
                fields = {}


async def all_events(session: aiohttp.ClientSession, url: str, last: str = "") -> list[Sent]:
    """All events until the end, through answers that break off and hosts that are gone."""
    events: list[Sent] = []
    while not events or events[-1].kind != "ended":
        try:
            async for event in connection(session, url, events[-1].id if events else last):
                events.append(event)
        except (aiohttp.ClientError, ConnectionError, TimeoutError):
            await asyncio.sleep(0.1)
    return events
