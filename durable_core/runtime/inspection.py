"""The part of the client that reads: status, lists, streams, timelines, prices and explanations. It changes nothing.

A base of ``DurableClient``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Unpack

from ..errors import InstanceNotFoundError, InvalidInputError
from ..headers import headers_in
from ..hub.catalog import Entry
from ..hub.instances import while_it_moves
from ..hub.payloads import PayloadGoneError
from ..instance_ids import check_instance_id
from ..models import OrchestrationStatus
from ..operate.price import Price, PriceList, PriceTally, price_of
from ..prices import Prices
from ..streams import check_stream_name
from .activities.runner import ActivityRunner
from .listing import UNREADABLE, InstancePage, Listing, MoreFilters, Query, Statuses, status_of
from .messaging import Messaging
from .status import shown_history, status_of_instance
from .stream_feeds import StreamFeeds, StreamReader

if TYPE_CHECKING:
    # What people ask for, and no turn needs, is imported where it is used: a host is up sooner.
    from ..operate.explain import Explanation
    from ..operate.overview import HubOverview
    from ..operate.timeline import Timeline
    from ..operate.timers import TimerPage
    from ..operate.tree import Tree


class Inspection(Messaging):
    """See ``DurableClient``, which sets the attributes."""

    _build: str
    _feeds: StreamFeeds
    _listing: Listing
    _prices: Prices
    _runner: ActivityRunner

    async def get_status(
        self,
        instance_id: str,
        *,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
        show_headers: bool = False,
    ) -> OrchestrationStatus:
        """The status of an instance; a falsy status if there is no such instance.

        show_history: include the events of its history; show_history_output: with the results of its calls.
        show_input: include its input. show_headers: include its headers, which may hold secrets.
        """
        check_instance_id(instance_id)
        instances = self._hub.instances

        async def read() -> OrchestrationStatus:
            instance = (
                (await instances.load(instance_id)).instance if show_history else await instances.get(instance_id)
            )
            if instance is None:
                return OrchestrationStatus(instance_id=instance_id)
            status = await status_of_instance(self._hub, instance, show_input=show_input)
            if show_headers:
                status = replace(status, headers=headers_in(instances.headers(instance)))
            if not show_history:
                return status
            segments = await instances.history(instance)
            return replace(status, history_events=shown_history(segments, status, show_history_output))

        return await while_it_moves(read)

    async def explain(self, instance_id: str) -> Explanation:
        """Why the instance does not go on: a sentence that names the cause, and what to do.

        From storage alone; where this app has the orchestrator, a replay of its history adds what the code alone knows.
        Changes nothing. An instance that does not exist is explained, too: its ``runtime_status`` is None.
        """
        from ..operate.explain import explain
        from .code_at_hand import CodeAtHand

        check_instance_id(instance_id)
        code = CodeAtHand(
            self._hub,
            self._registry,
            self._converter,
            self._callback_urls,
            self._hangs,
            self._runner,
            self._build,
            guard=self._guard,
        )
        return await explain(self._hub, instance_id, self._clock.now(), code)

    async def tree(self, instance_id: str) -> Tree:
        """The sub-orchestrations of the instance in this generation, and theirs, at most 500; and its parent.

        Raises InstanceNotFoundError.
        """
        from ..operate.tree import read_tree

        check_instance_id(instance_id)
        found = await read_tree(self._hub, instance_id)
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

    async def hub_overview(self) -> HubOverview:
        """How many instances are in which status, the queues and the hosts of the hub. Costs a few operations."""
        from ..operate.overview import read_overview

        return await read_overview(self._hub, self._clock.now())

    async def list_timers(self, *, page_size: int = 100, continuation_token: str | None = None) -> TimerPage:
        """A page of the timers, retries and deadlines that are more than ten minutes away, the earliest first.

        Nearer ones are messages, which are not listed. Raises InvalidInputError for a page size below 1 and for a token
        that this hub did not issue.
        """
        from ..operate.timers import timer_page

        return await timer_page(self._hub, page_size, continuation_token)

    async def price(self, instance_id: str) -> Price:
        """What the storage operations of the instance cost so far. Costs one read. Raises InstanceNotFoundError."""
        check_instance_id(instance_id)
        instance = await self._hub.instances.get(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        return price_of(instance, self._prices)

    async def prices(
        self,
        *,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        instance_id_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        limit: int = 10_000,
        **more: Unpack[MoreFilters],
    ) -> PriceList:
        """What the instances that match have cost, by orchestrator: their number, the sum, the mean, and p95.

        The filters are those of ``list_instances``. Read from the catalogue, where an instance has its operations once
        it has ended: a read for each 200 instances, and one for each that has not begun.
        limit: at most so many instances are looked at, the newest. Raises InvalidInputError.
        """
        if not isinstance(limit, int) or limit < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidInputError(f"limit must be a whole number of at least 1, not {limit!r}")
        query = Query.of(created_time_from, created_time_to, runtime_status, instance_id_prefix, tags, **more)
        tally, left, token = PriceTally(self._prices), limit, None
        while left:
            page = await self._listing.page(query, min(left, 1000), token)
            tally.add(page.instances)
            left, token = left - len(page.instances), page.continuation_token
            if token is None:
                break
        return tally.result(is_complete=token is None)

    async def timeline(self, instance_id: str) -> Timeline:
        """Each call of the instance in this generation with queue time, run time and attempts, and what is under way.

        Read from storage alone; no code of the app is run. Raises InstanceNotFoundError.
        """
        from ..operate.timeline import read_timeline

        check_instance_id(instance_id)
        found = await read_timeline(self._hub, instance_id, self._clock.now())
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

    def stream(self, instance_id: str, name: str = "output", *, from_: str | None = None) -> StreamReader:
        """Read a stream that an activity of the instance writes (``ActivityContext.stream``), while it is written:
        ``async for event in client.stream(...)``.

        The events are a ``StreamChunk`` for each chunk, a ``StreamRestarted`` where another run of the activity writes
        its chunks anew, and at last a ``StreamEnded``. Every reader gets the same events with the same offsets. The
        stream may not exist yet: then its first chunk is waited for, until the instance has ended.

        from_: the offset of an event; the first event is the one behind it. None: from the beginning. A reader that has
        been told of the end gets no event.

        Chunks of this process come at once; those of others by polling, every 50 ms, and up to 1 s apart while nothing
        comes. All readers of a stream in this process poll together. If the host stops, the iterator ends without a
        ``StreamEnded``. Raises InstanceNotFoundError, InvalidInputError for an offset or a name that is none, and
        ExecutionGoneError for an offset of another execution, or if the instance is purged or started again meanwhile.
        """
        check_instance_id(instance_id)
        check_stream_name(name)
        return StreamReader(self._feeds, instance_id, name, from_)

    async def list_streams(self, instance_id: str) -> list[str]:
        """The names of the streams of the instance's current execution. Costs a read for each, and two.

        Raises InstanceNotFoundError.
        """
        check_instance_id(instance_id)
        instance = await self._hub.instances.get(instance_id)
        if instance is None:
            raise InstanceNotFoundError(instance_id)
        return sorted(await self._hub.streams.names(instance_id, instance.execution_id))

    async def get_status_all(self) -> list[OrchestrationStatus]:
        """Every instance of the hub, newest first, without inputs and outputs."""
        return await self.get_status_by()

    async def get_status_by(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        instance_id_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        **more: Unpack[MoreFilters],
    ) -> list[OrchestrationStatus]:
        """All instances that match, newest first (not only the first hundred), without inputs and outputs.

        The filters are those of ``list_instances``.
        """
        found: list[OrchestrationStatus] = []
        token: str | None = None
        while True:
            page = await self.list_instances(
                created_time_from=created_time_from,
                created_time_to=created_time_to,
                runtime_status=runtime_status,
                instance_id_prefix=instance_id_prefix,
                tags=tags,
                page_size=1000,
                continuation_token=token,
                show_input=False,
                **more,
            )
            found.extend(page.instances)
            token = page.continuation_token
            if token is None:
                return found

    async def list_instances(
        self,
        *,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        instance_id_prefix: str | None = None,
        tags: Mapping[str, str] | None = None,
        page_size: int = 100,
        continuation_token: str | None = None,
        show_input: bool = False,
        show_details: bool | None = None,
        **more: Unpack[MoreFilters],
    ) -> InstancePage:
        """A page of instances, newest first.

        A page may hold fewer instances than ``page_size`` and have a token: see ``MoreFilters`` for further filters.

        created_time_from, created_time_to: the range of creation times, both ends included; a datetime without an
        offset is UTC.
        runtime_status: one status, or several.
        show_details: read each instance row, for the custom status, output and failure, and for the current status;
        without it the status is that of the catalogue, which does not change while an instance only runs. None: the
        value of ``show_input``. show_input: include the input, which needs the details.

        An instance whose rows this host cannot read (of a newer version, or with another codec) is listed as the
        catalogue has it, with the reason in its ``stuck_reason``.

        Raises InvalidInputError for an invalid filter and for a token that this hub did not issue.
        """
        query = Query.of(created_time_from, created_time_to, runtime_status, instance_id_prefix, tags, **more)

        async def look(entry: Entry) -> OrchestrationStatus | None:
            return await self._look(entry, show_input)

        reads_all = show_input if show_details is None else show_details or show_input
        return await self._listing.page(query, page_size, continuation_token, look if reads_all else None)

    async def _look(self, entry: Entry, show_input: bool) -> OrchestrationStatus | None:
        """The current status of a listed instance; None if the execution of the catalogue row no longer exists."""

        async def read() -> OrchestrationStatus | None:
            instance = await self._hub.instances.get(entry.instance_id) if entry.instance_id else None
            if instance is None or instance.execution_id != entry.execution_id:
                return None
            return await status_of_instance(self._hub, instance, show_input=show_input)

        try:
            return await while_it_moves(read)
        except PayloadGoneError:
            return status_of(entry, "its stored payloads no longer exist")
        except UNREADABLE as error:
            return status_of(entry, str(error))
