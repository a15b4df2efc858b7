"""Interleavings about updates: each is carried out once, and whoever asks is answered (R34, R35)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.errors import RowExistsError, UpdateNotEndedError
from durable_core.hub.updates import UpdateRows
from durable_core.runtime.instance_cache import InstanceCache
from durable_core.runtime.turn import commit
from durable_core.runtime.turn.update_answers import rows_of
from durable_core.storage.ports import Insert

from .plays import Play
from .plays_of_turns import COMMIT
from .scenarios import Effects
from .stage import Stage


def registry_with_updates(_stage: Callable[[], Stage], _effects: Effects) -> Registry:
    @orchestrator
    def tally(ctx: OrchestrationContext) -> Orchestration[int]:
        """Counts votes until an event ends it."""
        votes = 0

        def vote(number: int) -> int:
            nonlocal votes
            votes += number
            return votes

        ctx.set_update_handler("vote", vote)
        yield from ctx.wait_for_external_event("Enough")
        return votes

    return Registry().add(tally)


async def _begun(stage: Stage) -> None:
    await stage.client.start_new("tally", "one")
    await stage.host().handle("control")


async def _vote(stage: Stage) -> Any:
    """The answer to the vote "v", from a sender that waits for a minute."""
    try:
        return await stage.client.update("one", "vote", 1, update_id="v", timeout=60)
    except UpdateNotEndedError:
        return "no answer"


async def an_update_that_is_sent_again_is_not_carried_out_again(stage: Stage) -> None:
    """A host carries out an update, whose request goes with its commit. The sender has got no answer, and sends the
    update again with the same id. The host has died meanwhile, and another one takes it."""
    await _begun(stage)
    for _ in range(2):
        sent = asyncio.create_task(_vote(stage))
        await asyncio.sleep(1)
        await stage.settle()
        assert await sent == 1, f"carried out twice: {await sent}"
    await stage.client.raise_event("one", "Enough")
    await stage.ends_well()
    assert await stage.output() == 1


async def an_update_whose_host_dies_right_after_the_commit_is_answered(stage: Stage) -> None:
    """A host commits the end of an update, and dies before it does anything else. The message comes to another host,
    for which the update has ended: there is nothing left to be done."""
    await _begun(stage)
    sent = asyncio.create_task(_vote(stage))
    await asyncio.sleep(1)
    host = stage.host()
    host.crash_at(COMMIT, "after")
    await host.handle("control")
    await stage.lease_expires()
    await stage.settle()
    answer = await sent
    assert answer == 1, f"lost: {answer}"
    await stage.client.raise_event("one", "Enough")
    await stage.ends_well()


def without_the_row_in_the_transaction(patch: pytest.MonkeyPatch) -> None:
    async def insert(self: UpdateRows, instance_id: str, key: str, request: Insert, attempt: str) -> None:
        table = self._table  # pyright: ignore[reportPrivateUsage]
        await table.insert(instance_id, request.key, request.props)
        try:
            await table.insert(instance_id, key, {"by": attempt, "request": request.key})
        except RowExistsError:
            await table.replace(instance_id, key, {"by": attempt, "request": request.key})

    patch.setattr(UpdateRows, "insert", insert)


def without_the_answer_in_the_transaction(patch: pytest.MonkeyPatch) -> None:
    later: list[tuple[Any, str, Any]] = []

    async def none(hub: Any, instance: Any, answers: Any, *, again: bool) -> Any:
        later.append((hub, instance.instance_id, await rows_of(hub, instance, answers, again=again)))
        return ()

    def answered(_cache: InstanceCache, _instance: Any, _answers: Any) -> None:
        hub, instance_id, changes = later.pop()
        asyncio.get_running_loop().create_task(hub.updates.write(instance_id, changes))

    patch.setattr(commit, "rows_of", none)
    patch.setattr(InstanceCache, "answered", answered)


PLAYS = [
    Play(
        "R34",
        an_update_that_is_sent_again_is_not_carried_out_again,
        without_the_row_in_the_transaction,
        "carried out twice: 2",
        registry_with_updates,
    ),
    Play(
        "R35",
        an_update_whose_host_dies_right_after_the_commit_is_answered,
        without_the_answer_in_the_transaction,
        "lost: no answer",
        registry_with_updates,
    ),
]
