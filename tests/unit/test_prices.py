"""Prices: the table, the setting, what one instance costs, and what instances cost by orchestrator."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cloud import facts
from durable_core import Orchestration, OrchestrationContext, Registry, activity, orchestrator
from durable_core.cli.cost import amount_text
from durable_core.cli.show import status_lines
from durable_core.errors import (
    ConfigurationError,
    DamagedRowError,
    InstanceNotFoundError,
    InvalidInputError,
    SerializationError,
)
from durable_core.hub.instance_row import read_instance
from durable_core.hub.messages import ControlMessage, decode, encode
from durable_core.models import Operations, OrchestrationStatus, RuntimeStatus
from durable_core.operate.price import PriceTally
from durable_core.prices import AZURE, EMBEDDED, Prices, read_prices
from durable_core.settings import Settings
from durable_core.storage.ports import Row, Value
from durable_core.testing.simulation import World
from durable_core.testing.virtual_time import START

ROUND = Prices(table_reads=1.0, table_writes=2.0, queue_operations=10.0, currency="EUR", date="2026-11-01")
TEXT = '{"tableReads": 1, "tableWrites": 2.0, "queueOperations": 10, "currency": "EUR", "date": "2026-11-01"}'


def test_an_amount_is_that_of_ten_thousand_operations() -> None:
    assert ROUND.of(Operations(10_000, 20_000, 1_000)) == 1.0 + 4.0 + 1.0
    assert EMBEDDED.of(Operations(10_000, 20_000, 1_000)) == 0.0


def test_the_page_about_scale_has_the_same_prices() -> None:
    assert (facts.PRICES.table_transactions.value, facts.PRICES.queue_operations.value, facts.READ) == (
        AZURE.table_reads,
        AZURE.queue_operations,
        AZURE.date,
    )
    assert AZURE.table_writes == AZURE.table_reads > 0


def test_a_setting_is_the_object_or_the_path_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "prices.json"
    file.write_text("\ufeff" + TEXT, "utf-8")
    for setting in (TEXT, f"  {TEXT}\n", str(file)):
        assert read_prices(setting) == ROUND
        assert Settings.from_environment({"DURABLE_PRICES": setting}).prices == ROUND
    assert Settings.from_environment({}).prices is None


@pytest.mark.parametrize(
    ("setting", "problem"),
    [
        ("nowhere.json", "cannot be read"),
        (".", "cannot be read"),
        ("{", "neither the path"),
        ("{" * 100_000, "neither the path"),
        ("[1]", "cannot be read"),
        ("{}", "'tableReads' is missing"),
        (TEXT.replace("tableReads", "tableRead"), "'tableRead' is not known"),
        (TEXT.replace("1,", "-1,"), "'tableReads' must be the price"),
        (TEXT.replace("1,", "NaN,"), "'tableReads' must be the price"),
        (TEXT.replace("1,", "1e999,"), "'tableReads' must be the price"),
        (TEXT.replace("1,", "true,"), "'tableReads' must be the price"),
        (TEXT.replace("1,", '"1",'), "'tableReads' must be the price"),
        (TEXT.replace("EUR", "euros"), "'currency' must be"),
        (TEXT.replace("2026-11-01", "yesterday"), "'date' must be"),
    ],
)
def test_a_wrong_setting_says_what_is_wrong(setting: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem) as raised:
        Settings.from_environment({"DURABLE_PRICES": setting})
    assert "DURABLE_PRICES" in str(raised.value)


def status(name: str, operations: Operations | None, end: RuntimeStatus = RuntimeStatus.COMPLETED) -> Any:
    return OrchestrationStatus(instance_id="i", name=name, runtime_status=end, operations=operations)


def test_a_list_has_number_sum_mean_and_p95_by_orchestrator_the_dearest_first() -> None:
    tally = PriceTally(ROUND)
    tally.add(status("order", Operations(messages=number * 1_000)) for number in range(1, 101))
    tally.add([status("order", None), status("order", Operations(1, 1, 1), RuntimeStatus.RUNNING)])
    tally.add([status("old", None), status("dear", Operations(messages=100_000_000))])
    found = tally.result(is_complete=True)
    dear, order, old = found.orchestrators
    assert (dear.name, dear.total, dear.mean, dear.p95) == ("dear", 100_000.0, 100_000.0, 100_000.0)
    assert (order.instances, order.not_counted, order.open) == (100, 1, 1)
    assert (order.total, order.mean, order.p95) == (5050.0, 50.5, 95.0)
    assert order.operations == Operations(messages=5_050_000)
    assert (old.instances, old.not_counted, old.mean, old.p95, old.total) == (0, 1, None, None, 0.0)
    json.dumps(found.to_json(), allow_nan=False)


@activity
def work(_: Any) -> None: ...


@activity
def breaks(_: Any) -> None:
    raise ValueError("no")


@orchestrator
def chain(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(work, None)


@orchestrator
def queued(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.task_all([ctx.call_activity(work, None, inline=False) for _ in range(5)])


@orchestrator
def fails(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.call_activity(breaks, None)


@orchestrator
def waits(ctx: OrchestrationContext) -> Orchestration[None]:
    yield from ctx.wait_for_external_event("go")


def world_of(**options: Any) -> World:
    return World(Registry().add(work, breaks, chain, queued, fails, waits), counting=True, **options)


def test_what_instances_cost_is_asked_of_the_client() -> None:
    async def drive(world: World) -> None:
        client = world.client
        for number in range(10):
            for program in (chain, queued, fails, waits):
                await client.start_new(program, f"{program.__name__}-{number}")
        await client.terminate("waits-0")
        await asyncio.sleep(30)
        price = await client.price("chain-0")
        assert (price.name, price.operations, price.prices) == ("chain", Operations(1, 5, 3), ROUND)
        assert price.amount == pytest.approx((1 + 2 * 5 + 10 * 3) / 10_000)
        assert (await client.get_status("chain-0")).operations == price.operations
        running = await client.price("waits-1")
        assert running.operations is not None and running.runtime_status is RuntimeStatus.RUNNING
        with pytest.raises(InstanceNotFoundError):
            await client.price("nobody")

        before = world.counted.counts
        found = await client.prices()
        assert (world.counted.counts - before).by_kind == {"table.read_range": 2}
        assert found.is_complete and found.prices == ROUND
        queued_price, *others = found.orchestrators
        assert (queued_price.name, queued_price.instances) == ("queued", 10)
        by_name = {each.name: each for each in others}
        assert by_name["waits"].open == 9 and by_name["waits"].instances == 1
        assert by_name["chain"].operations == Operations(10, 50, 30)
        assert by_name["chain"].mean == by_name["chain"].p95 == pytest.approx(price.amount)
        assert by_name["fails"].instances == 10  # its row by the time of its end says the same

        some = await client.prices(limit=7)
        assert not some.is_complete
        assert sum(each.instances + each.open for each in some.orchestrators) == 7
        only = await client.prices(name="chain", created_time_from=world.loop.now() - timedelta(hours=1))
        assert [each.name for each in only.orchestrators] == ["chain"]
        failed = await client.prices(runtime_status=RuntimeStatus.FAILED, order="ended")
        assert [(each.name, each.instances) for each in failed.orchestrators] == [("fails", 10)]
        for wrong in (0, -1, 1.5):
            with pytest.raises(InvalidInputError, match="limit"):
                await client.prices(limit=wrong)  # type: ignore[arg-type]

    world_of(settings=Settings(prices=ROUND)).run(drive)


def test_what_the_catalogue_says_of_an_end_is_what_the_row_says() -> None:
    async def drive(world: World) -> None:
        for program in (chain, queued, fails, waits):
            await world.client.start_new(program, program.__name__)
        await asyncio.sleep(5)
        await world.client.terminate("waits")
        await asyncio.sleep(30)
        listed = (await world.client.list_instances(show_details=False)).instances
        assert len(listed) == 4
        for each in listed:
            row = await world.client.get_status(each.instance_id)
            assert each.operations == row.operations is not None, each

    world_of(hosts=2).run(drive)


def test_the_embedded_store_costs_nothing_and_shows_operations() -> None:
    async def drive(world: World) -> None:
        await world.client.start_new(chain, "one")
        await asyncio.sleep(5)
        price = await world.client.price("one")
        assert price.amount == 0 and price.operations is not None
        shown = price.to_json()
        assert "date" not in shown["prices"]
        assert shown["inAzure"]["amount"] == pytest.approx(AZURE.of(price.operations), rel=1e-6)
        listed = (await world.client.prices()).to_json()["orchestrators"]
        assert [each["inAzure"] for each in listed] == [shown["inAzure"]]

    world_of().run(drive)


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (None, "USD", ""),
        (0.0, "USD", "$0"),
        (0.000024504, "USD", "$0.0000245"),
        (0.0123, "EUR", "€0.0123"),
        (1.5, "GBP", "£1.50"),
        (99.999, "CHF", "CHF 100.00"),
        (12345.6, "USD", "$12,345.60"),
        (4e-8, "USD", "$0.0000000400"),
    ],
)
def test_an_amount_is_shown_with_three_digits(amount: float | None, currency: str, shown: str) -> None:
    assert amount_text(amount, currency) == shown


def test_a_row_or_message_with_a_damaged_number_is_damaged_and_nothing_else() -> None:
    row = Row("one", "z", {"ops": "1,2,3"}, "e", datetime(2026, 1, 1, tzinfo=UTC))
    for wrong in ("", "1,2", "a,b,c", 7, "1,2," + "9" * 5000):
        with pytest.raises(DamagedRowError):
            read_instance(replace(row, props={**ROW, "ops": wrong}))
    assert read_instance(replace(row, props=ROW | {"ops": "1,2,3,4"})).operations == Operations(1, 2, 3)
    assert read_instance(replace(row, props=ROW)).operations is None

    message = ControlMessage(instance_id="one", execution_id="x", operations=Operations(0, 0, 3))
    for operations in (Operations(), Operations(0, 0, 3), Operations(2, 1, 6)):
        assert decode(encode(replace(message, operations=operations))) == replace(message, operations=operations)
    assert '"o":3' in encode(message) and '"o"' not in encode(replace(message, operations=Operations()))
    hostile: list[Any] = ["3", True, -1, 1.5, [1, 2], [1, 2, -3], [1, 2, "3"], {}, None, 2**60]
    for wrong in hostile:
        with pytest.raises(SerializationError):
            decode(json.dumps({"durable": {"v": 1, "i": "one", "x": "x", "o": wrong}}))


ROW: dict[str, Value] = {
    "fmt": 1,
    "name": "order",
    "version": "",
    "status": "Running",
    "created": "2026-01-01T00:00:00.000000Z",
    "updated": "2026-01-01T00:00:00.000000Z",
    "exec": "x",
    "gen": 0,
    "seq": 0,
    "first": 0,
    "base": 0,
    "dispatched": -1,
    "input": "null",
}


def test_show_tells_operations_in_one_line() -> None:
    document = {"tableReads": 1, "tableWrites": 1500, "queueOperations": 3, "total": 1504}
    lines = status_lines({"instanceId": "a", "runtimeStatus": "Running", "operations": document}, START, utc=True)
    shown = "operations     1,504 storage operations: 1 table reads, 1,500 table writes, 3 on messages"
    assert lines[-1] == shown
