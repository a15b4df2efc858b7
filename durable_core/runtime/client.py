"""The client: starts, queries and manages instances. All methods are async; their names are those of Durable Functions.

A request is durable when its method returns: first the rows are written, then the wake-up is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, TypeVar, Unpack, get_args, overload

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.context import Orchestration, OrchestrationContext
from ..errors import (
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    UnknownOrchestratorError,
)
from ..hub.catalog import Entry
from ..hub.inbox import RECURSIVE, InboxKind
from ..hub.instance_row import Instance
from ..hub.instances import MOVED_TRIES, HistoryMovedError
from ..hub.payloads import PayloadGoneError, dumps
from ..hub.taskhub import TaskHub
from ..instance_ids import StartedInstance, TriggeredRun, check_instance_id, check_tags, check_text, execution_of
from ..log_context import durable_logger
from ..models import JSON, OrchestrationStatus, RuntimeStatus
from ..operate.explain import Explanation, explain
from ..operate.overview import HubOverview, read_overview
from ..operate.timeline import Timeline, read_timeline
from ..operate.timers import TimerPage, timer_page
from ..operate.tree import Tree, read_tree
from ..orchestrator_versions import UNDECIDED
from ..registry import Registry, name_of
from ..storage.ports import Insert
from .bulk.client import BulkClient
from .clock import Clock
from .code_at_hand import CodeAtHand
from .fork import Forked, Forks
from .hangs import Hangs
from .instance_cache import InstanceCache
from .listing import UNREADABLE, InstancePage, Listing, MoreFilters, Query, Statuses, status_of
from .messaging import Messaging
from .observer import NOBODY, Observer
from .purge import PURGE_SECONDS, Purge, PurgeSlice
from .recovery import Recovery, RecoveryReport
from .restart import SAME_INPUT, SameInput, check_restart, fresh_restart, version_of_restart
from .rewind import Rewinds, Rewound
from .schedules.client import ScheduleClient
from .status import shown_history, status_of_instance
from .turn.after_end import forget
from .turn.decision import entry_of
from .turn.dispatch import Dispatcher
from .turn.fork_plan import Until
from .turn.start_and_deadline import CLOCK_TASK, with_times

logger = durable_logger("durable_core.runtime")

FIRST_POLL = 0.1
LONGEST_POLL = 2.0
POLLS_PER_SECOND = 100  # of all waiting callers in this process together

FirstEvent: TypeAlias = Callable[[Instance], Awaitable[Insert]]
"""Makes the inbox row of an event for a new instance."""

X = TypeVar("X")

IfExists = Literal["error", "return", "restart_if_done"]


class _Started(NamedTuple):
    """The execution that has the id after a start, and whether the start created it."""

    execution_id: str
    is_new: bool


class StartOptions(TypedDict, total=False):
    """The options of ``start_new``, which are the same for an orchestrator given as a function or by name."""

    version: str | None
    tags: Mapping[str, str] | None
    start_at: datetime | None
    timeout: timedelta | None
    if_exists: IfExists


class DurableClient(Messaging, ScheduleClient, BulkClient):
    """Starts, queries and manages the instances of one task hub. ``await durable.client()`` returns it.

    longest_poll: seconds between two reads of an instance that another process may end.
    """

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        clock: Clock,
        dispatcher: Dispatcher,
        instance_cache: InstanceCache,
        recovery: Recovery,
        build: str,
        callback_urls: CallbackUrls | None,
        hangs: Hangs,
        *,
        guard: bool = False,
        observer: Observer = NOBODY,
    ) -> None:
        super().__init__(hub, registry, converter, clock, callback_urls, hangs, guard=guard, observer=observer)
        self._dispatcher = dispatcher
        self._instance_cache = instance_cache
        self._recovery = recovery
        self._build = build
        self._listing = Listing(hub)
        self._purge = Purge(hub, dispatcher, self._listing)
        self._forks = Forks(hub, registry, converter, clock, callback_urls, build, guard=guard)
        self._rewinds = Rewinds(hub, registry, converter, dispatcher.rewinding, callback_urls, guard=guard)
        self.longest_poll = LONGEST_POLL

    @overload
    async def start_new(
        self,
        orchestrator: str,
        instance_id: str | None = None,
        client_input: object = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    async def start_new(
        self,
        orchestrator: Callable[[OrchestrationContext], Orchestration[Any]],
        instance_id: str | None = None,
        client_input: object = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    async def start_new(
        self,
        orchestrator: Callable[[OrchestrationContext, X], Orchestration[Any]],
        instance_id: str | None = None,
        *,
        client_input: X,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    async def start_new(
        self,
        orchestrator: Callable[[OrchestrationContext, X], Orchestration[Any]],
        instance_id: str | None,
        client_input: X,
        **options: Unpack[StartOptions],
    ) -> str: ...
    async def start_new(
        self,
        orchestrator: Callable[..., Any] | str,
        instance_id: str | None = None,
        client_input: object = None,
        *,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  of the run, not of this call
        if_exists: IfExists = "error",
    ) -> str:
        """Start an instance and return its id. The start is durable when this returns.

        The id is a string that also holds the execution id (``StartedInstance``), so that URLs created for it are bound
        to this execution.

        version: the version of the orchestrator; None: the default version, else the newest that this app has. The
        instance keeps its version when other versions are deployed.
        start_at: a datetime with a time zone, before which the instance does not begin. Until then it is Pending, keeps
        the events raised on it, and can be cancelled or terminated. A time in the past means now.
        timeout: the time limit of the whole run, from its beginning and through continue-as-new. When it is over, the
        instance ends as Failed with a TaskTimeoutError, and its sub-orchestrations are terminated.

        if_exists: what to do if the id is in use. ``error`` raises InstanceAlreadyExistsError; ``return`` leaves the
        existing instance as it is; ``restart_if_done`` replaces an ended instance by a new execution and leaves a live
        one as it is.

        Raises UnknownOrchestratorError, InvalidInputError (the input does not fit the annotated type),
        InvalidInstanceIdError, InstanceAlreadyExistsError, PayloadTooLargeError, SerializationError.
        """
        if instance_id is None:
            instance_id = self._hub.ids.instance_id()
        started = await self._begin(
            orchestrator, instance_id, client_input, version, tags, if_exists, start_at=start_at, timeout=timeout
        )
        return StartedInstance(instance_id, started.execution_id)

    async def _begin(
        self,
        orchestrator: Callable[..., Any] | str,
        instance_id: str,
        client_input: object,
        version: str | None,
        tags: Mapping[str, str] | None,
        if_exists: IfExists,
        first: FirstEvent | None = None,
        start_at: datetime | None = None,
        timeout: timedelta | None = None,  # noqa: ASYNC109  of the run
    ) -> _Started:
        """``first``: makes the row of an event that a new instance finds in its inbox."""
        check_instance_id(instance_id)
        if if_exists not in get_args(IfExists):
            raise InvalidInputError(f"if_exists must be one of {', '.join(get_args(IfExists))}, not {if_exists!r}")
        definition = self._registry.orchestrator(name_of(orchestrator), version)
        data = self._converter.to_json(client_input, "the input")
        check_tags(tags)
        fresh = await self._fresh(instance_id, definition.name, definition.version, data)
        fresh = with_times(fresh.but(tags=dict(tags or {})), start_at, timeout)
        row = None if first is None else await first(fresh)
        started = await self._create(fresh, if_exists, row)
        if started is not None:
            return started
        return await self._begin(  # the id has become free
            orchestrator, instance_id, client_input, version, tags, if_exists, first, start_at, timeout
        )

    async def _fresh(self, instance_id: str, name: str, version: str, data: JSON) -> Instance:
        """A new instance, which is not written yet; its input is. InvalidInputError: the input does not fit the code
        at hand, if it is here."""
        with suppress(UnknownOrchestratorError):  # the command line has no code
            definition = self._registry.orchestrator(name, None if version == UNDECIDED else version)
            if definition.takes(data):
                # An input that the orchestrator could not read is refused at its start.
                self._converter.from_json(data, definition.input_type)
        text = dumps(data)
        self._hub.payloads.check(text, "the input")
        now = self._clock.now()
        execution_id = self._hub.ids.execution_id()
        fresh = Instance(
            instance_id=instance_id,
            execution_id=execution_id,
            name=name,
            version=version,
            status=RuntimeStatus.PENDING,
            created=now,
            updated=now,
            input=await self._hub.payloads.store_text(instance_id, execution_id, text),
            build=self._build,
        )
        return fresh.but(trace=self._observer.trace_of_start(fresh))

    async def _create(self, fresh: Instance, if_exists: IfExists, row: Insert | None = None) -> _Started | None:
        """Write a new instance, and ring for it. None if the id was in use and has become free meanwhile."""
        instance_id, execution_id = fresh.instance_id, fresh.execution_id
        # Before the first write: the instance may end before this method returns.
        self._instance_cache.ends.started(instance_id, execution_id)
        try:
            await self._hub.in_order(
                lambda: self._hub.catalog.open(entry_of(fresh)),
                lambda: self._hub.instances.create(fresh, row),
                lambda: self._send_start(fresh),
            )
        except RowExistsError:
            try:
                present = await self._hub.instances.get(instance_id)
            except UNREADABLE:
                await self._hub.catalog.forget_open(entry_of(fresh))
                raise
            if present is None:  # purged since the insert was refused: the id is free again
                await self._hub.catalog.forget_open(entry_of(fresh))
                return None
            if present.execution_id != execution_id:
                return await self._take_over(present, fresh, if_exists, row)
            await self._send_start(fresh)
        self._observer.started(fresh)
        if row is not None:
            self._observer.event_raised(fresh, str(row.props["name"]), row.key)
        return _Started(execution_id, True)

    async def restart(
        self,
        instance_id: str,
        restart_with_new_instance_id: bool = True,
        *,
        new_instance_id: str | None = None,
        client_input: object = SAME_INPUT,
        version: str | None = None,
        execution_id: str | None = None,
    ) -> str:
        """Start the orchestrator of an instance again, with the same input. Returns the id of the new instance.

        The new instance has the tags and the time limit of the old one, and its status names it (``restarted_from``).
        After a continue-as-new the input is that of the last generation. Sub-orchestrations can be restarted under
        another id; the new instance has no parent.

        restart_with_new_instance_id: False restarts an instance that has ended under its own id, and replaces it.
        new_instance_id: the id of the new instance, which must be free; None makes a random one.
        client_input: another input. version: as for ``start_new``.
        execution_id: restart only if this execution still has the id; else ExecutionGoneError.

        Raises InstanceNotFoundError, OperationRefusedError (it has not ended, and must not be replaced), and the
        errors of ``start_new``.
        """
        instance, data = await self._with_input(instance_id, execution_id)
        if not restart_with_new_instance_id:
            if new_instance_id not in (None, instance_id):
                raise InvalidInputError("new_instance_id is for a restart with a new instance id")
            new_instance_id = instance_id
        new_id = self._hub.ids.instance_id() if new_instance_id is None else new_instance_id
        check_instance_id(new_id)
        check_restart(instance, new_id)
        if not isinstance(client_input, SameInput):
            data = self._converter.to_json(client_input, "the input")
        version = version_of_restart(self._registry, instance.name, version)
        while True:
            fresh = fresh_restart(instance, await self._fresh(new_id, instance.name, version, data))
            if new_id != instance_id:
                started = await self._create(fresh, "error")
            else:
                self._instance_cache.ends.started(new_id, fresh.execution_id)
                await self._hub.catalog.open(entry_of(fresh))
                started = await self._take_over(instance, fresh, "restart_if_done")
            if started is not None:  # else the new id has become free
                return StartedInstance(new_id, started.execution_id)

    async def _with_input(self, instance_id: str, execution_id: str | None) -> tuple[Instance, JSON]:
        """The instance without its log, and its input."""
        check_instance_id(instance_id)
        for _ in range(MOVED_TRIES):
            instance = await self._hub.instances.get(instance_id)
            if instance is None:
                break
            if execution_id and instance.execution_id != execution_id:
                raise ExecutionGoneError(instance_id)
            with suppress(PayloadGoneError):  # it moved on, or was purged, while it was read
                return instance, await self._hub.payloads.load(instance_id, instance.input)
        raise InstanceNotFoundError(instance_id)

    async def signal_with_start(
        self,
        orchestrator: Callable[..., Any] | str,
        instance_id: str,
        event_name: str,
        event_data: object = None,
        client_input: object = None,
        *,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        event_id: str | None = None,
    ) -> bool:
        """Raise an event on an instance, and start the instance first if it does not run: Temporal's signal-with-start.

        An instance that has ended is started again. A new instance and its event are written in one transaction:
        concurrent callers lose no event and start one instance. Returns whether this call started it. Raises the errors
        of ``start_new`` and ``raise_event``, except those for an instance that exists or has ended.
        """
        text = self._event_text(event_name, event_data)

        async def first(fresh: Instance) -> Insert:
            return await self._event_row(fresh, event_name, text, event_id)

        while True:
            with suppress(InstanceNotFoundError, InstanceCompletedError):
                await self._raise(instance_id, event_name, text, event_id)
                return False
            with suppress(InstanceAlreadyExistsError):  # another caller restarts it: raise the event there
                started = await self._begin(
                    orchestrator, instance_id, client_input, version, tags, "restart_if_done", first
                )
                if started.is_new:
                    return True

    async def get_status(
        self,
        instance_id: str,
        *,
        show_history: bool = False,
        show_history_output: bool = False,
        show_input: bool = True,
    ) -> OrchestrationStatus:
        """The status of an instance; a falsy status if there is no such instance.

        show_history: include the events of its history; show_history_output: with the results of its calls.
        show_input: include its input.
        """
        check_instance_id(instance_id)
        instances = self._hub.instances
        tries = 0
        while True:
            tries += 1
            instance = (
                (await instances.load(instance_id)).instance if show_history else await instances.get(instance_id)
            )
            if instance is None:
                return OrchestrationStatus(instance_id=instance_id)
            try:
                status = await status_of_instance(self._hub, instance, show_input=show_input)
                if not show_history:
                    return status
                segments = await instances.history(instance)
            except (HistoryMovedError, PayloadGoneError):  # it moved on, or was purged, while it was read
                if tries > MOVED_TRIES:
                    raise
                continue
            return replace(status, history_events=shown_history(segments, status, show_history_output))

    async def explain(self, instance_id: str) -> Explanation:
        """Why the instance does not go on: a sentence that names the cause, and what to do.

        From storage alone; where this app has the orchestrator, a replay of its history adds what the code alone knows.
        Changes nothing. An instance that does not exist is explained, too: its ``runtime_status`` is None.
        """
        check_instance_id(instance_id)
        code = CodeAtHand(
            self._hub,
            self._registry,
            self._converter,
            self._callback_urls,
            self._hangs,
            self._build,
            guard=self._guard,
        )
        return await explain(self._hub, instance_id, self._clock.now(), code)

    async def tree(self, instance_id: str) -> Tree:
        """The sub-orchestrations of the instance in this generation, and theirs, at most 500; and its parent.

        Raises InstanceNotFoundError.
        """
        check_instance_id(instance_id)
        found = await read_tree(self._hub, instance_id)
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

    async def hub_overview(self) -> HubOverview:
        """How many instances are in which status, the queues and the hosts of the hub. Costs a few operations."""
        return await read_overview(self._hub, self._clock.now())

    async def list_timers(self, *, page_size: int = 100, continuation_token: str | None = None) -> TimerPage:
        """A page of the timers, retries and deadlines that are more than ten minutes away, the earliest first.

        Nearer ones are messages, which are not listed. Raises InvalidInputError for a page size below 1 and for a token
        that this hub did not issue.
        """
        return await timer_page(self._hub, page_size, continuation_token)

    async def timeline(self, instance_id: str) -> Timeline:
        """Each call of the instance in this generation with queue time, run time and attempts, and what is under way.

        Read from storage alone; no code of the app is run. Raises InstanceNotFoundError.
        """
        check_instance_id(instance_id)
        found = await read_timeline(self._hub, instance_id, self._clock.now())
        if found is None:
            raise InstanceNotFoundError(instance_id)
        return found

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

    async def cancel(
        self,
        instance_id: str,
        reason: str = "",
        *,
        recursive: bool = True,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """Request that an instance cleans up and ends: a TaskCancelledError is raised where its code waits.

        The code may catch the error, and wait for further tasks in ``except`` and ``finally``, such as compensations.
        If the error leaves the orchestrator, the instance ends as Canceled with the reason as its output; if the
        orchestrator returns, the instance ends as Completed. The timers that it waited for are cancelled; its
        activities run on, and their results are ignored. A second request changes nothing; a suspended instance
        receives the request when it is resumed.

        recursive: the open sub-orchestrations of the instance get the same request; detached ones do not.
        execution_id: cancel only if this execution still has the id; else ExecutionGoneError.
        request_id: makes the call safe to repeat: an execution obeys one request of each kind with the same id.
        Raises InstanceNotFoundError, InstanceCompletedError.
        """
        data = RECURSIVE if recursive else "null"
        await self._put(await self._running(instance_id, execution_id), InboxKind.CANCEL, reason, data, request_id)

    async def terminate(
        self,
        instance_id: str,
        reason: str = "",
        *,
        recursive: bool = True,
        execution_id: str | None = None,
        request_id: str | None = None,
    ) -> None:
        """End an instance at once, whatever it waits for; its code does not run again (compare ``cancel``).

        recursive: the open sub-orchestrations of the instance are terminated too; detached ones are not.
        execution_id: terminate only if this execution still has the id; else ExecutionGoneError. request_id: as for
        ``cancel``.
        Raises InstanceNotFoundError, InstanceCompletedError.
        """
        data = RECURSIVE if recursive else "null"
        await self._put(await self._running(instance_id, execution_id), InboxKind.TERMINATE, reason, data, request_id)

    async def suspend(
        self, instance_id: str, reason: str = "", *, execution_id: str | None = None, request_id: str | None = None
    ) -> None:
        """Suspend an instance: its events and results are kept until ``resume``.

        execution_id, request_id: as for ``cancel``.
        """
        instance = await self._running(instance_id, execution_id)
        await self._put(instance, InboxKind.SUSPEND, reason, request_id=request_id)

    async def resume(
        self, instance_id: str, reason: str = "", *, execution_id: str | None = None, request_id: str | None = None
    ) -> None:
        """Resume a suspended instance."""
        await self._put(await self._running(instance_id, execution_id), InboxKind.RESUME, reason, request_id=request_id)

    async def rewind(
        self,
        instance_id: str,
        reason: str = "",
        *,
        force: bool = False,
        dry_run: bool = False,
        request_id: str | None = None,
        execution_id: str | None = None,
    ) -> Rewound:
        """Let an instance that has failed, was terminated or was canceled go on from before its end.

        What ended it is undone: the activity, step or sub-orchestration whose failure it did not survive runs again,
        with the same idempotency key; sub-orchestrations are rewound in turn. All commits since that failure are void.
        Results of other calls and external events that they had brought are told to the code again. Open timers, and
        the deadline of the run, move by the time that was lost.

        What the void commits have done to the world outside is not undone. If there is any, the rewind is refused, and
        the error lists it. force: rewind all the same.
        dry_run: only return what the rewind would do.
        request_id: a text of your own that makes the call safe to repeat; a repeated call finds its own rewind.
        execution_id: rewind only if this execution still has the id; else ExecutionGoneError.

        Raises InstanceNotFoundError; OperationRefusedError if it has not ended or has completed, is a sub-orchestration
        whose parent runs, is being purged, if the code at hand does not fit, or for what would not be undone.
        """
        check_instance_id(instance_id)
        check_text(reason, "a reason")
        if request_id is None:
            request_id = self._hub.ids.commit_id()
        check_text(request_id, "a request id")
        return await self._rewinds.rewind(instance_id, reason, request_id, execution_id, force=force, dry_run=dry_run)

    async def fork(
        self,
        instance_id: str,
        *,
        until_task: int | None = None,
        until_event: str | None = None,
        until_failure: bool = False,
        overrides: Mapping[int, Mapping[str, object]] | None = None,
        new_instance_id: str | None = None,
        version: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
        execution_id: str | None = None,
    ) -> Forked:
        """Start a new instance with a copy of another one's history, up to a place, and let it go on from there.

        The source may be in any state, and is left untouched. Results and events of the copied commits are those of the
        source; calls that are open where the copy ends run again, with other idempotency keys. The history is that of
        the last generation.

        until_task: copy what is before the end of this task. until_event: before the last event of this name came.
        until_failure: before the failure that ended the source, as for a rewind. One of them must be given.
        overrides: for open tasks, by number, one of ``{"result": value}``, ``{"failure": message}``, and
            ``{"input": value}``, with which the call runs again.
        new_instance_id: the id of the fork, which must be free; None makes a random one.
        version: another version of the orchestrator, whose code must fit the copied history.
        dry_run: write nothing; return what the fork would do, and what the code decides of the overridden results.
        request_id: a text of your own that makes the call safe to repeat, together with new_instance_id.
        execution_id: fork only if this execution still has the id; else ExecutionGoneError.

        Raises InstanceNotFoundError, InstanceAlreadyExistsError, InvalidInputError, UnknownOrchestratorError;
        OperationRefusedError if the code does not fit, or an open sub-orchestration has an id of its own.
        """
        check_instance_id(instance_id)
        new_id = self._hub.ids.instance_id() if new_instance_id is None else new_instance_id
        check_instance_id(new_id)
        if request_id is None:
            request_id = self._hub.ids.commit_id()
        check_text(request_id, "a request id")
        until = Until(until_task, until_event, until_failure)
        return await self._forks.fork(
            instance_id, until, overrides or {}, new_id, version, request_id, execution_id, dry_run=dry_run
        )

    async def purge_instance_history(
        self, instance_id: str, *, execution_id: str | None = None, recursive: bool = False
    ) -> int:
        """Delete an ended instance with all its rows. Returns the number of deleted instances: 0 if there is no such
        instance or it has not ended.

        execution_id: delete only if this execution still has the id; else ExecutionGoneError.
        recursive: the ended sub-orchestrations in its history are deleted too, with theirs; after a continue-as-new
        these are the sub-orchestrations of the last generation.
        """
        return await self._purge.one(instance_id, execution_id, recursive=recursive)

    async def purge_instance_history_by(
        self,
        created_time_from: datetime,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        *,
        recursive: bool = False,
    ) -> int:
        """Delete the ended instances that match; returns how many. ``recursive``: also their sub-orchestrations.

        ``recursive``: see ``purge_instance_history``. Many instances take long: ``purge_slice`` deletes them in parts.
        """
        deleted, token = 0, None
        while True:
            done = await self.purge_slice(
                created_time_from, created_time_to, runtime_status, continuation_token=token, recursive=recursive
            )
            deleted, token = deleted + done.deleted, done.continuation_token
            if token is None:
                return deleted

    async def purge_slice(
        self,
        created_time_from: datetime | None = None,
        created_time_to: datetime | None = None,
        runtime_status: Statuses | None = None,
        *,
        continuation_token: str | None = None,
        seconds: float = PURGE_SECONDS,
        recursive: bool = False,
    ) -> PurgeSlice:
        """Delete ended instances that match for about ``seconds``; the next call continues with the token returned.

        Raises InvalidInputError for an invalid filter and for a token that this hub did not issue.
        """
        query = Query.of(created_time_from, created_time_to, runtime_status)
        return await self._purge.slice(query, continuation_token, seconds, recursive=recursive)

    async def wait_for_completion(self, instance_id: str, timeout: float) -> OrchestrationStatus:  # noqa: ASYNC109
        """The status once the instance has ended, or the latest one after ``timeout`` seconds.

        An end in this process is noticed at once, without a read; an end in another process by polling at intervals of
        up to two seconds, which are longer the more callers of this process wait.
        If an instance ends and is purged or started again at once, the status of the end is returned all the same. For
        an id as ``start_new`` returned it, only that execution is waited for: if another execution has the id, its
        status is returned at once. A falsy status if there is no such instance; but for an id that
        ``trigger_schedule`` returned, the start of the instance is waited for, too.
        """
        check_instance_id(instance_id)
        ends, loop = self._instance_cache.ends, asyncio.get_running_loop()
        end, delay = loop.time() + timeout, FIRST_POLL
        watch, only = ends.watch(instance_id), execution_of(instance_id)
        execution_id = only
        must_look = timeout <= 0 or not ends.is_open(instance_id, execution_id)
        try:
            while True:
                if must_look:
                    instance = await self._hub.instances.get(instance_id)  # its values are loaded once, at the end
                    if instance is not None:
                        is_gone = bool(only) and instance.execution_id != only
                        if instance.is_terminal or is_gone or loop.time() >= end:
                            return await status_of_instance(self._hub, instance, show_input=True)
                        execution_id = instance.execution_id
                    elif not isinstance(instance_id, TriggeredRun) or loop.time() >= end:
                        return OrchestrationStatus(instance_id=instance_id)
                must_look = True
                pause = min(max(delay, ends.waiting / POLLS_PER_SECOND), self.longest_poll)
                ended = await watch.next(min(pause, end - loop.time()))
                if ended is None:
                    # What is being moved here at this moment has hardly ended; a long step may still miss an end that
                    # another process brings, so the longest poll always looks.
                    must_look = pause >= self.longest_poll or not self._instance_cache.is_at_work(instance_id)
                    must_look = must_look or loop.time() >= end
                    delay = min(delay * 2, self.longest_poll)
                elif ended.execution_id == execution_id:
                    with suppress(PayloadGoneError):  # purged already: what is there now is read
                        return await status_of_instance(self._hub, ended, show_input=True)
        finally:
            ends.unwatch(instance_id, watch)

    async def recover(self, *, full: bool = True) -> RecoveryReport:
        """Send every message of the hub again, rebuilt from its tables, as after a loss of all queues, and save the
        content of poisoned messages.

        Harmless at any time; running activities may run once more. full=False: only what the recovery timer of the app
        does every five minutes.
        """
        return await self._recovery.run(full=full)

    # ------------------------------------------------------------------ parts

    async def _take_over(
        self, present: Instance, fresh: Instance, if_exists: IfExists, first: Insert | None = None
    ) -> _Started:
        """The id is in use: replace the present execution by ``fresh`` if ``if_exists`` and its status permit it."""
        hub = self._hub
        if if_exists == "restart_if_done" and present.is_terminal:
            await forget(self._hub, self._dispatcher, present)
            try:
                await hub.instances.restart(present, fresh, first)
            except (PreconditionFailedError, RowNotFoundError):
                now = await hub.instances.get(present.instance_id)
                if now is None or now.execution_id != fresh.execution_id:  # else it is ours, its answer was lost
                    await hub.catalog.forget_open(entry_of(fresh))
                    raise InstanceAlreadyExistsError(present.instance_id, "being restarted by another caller") from None
            # Recovery may have deleted this catalogue row as that of a refused start.
            await hub.catalog.open(entry_of(fresh))
            await self._send_start(fresh)
            await hub.instances.drop_execution(present.instance_id, fresh.execution_id)
            self._observer.started(fresh)
            if first is not None:
                self._observer.event_raised(fresh, str(first.props["name"]), first.key)
            return _Started(fresh.execution_id, True)
        await hub.catalog.forget_open(entry_of(fresh))
        if present.is_unstarted and present.generation == 0:  # rule R13: its starter may have died before the wake-up
            await self._send_start(present)
        if if_exists == "error":
            raise InstanceAlreadyExistsError(present.instance_id, present.status.value)
        return _Started(present.execution_id, False)

    async def _send_start(self, instance: Instance) -> None:
        """Send the wake-up for the start of the instance, delayed until ``start_at`` if it has one."""
        if instance.start_at is not None and instance.start_at > self._clock.now():
            await self._dispatcher.arm(instance, 0, CLOCK_TASK, instance.start_at)
        else:
            await self._send_wake_up(instance)

    async def _look(self, entry: Entry, show_input: bool) -> OrchestrationStatus | None:
        """The current status of a listed instance; None if the execution of the catalogue row no longer exists."""
        for _ in range(MOVED_TRIES):
            try:
                instance = await self._hub.instances.get(entry.instance_id) if entry.instance_id else None
                if instance is None or instance.execution_id != entry.execution_id:
                    return None
                return await status_of_instance(self._hub, instance, show_input=show_input)
            except PayloadGoneError:  # it moved on, or was purged, while it was read
                continue
            except UNREADABLE as error:
                return status_of(entry, str(error))
        return status_of(entry, "its stored payloads no longer exist")
