"""A purge while another host still dispatches the end of the instance leaves nothing behind."""

from __future__ import annotations

import asyncio

import pytest

from .plays import play_registry
from .stage import Stage, on_stage


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_host_that_closes_the_instance_meanwhile_leaves_no_row_in_the_catalogue(moment: str) -> None:
    """Host 1 ends the instance, and stalls before it closes its catalogue row. Host 2 purges, and has seen that there
    is no closed row. Then host 1 goes on."""

    async def play(stage: Stage) -> None:
        await stage.client.start_new("collect", "one", 1)
        await stage.client.raise_event("one", "Item", "x")
        first, second = stage.host(), stage.host()
        about_to_close = first.hold(r"transact \w+Catalog")
        turn = await first.begin("control")
        await about_to_close.reached()
        about_to_look = second.hold(r"get \w+Catalog", "before" if moment == "before" else "after")
        purge = asyncio.create_task(second.client.purge_instance_history("one"))
        await about_to_look.reached()
        about_to_close.let_go()
        await asyncio.wait([turn])
        about_to_look.let_go()
        assert await purge == 1
        await stage.settle()
        assert await stage.client.get_status_all() == []

    on_stage(play_registry, play)
