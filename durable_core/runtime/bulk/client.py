"""The part of the client that begins bulk operations, and says beforehand what they would touch."""

# pyright: reportPrivateUsage=false
# The methods are part of the client, whose parts they use.

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Unpack, cast

from ...instance_ids import check_event_name, check_text
from ...lazy_dataclass import dataclass
from ...models import OrchestrationStatus
from ..listing import MoreFilters, Query, Statuses
from .orchestrator import BULK_NAME, BULK_PREFIX
from .request import BulkRequest

if TYPE_CHECKING:
    from ..client import DurableClient

SAMPLE = 10
COUNT_SECONDS = 10.0  # for which a preview counts
COUNTED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkPreview:
    """What a bulk operation would touch now. is_complete: False if there are more than ``matched``, which were counted
    in the time that a preview takes. sample: the newest of them, without values."""

    matched: int
    is_complete: bool
    sample: tuple[OrchestrationStatus, ...]


class BulkClient:
    """The bulk operations of a ``DurableClient``, which is the one class that inherits from this one."""

    async def bulk(
        self,
        action: str,
        *,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        instance_id_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        reason: str = "",
        event_name: str = "",
        event_data: object = None,
        recursive: bool = False,
        all: bool = False,
        **more: Unpack[MoreFilters],
    ) -> str:
        """Begin one action on all instances that the filters match, and return the id of the bulk operation.

        The operation is an instance of the built-in orchestrator ``durable.bulk``: it survives crashes, its custom
        status shows the progress (``matched``, ``done``, ``skipped``, ``failed``, ``errors``), and it can be cancelled.
        Instances created after its beginning are left alone. Each instance takes the action once.

        action: terminate, cancel, suspend, resume, raiseEvent, rewind, restart or purge.
        The filters are those of ``list_instances``; ``runtime_status`` None: every status that the action is for.
        reason: of terminate, cancel, suspend, resume and rewind. event_name, event_data: of raiseEvent.
        recursive: of purge: the ended sub-orchestrations of each instance, too.
        all: True allows no filter at all.

        Raises InvalidInputError (an unknown action, a filter that cannot be read, none without ``all``),
        PayloadTooLargeError, SerializationError.
        """
        client = cast("DurableClient", self)
        query = Query.of(created_time_from, created_time_to, runtime_status, instance_id_prefix, tags, **more)
        request = self._bulk_request(
            action, query, every=all, reason=reason, event=event_name, data=event_data, recursive=recursive
        )
        instance_id = f"{BULK_PREFIX}{client._hub.ids.ulid(client._clock.now())}"
        return await client.start_new(BULK_NAME, instance_id, {"request": request.stored()})

    async def preview_bulk(
        self,
        action: str,
        *,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        instance_id_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        all: bool = False,
        event_name: str = "",
        recursive: bool = False,
        **more: Unpack[MoreFilters],
    ) -> BulkPreview:
        """Count the instances that ``bulk`` with these arguments would touch now, and change nothing.

        The sub-orchestrations of a recursive purge are not counted, but for those that match the filter themselves.

        Raises InvalidInputError as ``bulk``.
        """
        client = cast("DurableClient", self)
        query = Query.of(created_time_from, created_time_to, runtime_status, instance_id_prefix, tags, **more)
        request = self._bulk_request(action, query, every=all, event=event_name, recursive=recursive)
        loop = asyncio.get_running_loop()
        end = loop.time() + COUNT_SECONDS
        matched, sample, token = 0, list[OrchestrationStatus](), None
        while True:
            page = await client._listing.page(request.query, COUNTED_AT_ONCE, token)
            matched += len(page.instances)
            sample.extend(page.instances[: SAMPLE - len(sample)])
            token = page.continuation_token
            if token is None or loop.time() >= end:
                return BulkPreview(matched=matched, is_complete=token is None, sample=tuple(sample))

    def _bulk_request(
        self,
        action: str,
        query: Query,
        *,
        every: bool,
        reason: str = "",
        event: str = "",
        data: object = None,
        recursive: bool,
    ) -> BulkRequest:
        client = cast("DurableClient", self)
        check_text(reason, "a reason")
        if event:
            check_event_name(event)
        value: Any = client._converter.to_json(data, "the event's data")
        return BulkRequest.of(
            action, query, every=every, reason=reason, event_name=event, data=value, recursive=recursive
        )
