"""The built-in activity ``durable.bulk.slice``: the action of a bulk operation on one part of the list.

It may run twice, like every activity: what it does to an instance carries the key of the bulk operation, and an
instance takes it once.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from ...activity_context import ActivityContext
from ...definitions import ActivityDefinition
from ...errors import (
    DurableError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
    NonRetriableError,
    StorageUnavailableError,
)
from ...instance_ids import MAX_INSTANCE_ID
from ...models import JSON, OrchestrationStatus
from ..listing import LOOKED_AT_ONCE
from .orchestrator import SLICE_NAME, BulkProgress, until_of
from .request import BulkAction, BulkRequest

if TYPE_CHECKING:
    from ..client import DurableClient

PAGE = 8 * LOOKED_AT_ONCE  # instances between two heartbeats
SLICE_INSTANCES = 20 * PAGE
SLICE_SECONDS = 10.0  # of one part, after which the progress is shown, and a cancellation is obeyed

_MADE_BY_RESTART = re.compile("~[0-9a-f]{8}$")  # see ``restart_id``

logger = logging.getLogger("durable_core.runtime")


class BulkSlices:
    """One per app. ``client`` is set before the first message is handled."""

    def __init__(self) -> None:
        self.client: DurableClient | None = None

    @property
    def definition(self) -> ActivityDefinition:
        """The activity, to be registered."""
        return ActivityDefinition(
            name=SLICE_NAME,
            fn=self.run,
            input_type=dict[str, Any],
            takes_context=True,
            is_async=True,
            location=__name__,
            inline=False,  # the bulk operation must receive a cancellation while a part runs
        )

    async def run(self, ctx: ActivityContext, asked: dict[str, Any]) -> dict[str, JSON]:
        """Act on the instances after ``asked["token"]`` for some seconds. Returns the counts and the next token."""
        assert self.client is not None, "the app is not open"
        try:
            request = BulkRequest.from_stored(asked["request"])
        except InvalidInputError as error:
            raise NonRetriableError(str(error)) from error
        query, until = request.query, until_of(asked["until"])
        if query.created_to is None or query.created_to > until:
            query = replace(query, created_to=until)
        progress, token = BulkProgress(), asked["token"]
        last: Any = ctx.last_heartbeat
        if last is not None:  # of an attempt that a crash ended
            kept: dict[str, Any] = dict(last)
            token = kept.pop("token")
            progress = BulkProgress(**kept)
        loop = asyncio.get_running_loop()
        end, most = loop.time() + SLICE_SECONDS, progress.matched + SLICE_INSTANCES
        while True:
            page = await self.client._listing.page(query, PAGE, token)  # pyright: ignore[reportPrivateUsage]
            await self._act(self.client, ctx, request, page.instances, progress)
            token = page.continuation_token
            if token is None or loop.time() >= end or progress.matched >= most or ctx.is_cancelled:
                return {**asdict(progress), "token": token}
            ctx.heartbeat({**asdict(progress), "token": token})

    async def _act(
        self,
        client: DurableClient,
        ctx: ActivityContext,
        request: BulkRequest,
        instances: list[OrchestrationStatus],
        progress: BulkProgress,
    ) -> None:
        for at in range(0, len(instances), LOOKED_AT_ONCE):  # together: their writes share their flushes
            if ctx.is_cancelled:
                return
            some = instances[at : at + LOOKED_AT_ONCE]
            outcomes = await asyncio.gather(*(_outcome(client, ctx, request, each) for each in some))
            for each, outcome in zip(some, outcomes, strict=True):
                progress.add(outcome if isinstance(outcome, BulkProgress) else _failed(each, outcome))


async def _outcome(
    client: DurableClient, ctx: ActivityContext, request: BulkRequest, instance: OrchestrationStatus
) -> BulkProgress | DurableError:
    """StorageUnavailableError is raised: the whole part is tried again when the storage answers."""
    try:
        is_done = await _do(client, ctx, request, instance)
    except (InstanceNotFoundError, InstanceCompletedError, ExecutionGoneError):
        is_done = False
    except StorageUnavailableError:
        raise
    except DurableError as error:  # of this instance alone
        return error
    return BulkProgress(matched=1, done=int(is_done), skipped=int(not is_done))


def _failed(instance: OrchestrationStatus, error: DurableError) -> BulkProgress:
    logger.warning("a bulk operation left instance '%s' as it is: %s", instance.instance_id, error)
    told = {"instanceId": instance.instance_id, "message": f"{type(error).__name__}: {error}"[:500]}
    return BulkProgress(matched=1, failed=1, errors=[told])


async def _do(client: DurableClient, ctx: ActivityContext, request: BulkRequest, instance: OrchestrationStatus) -> bool:
    """Whether the instance has been changed; False: it had ended, or was gone. Safe to repeat."""
    instance_id, execution_id, key = instance.instance_id, instance.execution_id, f"bulk/{ctx.execution_id}"
    match request.action:
        case BulkAction.TERMINATE:
            await client.terminate(instance_id, request.reason, execution_id=execution_id, request_id=key)
        case BulkAction.CANCEL:
            await client.cancel(instance_id, request.reason, execution_id=execution_id, request_id=key)
        case BulkAction.SUSPEND:
            await client.suspend(instance_id, request.reason, execution_id=execution_id, request_id=key)
        case BulkAction.RESUME:
            await client.resume(instance_id, request.reason, execution_id=execution_id, request_id=key)
        case BulkAction.RAISE_EVENT:
            await client.raise_event(
                instance_id, request.event_name, request.data, event_id=key, execution_id=execution_id
            )
        case BulkAction.REWIND:
            await client.rewind(instance_id, request.reason, request_id=key, execution_id=execution_id)
        case BulkAction.PURGE:
            deleted = await client.purge_instance_history(
                instance_id, execution_id=execution_id, recursive=request.recursive
            )
            return deleted > 0
        case BulkAction.RESTART:
            if await _is_restart_of(client, instance_id, key):
                return False
            await _restart(client, instance, restart_id(instance_id, execution_id, key))
    return True


async def _is_restart_of(client: DurableClient, instance_id: str, key: str) -> bool:
    """Whether this bulk operation has made the instance. The time of its creation need not tell: it may be that of the
    operation's beginning, and another host's clock may be behind."""
    if not _MADE_BY_RESTART.search(instance_id):
        return False
    origin = (await client.get_status(instance_id, show_input=False)).restarted_from
    return origin is not None and restart_id(origin.instance_id, origin.execution_id, key) == instance_id


async def _restart(client: DurableClient, instance: OrchestrationStatus, new_id: str) -> None:
    try:
        await client.restart(instance.instance_id, new_instance_id=new_id, execution_id=instance.execution_id)
    except InstanceAlreadyExistsError:
        origin = (await client.get_status(new_id, show_input=False)).restarted_from
        if origin is None or origin.execution_id != instance.execution_id:
            raise  # else by an earlier attempt of this part


def restart_id(instance_id: str, execution_id: str, key: str) -> str:
    """The id of a restart, which is the same at every attempt: the old one and some characters."""
    digest = hashlib.sha256(f"{execution_id}/{key}".encode()).hexdigest()[:8]
    return f"{instance_id[: MAX_INSTANCE_ID - 9]}~{digest}"
