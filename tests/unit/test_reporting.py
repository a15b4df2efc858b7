"""Results for an orchestrator that lives elsewhere share messages, and none waits for anything but a send."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine
from typing import Any

import pytest

from durable_core.errors import StorageUnavailableError
from durable_core.hub.messages import ControlMessage, TaskOutcome
from durable_core.hub.taskhub import TaskHub
from durable_core.models import JSON
from durable_core.runtime.activities.results import REPORT_CHARS, Reports
from durable_core.settings import Settings
from durable_core.storage.ports import Queue
from durable_core.storage.sqlite import SqliteStorage
from durable_core.testing.faults import Fault, FaultPlan, FaultyStorage, Moment


class Place:
    """Reports over a real hub, whose sends can be held."""

    def __init__(self) -> None:
        self.storage = SqliteStorage(":memory:")
        self.plan = FaultPlan(gate=self._gate)
        self.hub = TaskHub(FaultyStorage(self.storage, self.plan), Settings())
        self.may_send = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []
        self.reports = Reports(self.hub, self._spawn)

    async def _gate(self, what: str, moment: Moment) -> None:
        if what.startswith("send") and moment == "before":
            await self.may_send.wait()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self.tasks.append(asyncio.create_task(work))

    def send(
        self, task_id: int, *, instance: str = "one", after: int | None = None, result: JSON = None
    ) -> asyncio.Task[None]:
        outcome = TaskOutcome(0, task_id, 1, result)
        report = ControlMessage(instance_id=instance, execution_id="e", outcomes=(outcome,), after=after)
        return asyncio.create_task(self.reports.send(report))

    async def sent(self) -> list[ControlMessage]:
        queue: Queue = self.storage.queue(self.hub.names.control[0])
        found = [await self.hub.read_message(message.body) for message in await queue.receive(32)]
        return [message for message in found if isinstance(message, ControlMessage)]


def tasks_of(message: ControlMessage) -> list[int]:
    return [outcome.task_id for outcome in message.outcomes]


async def once_around() -> None:
    """Until all that can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
async def place() -> AsyncGenerator[Place]:
    place = Place()
    await place.hub.create()
    yield place
    await asyncio.gather(*place.tasks, return_exceptions=True)
    await place.storage.close()


async def test_results_that_end_during_a_send_travel_together_in_the_next(place: Place) -> None:
    senders = [place.send(0)]
    await once_around()
    senders += [place.send(number) for number in range(1, 6)]
    await once_around()
    assert not any(sender.done() for sender in senders), "nobody is told before the message is in the queue"
    place.may_send.set()
    await asyncio.gather(*senders)
    assert [tasks_of(message) for message in await place.sent()] == [[0], [1, 2, 3, 4, 5]]


async def test_a_lone_result_waits_for_no_other(place: Place) -> None:
    place.may_send.set()
    for number in range(3):
        await place.send(number)
        assert [tasks_of(message) for message in await place.sent()] == [[number]]


async def test_what_says_something_else_stands_for_itself(place: Place) -> None:
    """Another instance's results, and those of work that a redispatch sent, which names a commit."""
    senders = [place.send(1), place.send(2, instance="other"), place.send(3, after=7)]
    place.may_send.set()
    await asyncio.gather(*senders)
    sent = {(message.instance_id, message.after): tasks_of(message) for message in await place.sent()}
    assert sent == {("one", None): [1], ("other", None): [2], ("one", 7): [3]}


async def test_a_send_that_fails_fails_for_those_whose_results_it_held_and_for_nobody_else(place: Place) -> None:
    before = len(place.plan.operations)
    place.plan.strikes[before + 1] = Fault.FAIL_BEFORE
    first = place.send(0)
    await once_around()
    together = [place.send(number) for number in (1, 2)]
    await once_around()
    place.may_send.set()
    outcomes = await asyncio.gather(first, *together, return_exceptions=True)
    assert outcomes[0] is None
    assert all(isinstance(each, StorageUnavailableError) for each in outcomes[1:])
    await place.send(3)
    assert [tasks_of(message) for message in await place.sent()] == [[0], [3]]


async def test_a_sender_that_gives_up_takes_no_other_along(place: Place) -> None:
    first = place.send(0)
    await once_around()
    second, third = place.send(1), place.send(2)
    await once_around()
    first.cancel()
    second.cancel()
    await once_around()
    place.may_send.set()
    await third
    assert [tasks_of(message) for message in await place.sent()] == [[0], [1, 2]]


async def test_nobody_waits_for_a_process_that_stops(place: Place) -> None:
    senders = [place.send(0)]
    await once_around()
    senders += [place.send(1)]
    await once_around()
    for task in place.tasks:
        task.cancel()
    outcomes = await asyncio.gather(*senders, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes)


async def test_large_results_are_not_put_into_one_message(place: Place) -> None:
    first = place.send(0)
    await once_around()
    large = [place.send(number, result="x" * (REPORT_CHARS * 2 // 3)) for number in (1, 2)]
    await once_around()
    place.may_send.set()
    await asyncio.gather(first, *large)
    assert [tasks_of(message) for message in await place.sent()] == [[0], [1], [2]]
