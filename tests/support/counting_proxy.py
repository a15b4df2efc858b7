"""A proxy at the door of an Azurite: what goes over the wire is counted there, SDK and retries and all.

It passes bytes on as they are and reads of the requests only what it must: where each one ends. Knows the REST
protocols of queues and tables as far as to name a request.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from durable_core.testing.azurite import ACCOUNT, ACCOUNT_KEY, Azurite

UNCOUNTED = ("queue receive", "table get")
"""How often these are sent depends on how long somebody waits: a listener for messages, a client for a result."""


@dataclass(frozen=True, slots=True)
class WireRequest:
    """One HTTP request. ``kind``: such as "table merge"; ``body``: bytes."""

    kind: str
    target: str
    body: int


@dataclass(slots=True)
class Door:
    """Everything that went through; ``by_kind`` and ``total`` leave the uncounted kinds out."""

    connection_string: str = ""
    requests: list[WireRequest] = field(default_factory=list[WireRequest])

    @property
    def by_kind(self) -> Counter[str]:
        return Counter(request.kind for request in self.requests if request.kind not in UNCOUNTED)

    @property
    def total(self) -> int:
        """Requests. Each message that is received is deleted, and counts there."""
        return self.by_kind.total()

    @property
    def body_bytes(self) -> int:
        return sum(request.body for request in self.requests)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.by_kind.items()))
        return f"{self.total} requests ({kinds}), {self.body_bytes:,} bytes of bodies"


@asynccontextmanager
async def counting_door(azurite: Azurite) -> AsyncGenerator[Door]:
    """The way to an Azurite through a proxy for its queues and one for its tables. An error of a proxy is raised."""
    door = Door()
    blob, *ports = azurite.ports
    errors: list[BaseException] = []
    servers = [
        await _serve(service, port, door, errors) for service, port in zip(("queue", "table"), ports, strict=True)
    ]
    urls = [f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/{ACCOUNT}" for server in servers]
    door.connection_string = (
        f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{blob}/{ACCOUNT};QueueEndpoint={urls[0]};TableEndpoint={urls[1]};"
    )
    try:
        yield door
    finally:
        for server in servers:
            server.close()
    if errors:
        raise errors[0]


async def _serve(service: str, port: int, door: Door, errors: list[BaseException]) -> asyncio.Server:
    async def on_connection(client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        server, to_server = await asyncio.open_connection("127.0.0.1", port)
        back = asyncio.create_task(_pass_on(server, to_client))
        try:
            while (request := await _next_request(service, client, to_server)) is not None:
                door.requests.append(request)
        except ConnectionError:
            pass  # one side has gone: so shall the other
        except Exception as error:  # noqa: BLE001  kept, and raised where the test waits
            errors.append(error)
        finally:
            back.cancel()
            to_server.close()
            to_client.close()

    return await asyncio.start_server(on_connection, "127.0.0.1", 0)


async def _next_request(
    service: str, client: asyncio.StreamReader, to_server: asyncio.StreamWriter
) -> WireRequest | None:
    """Pass one request on; None if the client has no more."""
    try:
        head = await client.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return None
    first, *fields = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in fields)}
    if "transfer-encoding" in headers:
        raise NotImplementedError(f"a request in chunks is not understood: {first}")
    length = int(headers.get("content-length", 0))
    to_server.write(head + await client.readexactly(length))
    await to_server.drain()
    method, url, _ = first.split(" ")
    target = unquote(urlsplit(url).path).removeprefix(f"/{ACCOUNT}/")
    method = headers.get("x-http-method", method)
    return WireRequest(f"{service} {_verb(service, method, target)}", target, length)


async def _pass_on(server: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await server.read(65536):
            to_client.write(data)
            await to_client.drain()
    to_client.close()


def _verb(service: str, method: str, target: str) -> str:
    """What a request asks for, in the words of the storage ports."""
    if service == "queue":
        of_messages = {"POST": "send", "GET": "receive"}
        of_a_message = {"DELETE": "delete", "PUT": "extend"}
        match = re.fullmatch(r"[^/]+/messages(/[^/]+)?", target)
        if match is None:
            return f"{method} {target}"
        return (of_a_message if match[1] else of_messages).get(method, method)
    if target == "$batch":
        return "transact"
    keyed = re.fullmatch(r"\w+\(.+\)", target) is not None
    names = {"POST": "insert", "PATCH": "merge", "MERGE": "merge", "PUT": "replace", "DELETE": "delete", "GET": "get"}
    return names.get(method, method) if keyed or method == "POST" else "read_range" if method == "GET" else method
