from __future__ import annotations

import pytest

from durable_core.errors import LeaseLostError, PreconditionFailedError
from durable_core.storage.ports import Queue, Table


async def test_a_stale_etag_writes_nothing(table: Table) -> None:
    first = await table.insert("p", "k", {"a": 1})
    await table.merge("p", "k", {"b": 2}, first)
    with pytest.raises(PreconditionFailedError):
        await table.merge("p", "k", {"b": 3}, first)
    row = await table.get("p", "k")
    assert row is not None
    assert dict(row.props) == {"a": 1, "b": 2}


async def test_a_stale_receipt_deletes_nothing(queue: Queue) -> None:
    await queue.send("hello")
    (message,) = await queue.receive()
    renewed = await queue.extend(message, 30)
    with pytest.raises(LeaseLostError):
        await queue.delete(message)
    await queue.delete(renewed)
    assert await queue.count() == 0
