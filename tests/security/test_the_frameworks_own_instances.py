"""Schedules are instances, and so within reach of whoever may raise events and choose ids: nothing confuses them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from durable_core.runtime.schedules.orchestrator import CONTROL, SCHEDULE_NAME, SCHEDULE_PREFIX
from durable_core.settings import Settings
from tests.security.fuzzed_app import REGISTRY
from tests.support.function_host import FunctionHost, function_host

NONE_OF_OURS: list[Any] = [
    None,
    7,
    "pause",
    [],
    {},
    {"do": None},
    {"do": "pause"},
    {"do": "pause", "reason": 7},
    {"do": "trigger"},
    {"do": "trigger", "run": ["x"]},
    {"do": "trigger", "run": "another-instance"},
    {"do": "trigger", "run": "../nightly:20250101T000000Z-000000"},
]


@pytest.fixture
async def host() -> AsyncIterator[FunctionHost]:
    async with function_host(REGISTRY, Settings(store=":memory:", signing_keys=("a key of these tests",))) as running:
        yield running


async def test_a_schedule_ignores_requests_that_are_none(host: FunctionHost) -> None:
    client = await host.durable.client()
    await client.create_schedule("nightly", "order", interval=timedelta(days=1), client_input={"sku": "tea"})
    await host.drain()
    before = await client.get_schedule("nightly")
    for data in NONE_OF_OURS:
        answer = await host.call("POST", f"instances/{SCHEDULE_PREFIX}nightly/raiseEvent/{CONTROL}", data)
        assert answer.status == 202
        await host.drain()
    assert await client.get_schedule("nightly") == before
    await client.pause_schedule("nightly", "enough")
    await host.drain()
    assert (await client.get_schedule("nightly")).is_paused
    for data in NONE_OF_OURS:
        await host.call("POST", f"instances/{SCHEDULE_PREFIX}nightly/raiseEvent/{CONTROL}", data)
        await host.drain()
    assert (await client.get_schedule("nightly")).pause_reason == "enough"
    assert not host.failures


async def test_an_instance_with_the_id_of_a_schedule_is_none(host: FunctionHost) -> None:
    client = await host.durable.client()
    assert (await host.call("POST", f"orchestrators/waits/{SCHEDULE_PREFIX}fake")).status == 202
    await client.create_schedule("nightly", "order", interval=timedelta(days=1), client_input={"sku": "tea"})
    await host.drain()
    listed = (await host.call("GET", "schedules")).json()
    assert [schedule["scheduleId"] for schedule in listed] == ["nightly"]


async def test_the_frameworks_orchestrators_are_not_started_over_http(host: FunctionHost) -> None:
    answer = await host.call("POST", f"orchestrators/{SCHEDULE_NAME}/{SCHEDULE_PREFIX}fake", {"schedule_id": 7})
    assert (answer.status, answer.json()["error"]["code"]) == (400, "UnknownOrchestrator")
    assert (await host.call("GET", f"instances/{SCHEDULE_PREFIX}fake")).status == 404
