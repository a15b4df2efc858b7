"""The emulator without durable_core: requests over one aiohttp session, each signed anew, nothing else.

What this client needs for an operation is the least that Python and the emulator need for it, so it is the scale for
the adapter (``azure_cpu``) and for whole workloads (``ceiling``).
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from hashlib import sha256
from hmac import new as new_hmac
from urllib.parse import quote

import aiohttp
from yarl import URL

from durable_core.testing.azurite import ACCOUNT, ACCOUNT_KEY, Azurite

_JSON = {"Content-Type": "application/json", "DataServiceVersion": "3.0", "Accept": "application/json;odata=nometadata"}


class BareAzurite:
    """The requests that turns need."""

    def __init__(self, session: aiohttp.ClientSession, ports: tuple[int, int, int]) -> None:
        self._session = session
        self._queues, self._tables = (f"http://127.0.0.1:{port}/{ACCOUNT}" for port in ports[1:])
        self._key = b64decode(ACCOUNT_KEY)

    async def merge(self, table: str, partition: str, key: str, body: bytes, etag: str) -> str:
        """Returns the new ETag."""
        path = f"/{table}(PartitionKey='{partition}',RowKey='{key}')"
        headers, _ = await self._of_tables("PATCH", path, body, {"If-Match": etag})
        return headers["ETag"]

    async def insert(self, table: str, body: bytes) -> str:
        """Returns the ETag. body: the row in JSON, with its keys."""
        headers, _ = await self._of_tables("POST", f"/{table}", body, {"Prefer": "return-no-content"})
        return headers["ETag"]

    async def batch(self, table: str, bodies: Mapping[str, bytes]) -> None:
        """One transaction that inserts or merges rows. bodies: by the path of the row."""
        boundary = "changeset_1"
        lines = ["--batch_1", f"Content-Type: multipart/mixed; boundary={boundary}", ""]
        for path, body in bodies.items():
            lines += [f"--{boundary}", "Content-Type: application/http", "Content-Transfer-Encoding: binary", ""]
            lines += [f"PATCH {self._tables}{path} HTTP/1.1", "Content-Type: application/json"]
            lines += ["DataServiceVersion: 3.0", "Accept: application/json;odata=nometadata", "", body.decode()]
        lines += [f"--{boundary}--", "--batch_1--", ""]
        headers = {"Content-Type": "multipart/mixed; boundary=batch_1"}
        await self._of_tables("POST", "/$batch", "\r\n".join(lines).encode(), headers)

    async def get(self, table: str, partition: str, key: str) -> bytes:
        return (await self._of_tables("GET", f"/{table}(PartitionKey='{partition}',RowKey='{key}')"))[1]

    async def read_range(self, table: str, partition: str) -> bytes:
        query = "?$filter=" + quote(f"PartitionKey eq '{partition}'")
        return (await self._of_tables("GET", f"/{table}()", query=query))[1]

    async def delete(self, table: str, partition: str, key: str) -> None:
        await self._of_tables("DELETE", f"/{table}(PartitionKey='{partition}',RowKey='{key}')", None, {"If-Match": "*"})

    async def send(self, queue: str, text: str) -> None:
        body = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>".encode()
        await self._of_queues("POST", f"/{queue}/messages", body)

    async def receive(self, queue: str, count: int) -> list[tuple[str, str]]:
        """Returns id and pop receipt of each message."""
        body = await self._of_queues("GET", f"/{queue}/messages", query=f"?numofmessages={count}&visibilitytimeout=600")
        parts = body.decode().split("<QueueMessage>")[1:]
        return [(_between(part, "MessageId"), _between(part, "PopReceipt")) for part in parts]

    async def delete_message(self, queue: str, message: tuple[str, str]) -> None:
        name, receipt = message
        await self._of_queues("DELETE", f"/{queue}/messages/{name}", query=f"?popreceipt={quote(receipt, safe='')}")

    async def _of_tables(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] = {},
        query: str = "",
    ) -> tuple[Mapping[str, str], bytes]:
        date = formatdate(usegmt=True)
        signed = self._signature(f"{date}\n/{ACCOUNT}/{ACCOUNT}{path}")
        given = {**_JSON, "x-ms-date": date, "x-ms-version": "2019-02-02", "Authorization": signed, **headers}
        return await self._exchange(method, self._tables + path + query, body, given)

    async def _of_queues(self, method: str, path: str, body: bytes | None = None, query: str = "") -> bytes:
        date, kind = formatdate(usegmt=True), "" if body is None else "application/xml"
        named = f"x-ms-date:{date}\nx-ms-version:2021-02-12\n"
        signed = self._signature(f"{method}\n\n{kind}\n\n{named}/{ACCOUNT}/{ACCOUNT}{path}")
        given = {"x-ms-date": date, "x-ms-version": "2021-02-12", "Authorization": signed, "Content-Type": kind}
        return (await self._exchange(method, self._queues + path + query, body, given))[1]

    def _signature(self, text: str) -> str:
        digest = new_hmac(self._key, text.encode(), sha256).digest()
        return f"SharedKeyLite {ACCOUNT}:{b64encode(digest).decode()}"

    async def _exchange(
        self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]
    ) -> tuple[Mapping[str, str], bytes]:
        given = {name: value for name, value in headers.items() if value}
        async with self._session.request(method, URL(url, encoded=True), data=body, headers=given) as answer:
            content = await answer.read()
            if answer.status >= 300 or b"HTTP/1.1 4" in content:
                raise RuntimeError(f"{method} {url}: {answer.status} {content[:300]!r}")
            return answer.headers, content


@asynccontextmanager
async def bare_azurite(azurite: Azurite, connections: int = 100) -> AsyncGenerator[BareAzurite]:
    """A client of a running emulator."""
    connector = aiohttp.TCPConnector(limit=connections)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(connector=connector, cookie_jar=jar, auto_decompress=False) as session:
        yield BareAzurite(session, azurite.ports)


def _between(text: str, name: str) -> str:
    return text.split(f"<{name}>", 1)[1].split(f"</{name}>", 1)[0]
