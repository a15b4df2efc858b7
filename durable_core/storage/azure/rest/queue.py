"""``Queue`` over the service's own protocol; what is asked seldom goes over the SDK."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote
from xml.etree import ElementTree

from ....errors import StorageError
from ...limits import check_delay, check_message, check_receive
from ...listeners import SendListeners
from ...ports import OldestMessage, Queue, QueueMessage
from ..bodies import decode_body
from .service import Answer, Service

_MONTH_NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_MONTHS = {name: number for number, name in enumerate(_MONTH_NAMES, 1)}
_HEADERS = {"Accept": "application/xml", "Accept-Encoding": "identity"}
# The type is signed, and aiohttp would give other methods than GET one of its own, with or without a body.
_HEADERS_WITH_TYPE = {**_HEADERS, "Content-Type": "application/xml"}
_FOREVER = "-1"


class RestQueue:
    """One queue of a storage account. ``connect`` gives the Queue service of the account.

    by_sdk: the same queue over the SDK, for the operations that no turn needs.
    """

    def __init__(self, name: str, connect: Callable[[], Service], listeners: SendListeners, by_sdk: Queue) -> None:
        self._name, self._connect, self._listeners, self._by_sdk = name, connect, listeners, by_sdk

    @property
    def name(self) -> str:
        return self._name

    async def send(self, body: str, delay: float = 0.0) -> None:
        text = b64encode(check_message(body, delay)).decode()
        hidden = math.ceil(delay)
        params = {"messagettl": _FOREVER, "visibilitytimeout": str(hidden)}
        # Base64 needs no escape in XML.
        content = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>".encode()
        await self._ask("POST", "", params, content, f"send to {self._name}")
        self._listeners.notify(self._name, hidden)

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        check_receive(max_messages, lease)
        what = f"receive from {self._name}"
        params = {"numofmessages": str(max_messages), "visibilitytimeout": str(math.ceil(lease))}
        answer = await self._ask("GET", "", params, None, what)
        try:
            found = ElementTree.fromstring(answer.body)
        except ElementTree.ParseError as error:
            raise StorageError(f"{what}: the answer is no XML; does a proxy answer for Azure Storage?") from error
        return [_message(element) for element in found]

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        check_delay(lease)
        params = {"popreceipt": message.receipt, "visibilitytimeout": str(math.ceil(lease))}
        what = f"extend message {message.id} of {self._name}"
        answer = await self._ask("PUT", f"/{quote(message.id, safe='')}", params, None, what)
        receipt = answer.headers.get("x-ms-popreceipt") or message.receipt
        return QueueMessage(message.id, message.body, receipt, message.dequeue_count, message.inserted_at)

    async def delete(self, message: QueueMessage) -> None:
        what = f"delete message {message.id} of {self._name}"
        await self._ask("DELETE", f"/{quote(message.id, safe='')}", {"popreceipt": message.receipt}, None, what)

    async def count(self) -> int:
        return await self._by_sdk.count()

    async def oldest(self) -> OldestMessage | None:
        return await self._by_sdk.oldest()

    async def clear(self) -> None:
        await self._by_sdk.clear()

    async def _ask(self, method: str, message: str, params: Mapping[str, str], body: bytes | None, what: str) -> Answer:
        path = f"/{self._name}/messages{message}"
        query = "&".join([f"{name}={quote(value, safe='')}" for name, value in params.items()])
        headers = _HEADERS if method == "GET" else _HEADERS_WITH_TYPE
        answer = await self._connect().send(method, path, headers, body, what, query, params)
        if not answer.is_ok:
            raise answer.error(what)
        return answer


def _message(element: ElementTree.Element) -> QueueMessage:
    found = {child.tag: child.text or "" for child in element}
    id, receipt = found.get("MessageId", ""), found.get("PopReceipt", "")
    if not receipt or "InsertionTime" not in found:
        raise StorageError(f"message {id} has no pop receipt; receive it again")
    count = int(found.get("DequeueCount") or 1)
    return QueueMessage(id, decode_body(found.get("MessageText", "")), receipt, count, _time(found["InsertionTime"]))


def _time(text: str) -> datetime:
    """A date of HTTP, such as ``Sun, 29 Nov 2026 17:00:00 GMT``; ``strptime`` takes ten times as long."""
    _, day, month, year, clock, _ = text.split(" ")
    hour, minute, second = clock.split(":")
    return datetime(int(year), _MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=UTC)
