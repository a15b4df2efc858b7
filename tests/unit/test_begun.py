"""A coroutine that is begun at once and awaited later, in the same task."""

from __future__ import annotations

import asyncio

import pytest

from durable_core.storage.eager import Begun


async def test_it_runs_up_to_its_first_wait_and_gives_its_result_when_awaited() -> None:
    said: list[str] = []
    gate = asyncio.get_running_loop().create_future()

    async def work() -> int:
        said.append("begun")
        await gate
        await asyncio.sleep(0)
        said.append("done")
        return 7

    begun = Begun(work())
    assert said == ["begun"] and not begun.is_done
    gate.set_result(None)
    assert await begun == 7
    assert said == ["begun", "done"] and begun.is_done


async def test_what_needs_no_waiting_is_done_at_once() -> None:
    async def work() -> int:
        return 7

    begun = Begun(work())
    assert begun.is_done
    assert await begun == 7


@pytest.mark.parametrize("waits", [False, True])
async def test_its_error_is_raised_to_whoever_awaits_it(waits: bool) -> None:
    async def work() -> None:
        if waits:
            await asyncio.sleep(0)
        raise ValueError("no")

    begun = Begun(work())
    with pytest.raises(ValueError, match="no"):
        await begun


async def test_a_cancellation_reaches_it_and_may_be_answered() -> None:
    async def work() -> str:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            return "cleaned up"
        return "never"

    async def waiter() -> str:
        return await Begun(work())

    task = asyncio.create_task(waiter())
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "cleaned up"


async def test_closed_it_runs_its_clean_up_and_no_more() -> None:
    said: list[str] = []

    async def work() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            said.append("closed")

    Begun(work()).close()
    assert said == ["closed"]
