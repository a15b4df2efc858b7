"""Entries of journals as rows: what was written is read, and a row that lacks something is damaged."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from random import Random

import pytest

from durable_core.errors import DamagedRowError
from durable_core.hub.journals import Entry, JournalKey, StepId
from durable_core.hub.keys import journal_key
from durable_core.hub.taskhub import TaskHub
from durable_core.models import FailureDetails
from durable_core.settings import Settings
from durable_core.storage.sqlite import SqliteStorage

KEY = JournalKey("one", "x", 0, 1)
STEP = StepId("charge", None, 0)
BEGIN = Entry(entry="a", run="r", attempt=1, kind="begin", part=1, number=0)
DONE = Entry(entry="b", run="r", attempt=1, kind="step", part=1, number=0, step=STEP, line="app.py:3", text="7")
FAILED = Entry(
    entry="c", run="r", attempt=1, kind="step", part=1, number=0, step=STEP, failure=FailureDetails("E", "no")
)


@pytest.fixture
async def storage() -> AsyncGenerator[SqliteStorage]:
    storage = SqliteStorage(":memory:")
    yield storage
    await storage.close()


@pytest.fixture
async def hub(storage: SqliteStorage) -> TaskHub:
    hub = TaskHub(storage, Settings(), Random(1))
    await hub.create()
    return hub


@pytest.mark.parametrize("entry", [BEGIN, DONE, FAILED], ids=lambda each: each.entry)
async def test_an_entry_is_read_as_it_was_written(hub: TaskHub, entry: Entry) -> None:
    await hub.journals.insert(KEY, [entry])
    assert await hub.journals.read(KEY) == [entry]


@pytest.mark.parametrize(
    ("entry", "lacks"),
    [
        *((BEGIN, name) for name in ("id", "run", "attempt", "part", "kind", "c0")),
        *((DONE, name) for name in ("id", "run", "attempt", "part", "kind", "step", "c0")),
    ],
    ids=lambda each: each if isinstance(each, str) else each.kind,
)
async def test_an_entry_that_lacks_something_is_damaged(
    storage: SqliteStorage, hub: TaskHub, entry: Entry, lacks: str
) -> None:
    await hub.journals.insert(KEY, [entry])
    table, at = storage.table(hub.names.instances), journal_key(KEY.execution_id, KEY.generation, KEY.task_id, 0)
    row = await table.get(KEY.instance_id, at)
    assert row is not None
    await table.replace(KEY.instance_id, at, {name: value for name, value in row.props.items() if name != lacks})
    with pytest.raises(DamagedRowError, match=f"{at}.* is damaged: .*{lacks}"):
        await hub.journals.read(KEY)
