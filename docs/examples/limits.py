"""Limits over all hosts of a hub: per tenant, of a partner's API, and of a whole section of an orchestration."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

from durable_core import DurableClient, EntityId, Limit, Orchestration, OrchestrationContext, activity, orchestrator

# Each tenant may have two exports under way, on however many hosts.
PER_TENANT = Limit(name="exports", concurrency=2, key=lambda order: order["tenant"])

# The partner bears four calls at once and ten a second; the tenants take turns, each with two calls at most, and
# urgent calls of a tenant go before its others.
PARTNER = Limit(
    name="partner",
    concurrency=4,
    rate=10,
    per=timedelta(seconds=1),
    fair=lambda order: order["tenant"],
    each=2,
    priority=lambda order: order.get("urgency", 0),
)

PRINTER = Limit(name="printer", concurrency=1)

under_way = {"export": 0, "partner": 0}
most = {"export": 0, "partner": 0}
asked: list[str] = []


async def work(kind: str) -> None:
    under_way[kind] += 1
    most[kind] = max(most[kind], under_way[kind])
    await asyncio.sleep(0.5)
    under_way[kind] -= 1


@activity(limit=PER_TENANT)
async def export(order: dict[str, Any]) -> None:
    await work("export")


@activity(limit=PARTNER)
async def ask_partner(order: dict[str, Any]) -> None:
    asked.append(order["tenant"])
    await work("partner")


@orchestrator
def report(ctx: OrchestrationContext, tenant: str) -> Orchestration[None]:
    orders = [{"tenant": tenant, "number": number} for number in range(5)]
    yield from ctx.task_all([ctx.call_activity(export, order) for order in orders])
    yield from ctx.task_all([ctx.call_activity(ask_partner, order) for order in orders])


@orchestrator
def printing(ctx: OrchestrationContext, floor: str) -> Orchestration[str]:
    # a section of the code: one orchestration at a time and floor
    with (yield from ctx.slot(PRINTER, floor)):
        yield ctx.create_timer(timedelta(minutes=1))
    return floor


# One import of a tenant at a time: the next one begins when this one has ended, in whatever way.
@orchestrator(limit=Limit(name="imports", concurrency=1, key=lambda order: order["tenant"]))
def import_all(ctx: OrchestrationContext, order: dict[str, Any]) -> Orchestration[str]:
    began = ctx.current_utc_datetime
    yield ctx.create_timer(timedelta(minutes=5))
    return began.isoformat()


async def print_once(client: DurableClient, floor: str, now: datetime) -> str:
    # one start of a floor and hour, however often and from however many hosts it is asked for
    return await client.start_new(printing, f"printing-{floor}-{now:%Y%m%dT%H}", client_input=floor, if_exists="return")


async def example(client: DurableClient) -> None:
    tenants = ("acme", "zeta")
    for tenant in tenants:
        await client.start_new(report, tenant, tenant)
    for tenant in tenants:
        status = await client.wait_for_completion(tenant, timeout=600)
        assert status.runtime_status == "Completed"
    assert most["export"] <= 2 * len(tenants)
    assert most["partner"] <= 4
    assert {"acme", "zeta"} == set(asked[:4])  # they take turns

    for name in ("first", "second"):
        await client.start_new(printing, name, client_input="floor 3")
        await asyncio.sleep(1)
    waits = await client.explain("second")
    assert "slot of limit 'printer:floor 3'" in waits.sentence
    assert "'first'" in waits.sentence
    gate = await client.read_entity(EntityId("durable.gate", "printer:floor 3"))
    assert gate is not None
    await client.terminate("first", "out of paper")  # every end gives the slot back
    assert (await client.wait_for_completion("second", timeout=600)).output == "floor 3"

    for name in ("import-1", "import-2"):
        await client.start_new(import_all, name, {"tenant": "acme"})
    one, two = [await client.wait_for_completion(name, timeout=1200) for name in ("import-1", "import-2")]
    apart = datetime.fromisoformat(one.output) - datetime.fromisoformat(two.output)
    assert abs(apart) >= timedelta(minutes=5)

    now = datetime(2030, 1, 1, 12, tzinfo=UTC)
    first = await print_once(client, "floor 4", now)
    assert await print_once(client, "floor 4", now + timedelta(minutes=59)) == first
    assert await print_once(client, "floor 4", now + timedelta(minutes=60)) != first
