"""``Queue`` over the SDK's own client: its pipeline with all policies, and its serializer."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable
from typing import Any

from azure.storage.queue import QueueMessage as SdkMessage
from azure.storage.queue.aio import QueueClient

from ....errors import StorageError
from ...limits import check_delay, check_message, check_receive
from ...listeners import SendListeners
from ...ports import OldestMessage, QueueMessage
from ..bodies import decode_body
from ..connection import AzureConnection
from ..errors import translated
from .times import plain_time

_FOREVER = -1


class SdkQueue:
    """One queue of a storage account. Bodies are base64 on the wire, as the Functions host expects."""

    def __init__(self, name: str, connect: Callable[[], AzureConnection], listeners: SendListeners) -> None:
        self._name, self._connect, self._listeners = name, connect, listeners
        self._made: tuple[AzureConnection, QueueClient] | None = None

    @property
    def name(self) -> str:
        return self._name

    async def send(self, body: str, delay: float = 0.0) -> None:
        text = b64encode(check_message(body, delay)).decode()
        call = self._client().send_message(text, visibility_timeout=math.ceil(delay), time_to_live=_FOREVER)
        await translated(call, f"send to {self._name}")
        self._listeners.notify(self._name, math.ceil(delay))

    async def receive(self, max_messages: int = 1, lease: float = 30.0) -> list[QueueMessage]:
        check_receive(max_messages, lease)
        found = self._client().receive_messages(messages_per_page=max_messages, visibility_timeout=math.ceil(lease))
        return await translated(self._first_page(found.by_page()), f"receive from {self._name}")

    async def extend(self, message: QueueMessage, lease: float) -> QueueMessage:
        check_delay(lease)
        call = self._client().update_message(message.id, message.receipt, visibility_timeout=math.ceil(lease))
        renewed = await translated(call, f"extend message {message.id} of {self._name}")
        receipt = renewed.pop_receipt or message.receipt
        return QueueMessage(message.id, message.body, receipt, message.dequeue_count, message.inserted_at)

    async def delete(self, message: QueueMessage) -> None:
        call = self._client().delete_message(message.id, message.receipt)
        await translated(call, f"delete message {message.id} of {self._name}")

    async def count(self) -> int:
        properties = await translated(self._client().get_queue_properties(), f"count {self._name}")
        return properties.approximate_message_count or 0

    async def oldest(self) -> OldestMessage | None:
        found = await translated(self._client().peek_messages(max_messages=1), f"look into {self._name}")
        if not found:
            return None
        (message,) = found
        return OldestMessage(plain_time(message.inserted_on), message.dequeue_count or 0)

    async def clear(self) -> None:
        await translated(self._client().clear_messages(), f"clear {self._name}")

    async def _first_page(self, pages: Any) -> list[QueueMessage]:
        # Only the first page: the SDK would receive until the queue is empty.
        async for page in pages:
            return [_message(each) async for each in page]
        return []

    def _client(self) -> Any:
        connection = self._connect()
        if self._made is None or self._made[0] is not connection:
            self._made = connection, connection.queues.get_queue_client(self._name)
        return self._made[1]


def _message(found: SdkMessage) -> QueueMessage:
    inserted_at = found.inserted_on
    if inserted_at is None or found.pop_receipt is None:
        raise StorageError(f"message {found.id} has no pop receipt; receive it again")
    return QueueMessage(
        found.id, decode_body(found.content or ""), found.pop_receipt, found.dequeue_count or 1, inserted_at
    )
