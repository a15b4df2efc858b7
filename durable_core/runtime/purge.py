"""Deletes ended instances with all their rows, one by its id or many by a filter.

Many instances are deleted in slices of limited time: a purge of tens of thousands takes longer than one request of a
client may.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import count
from typing import NamedTuple

from ..engine.events import SubOrchestrationCreated
from ..errors import ExecutionGoneError, PreconditionFailedError, RowNotFoundError
from ..hub.child_ids import child_id_of, link_of
from ..hub.instance_row import Instance
from ..hub.instances import HistoryMovedError
from ..hub.taskhub import TaskHub
from ..instance_ids import check_instance_id
from ..models import RuntimeStatus
from .listing import LOOKED_AT_ONCE, UNREADABLE, Listing, Query
from .turn.after_end import forget
from .turn.dispatch import Dispatcher

PURGE_SECONDS = 20.0
"""Seconds of one slice. Azure aborts a request after 230 seconds, a proxy perhaps after 30."""

PAGE = 8 * LOOKED_AT_ONCE  # instances between two checks of the time

_ENDED = frozenset(status for status in RuntimeStatus if status.is_terminal)

logger = logging.getLogger("durable_core.runtime")


class PurgeSlice(NamedTuple):
    """The result of one slice of a purge. ``continuation_token`` None: no matching instance is left."""

    deleted: int
    continuation_token: str | None


class Purge:
    def __init__(self, hub: TaskHub, dispatcher: Dispatcher, listing: Listing) -> None:
        self._hub = hub
        self._dispatcher = dispatcher
        self._listing = listing

    async def one(self, instance_id: str, execution_id: str | None, *, recursive: bool) -> int:
        """Purge one instance; returns the number of deleted instances. ExecutionGoneError."""
        check_instance_id(instance_id)
        instance = await self._hub.instances.get(instance_id)
        if instance is not None and execution_id and instance.execution_id != execution_id:
            raise ExecutionGoneError(instance_id)
        if instance is None or not instance.is_terminal:
            return 0
        return await self._with_children(instance) if recursive else await self._alone(instance)

    async def slice(self, query: Query, token: str | None, seconds: float, *, recursive: bool) -> PurgeSlice:
        """Delete ended instances that match the query, newest first, for about ``seconds``."""
        loop, deleted = asyncio.get_running_loop(), 0
        end = loop.time() + seconds
        ended = query.of_statuses(_ENDED)
        while True:
            page = await self._listing.page(ended, PAGE, token)
            found = [status.instance_id for status in page.instances]
            for at in range(0, len(found), LOOKED_AT_ONCE):  # together: their writes share their flushes
                some = found[at : at + LOOKED_AT_ONCE]
                deleted += sum(await asyncio.gather(*(self._one_of_many(each, recursive) for each in some)))
            token = page.continuation_token
            if token is None or loop.time() >= end:
                return PurgeSlice(deleted, token)

    async def _one_of_many(self, instance_id: str, recursive: bool) -> int:
        try:
            return await self.one(instance_id, None, recursive=recursive)
        except UNREADABLE as error:  # the other instances are purged all the same
            logger.warning("instance '%s' is not purged: %s", instance_id, error)
            return 0

    async def _alone(self, instance: Instance) -> int:
        await forget(self._hub, self._dispatcher, instance)
        if instance.start_key:
            await self._hub.start_keys.forget(instance.start_key, instance.instance_id)
        try:
            await self._hub.instances.purge(instance)  # last: until then a purge can be repeated
        except PreconditionFailedError:
            return 0  # restarted meanwhile
        except RowNotFoundError:
            return 1  # deleted by our own earlier try, or by a concurrent purge
        return 1

    async def _with_children(self, parent: Instance) -> int:
        """Purge the ended sub-orchestrations in its history, with theirs, and then the parent: if this host crashed
        after it had purged the parent first, no history would name the children."""
        loaded = (await self._hub.instances.load(parent.instance_id)).instance
        if loaded is None or loaded.execution_id != parent.execution_id:
            return 0
        try:
            history = await self._hub.instances.raw_history(loaded)  # also children of void commits
        except HistoryMovedError:
            return 0  # purged, or started again, at this moment
        calls = [event for segment in history for event in segment.events if isinstance(event, SubOrchestrationCreated)]
        deleted = 0
        for at in range(0, len(calls), LOOKED_AT_ONCE):
            some = calls[at : at + LOOKED_AT_ONCE]
            deleted += sum(await asyncio.gather(*(self._children_of(loaded, call) for call in some)))
        return deleted + await self._alone(parent)

    async def _children_of(self, parent: Instance, call: SubOrchestrationCreated) -> int:
        """Purge the children of one call: each attempt at the call has its own child."""
        deleted = 0
        for attempt in count(1):
            link = link_of(parent, call.task_id, attempt)
            child = await self._hub.instances.get(child_id_of(parent, link, call.instance_id))
            if child is None and attempt > 1:
                break
            if child is not None and child.parent == link and child.is_terminal:
                deleted += await self._with_children(child)
        return deleted
