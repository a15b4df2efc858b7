"""Gates in virtual time: places, order, rate, giving up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from durable_core.runtime.activities.slots import Slot
from durable_core.testing.virtual_time import VirtualTimeLoop, run_virtual


def virtually(scenario: Callable[[VirtualTimeLoop], Awaitable[None]]) -> None:
    loop = VirtualTimeLoop()

    async def main() -> None:
        await scenario(loop)

    run_virtual(main(), loop)


def test_a_gate_without_limits_is_always_open() -> None:
    async def scenario(_: VirtualTimeLoop) -> None:
        gate = Slot()
        for _number in range(1000):
            assert gate.is_open
            assert await gate.enter(until=0.0)

    virtually(scenario)


def test_who_waits_is_let_in_in_order_as_places_come_free() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        gate, order = Slot(max_concurrency=2), list[tuple[int, float]]()

        async def work(number: int) -> None:
            assert await gate.enter()
            order.append((number, loop.time()))
            await asyncio.sleep(1)
            gate.leave()

        await asyncio.gather(*(work(number) for number in range(6)))
        assert order == [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)]
        assert gate.is_open

    virtually(scenario)


def test_entries_are_spaced_by_the_rate() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        gate, times = Slot(rate=4.0), list[float]()

        async def work() -> None:
            assert await gate.enter()
            times.append(loop.time())

        await asyncio.gather(*(work() for _ in range(5)))
        assert times == [0, 0.25, 0.5, 0.75, 1]
        await asyncio.sleep(60)
        assert gate.is_open  # time in which nobody came does not add up to a burst
        await asyncio.gather(*(work() for _ in range(3)))
        assert [round(time - times[5], 6) for time in times[5:]] == [0, 0.25, 0.5]

    virtually(scenario)


def test_who_gives_up_or_is_cancelled_takes_no_place() -> None:
    async def scenario(loop: VirtualTimeLoop) -> None:
        gate = Slot(max_concurrency=1)
        assert await gate.enter()
        cancelled = asyncio.create_task(gate.enter())
        assert not await gate.enter(until=loop.time() + 3)
        assert loop.time() == 3
        last = asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        cancelled.cancel()
        gate.leave()
        assert await last
        assert not gate.is_open
        gate.leave()
        assert gate.is_open

    virtually(scenario)


def test_one_who_is_cancelled_while_being_let_in_hands_the_place_on() -> None:
    async def scenario(_: VirtualTimeLoop) -> None:
        gate = Slot(max_concurrency=1)
        assert await gate.enter()
        first, second = asyncio.create_task(gate.enter()), asyncio.create_task(gate.enter())
        await asyncio.sleep(0)
        gate.leave()  # the place is given to the first, which is cancelled before it runs
        first.cancel()
        assert await second

    virtually(scenario)
