"""100,000 instances: the first page of the list costs as much as that of a hub with three."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import expect

from durable_core import Registry
from durable_core.hub.catalog import Entry
from durable_core.hub.encoding import Encoding
from durable_core.hub.times import inverted_ms
from durable_core.models import RuntimeStatus
from durable_core.runtime.app import DurableApp
from durable_core.settings import Settings
from durable_core.storage.counting import CountingStorage
from durable_core.storage.open import open_storage
from durable_core.storage.ports import Insert
from tests.dashboard.conftest import APP, Board
from tests.support.browser import Watched
from tests.support.hosts import HostProcess

MANY = 100_000
AT_ONCE = 100  # as many as a transaction takes
Open = Callable[..., Watched]


def entry(number: int, began: datetime) -> Entry:
    created = began + timedelta(seconds=number)
    return Entry(
        instance_id=f"order-{number:06}",
        execution_id=f"x{number}",
        name="order",
        version="",
        status=RuntimeStatus.COMPLETED,
        created=created,
        updated=created + timedelta(seconds=40),
    )


def row_of(ended: Entry, encoding: Encoding) -> Insert:
    """The catalogue row of an ended instance."""
    return Insert(f"c{inverted_ms(ended.created)}-{ended.execution_id}-{ended.instance_id}", ended.props(encoding))


async def fill(file: Path) -> int:
    """Write the catalogue rows. Returns the storage operations of the first page, as the dashboard asks for it."""
    settings = Settings(store=str(file))
    storage = open_storage(settings)
    counting = CountingStorage(storage)
    app = await DurableApp.open(Registry(), settings, counting)
    began = datetime.now(UTC) - timedelta(seconds=MANY + 60)
    catalogue, shard = storage.table(app.hub.names.catalog), app.hub.catalog.shards[0]
    for first in range(0, MANY, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        await catalogue.transact(shard, [row_of(entry(number, began), app.hub.payloads.encoding) for number in numbers])
    before = counting.counts
    page = await app.client.list_instances(page_size=50, show_details=False)
    operations = (counting.counts - before).total
    assert len(page.instances) == 50
    await app.close()
    await storage.close()
    return operations


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> int:
    """The operations of the first page, of a hub with many instances that the host of ``board`` serves."""
    return asyncio.run(fill(tmp_path_factory.getbasetemp() / "many.db"))


@pytest.fixture(scope="module")
def board(operations: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    folder = tmp_path_factory.mktemp("many")
    store = str(tmp_path_factory.getbasetemp() / "many.db")
    with HostProcess(folder, app=APP, env={"GATES": str(folder), "DURABLE_STORE": store}) as host:
        yield Board(host, folder)


def test_the_first_page_takes_fewer_than_five_operations(
    operations: int, opened: Open, record_property: Callable[[str, object], None]
) -> None:
    assert operations < 5
    begun = time.monotonic()
    watched = opened()
    rows = watched.page.locator("table.list tbody tr")
    expect(rows).to_have_count(50)
    record_property("seconds to the first page", round(time.monotonic() - begun, 2))
    expect(rows.first.locator(".instance")).to_have_text(f"order-{MANY - 1:06}")
    assert len({request.url for request in watched.asked()}) == 1, "a live list asks again every five seconds"


def test_the_next_page_follows(opened: Open) -> None:
    page = opened().page
    page.get_by_role("link", name="Older").click()
    expect(page.locator("table.list .instance").first).to_have_text(f"order-{MANY - 51:06}")


def test_the_beginning_of_an_id_finds_the_newest_at_once(opened: Open) -> None:
    page = opened("#/instances?id=order-0999").page
    expect(page.locator("table.list .instance").first).to_have_text("order-099999")
