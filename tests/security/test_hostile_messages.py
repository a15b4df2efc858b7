"""Whoever may write to a queue can send anything. It takes no app down, spins nowhere, and is not lost silently."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from durable_core.hub.keys import FORMAT, JOURNAL_FORMAT
from durable_core.runtime.stuck import StuckMarker
from durable_core.settings import Settings
from tests.security.fuzzed_app import REGISTRY
from tests.support.function_host import FunctionHost, function_host

EXECUTION = "0123456789abcdef"


def body(**inner: Any) -> str:
    return json.dumps({"durable": {"v": FORMAT, "i": "live", "x": EXECUTION, **inner}})


UNREADABLE = {
    "no JSON": "}{",
    "not ours": '{"hello": 1}',
    "without end": '{"durable":' + "[" * 40_000,
    "an id that is no key": body(i="a/b"),
    "an id that is none": body(i=7),
    "counts that are texts": body(e=[["x", "y", "z", 1, None, 0]]),
    "a call of nothing": body(c=[[0, 1, 1, None, None]]),
    "a failure that is none": body(e=[[0, 1, 1, None, {"type": 1, "message": []}, 0]]),
    "a number that is none": body(e=[[0, 1, 1, 0, None, 0]]).replace("[0, 1, 1, 0,", "[0, 1, 1, 1e999,"),
    "a reference to nowhere": body(ref="@../../other-1-2"),
    "what unpacks to nothing": body(z="eJw="),
}


@pytest.fixture
async def host() -> AsyncIterator[FunctionHost]:
    async with function_host(REGISTRY, Settings(store=":memory:", signing_keys=("a key of these tests",))) as running:
        yield running


@pytest.mark.parametrize("queue", ["durable-control", "durable-work"])
async def test_an_unreadable_message_is_set_aside_after_five_tries_and_kept(host: FunctionHost, queue: str) -> None:
    for text in UNREADABLE.values():
        await host.storage.queue(queue).send(text)
    assert await host.drain() == 5 * len(UNREADABLE)
    poison = host.storage.queue(f"{queue}-poison")
    assert await poison.count() == len(UNREADABLE)
    client = await host.durable.client()
    report = await client.recover(full=False)
    assert (report.unreadable, report.poisoned) == (len(UNREADABLE), 0)
    assert await poison.count() == len(UNREADABLE), "kept for a person to look at"
    assert (await client.recover(full=False)).unreadable == 0, "and not looked at again at each round"


async def test_errors_do_not_repeat_what_a_message_holds(host: FunctionHost) -> None:
    await host.storage.queue("durable-control").send(body(e="the-password-in-an-input"))
    await host.drain()
    assert len(host.failures) == 5
    assert not [error for error in host.failures if "the-password" in str(error)]


async def test_unreadable_messages_stop_neither_others_nor_the_recovery_of_others(host: FunctionHost) -> None:
    client = await host.durable.client()
    for text in UNREADABLE.values():
        await host.storage.queue("durable-control-poison").send(text)
        await host.storage.queue("durable-control").send(text)
    await client.start_new("order", "o-1", {"sku": "tea"})
    await host.storage.queue("durable-control").clear()  # its wake-up is lost, too
    report = await client.recover(full=True)
    assert (report.unreadable, report.woken_up) == (len(UNREADABLE), 1)
    await host.drain()
    assert (await client.get_status("o-1")).output == 3


async def test_a_message_of_a_later_format_waits_for_a_newer_host_and_not_for_ever(
    host: FunctionHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = host.storage.queue("durable-control")
    await queue.send(body(v=JOURNAL_FORMAT + 1))
    assert await host.drain() == 1
    assert not host.failures
    assert await queue.count() == 1, "it was given back"
    assert not await queue.receive(), "with a delay"
    await queue.clear()
    long_ago = (datetime.now(UTC) - timedelta(seconds=StuckMarker.PATIENCE + 60)).timestamp()
    await queue.send(body(v=JOURNAL_FORMAT + 1, s=long_ago))
    assert await host.drain() == 5
    poison = host.storage.queue("durable-control-poison")
    assert await poison.count() == 1
    assert (await (await host.durable.client()).recover(full=False)).unreadable == 1
    assert await poison.count() == 1, "kept for a host that can read it"


async def test_results_that_nobody_asked_for_change_nothing(host: FunctionHost) -> None:
    client = await host.durable.client()
    started = await client.start_new("waits", "live")
    await host.drain()
    status = await client.get_status("live")
    for outcome in ([0, 1, 1, "forged", None, 0], [0, 99, 1, "forged", None, 0], [7, 1, 1, "forged", None, 1]):
        await host.storage.queue("durable-control").send(body(x=status.execution_id, e=[outcome]))
    await host.storage.queue("durable-control").send(body(x="f" * 16, e=[[0, 1, 1, "other execution", None, 0]]))
    await host.drain()
    await client.raise_event(started, "Go", "right")
    await host.drain()
    assert (await client.get_status("live")).output == "right"
    assert not host.failures
