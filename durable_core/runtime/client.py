"""The client: starts and manages instances; its bases read, send and schedule.

All methods are async; their names are those of Durable Functions. A request is durable when its method returns: first
the rows are written, then the wake-up is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, Unpack, overload

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.context import OrchestrationContext
from ..engine.tasks import Branch
from ..errors import (
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceCompletedError,
    InstanceNotFoundError,
    InvalidInputError,
)
from ..hub.inbox import RECURSIVE, InboxKind
from ..hub.instance_row import Instance
from ..hub.instances import while_it_moves
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..instance_ids import StartedInstance, TriggeredRun, check_instance_id, check_text, execution_of
from ..journal import JournalContext
from ..limits import Limit
from ..log_context import durable_logger
from ..models import JSON, OrchestrationStatus
from ..prices import EMBEDDED, Prices
from ..registry import Registry
from ..starting import Debounce, Deduplicate
from ..storage.accounts import Account, charged_to
from ..storage.ports import Insert
from .activities.runner import ActivityRunner
from .bulk.client import BulkClient
from .clock import Clock
from .completion import FIRST_POLL, POLLS_PER_SECOND
from .entities.client import EntityClient
from .hangs import Hangs
from .inspection import Inspection
from .instance_cache import InstanceCache
from .listing import Listing, Query, Statuses
from .observer import NOBODY, Observer
from .purge import PURGE_SECONDS, Purge, PurgeSlice
from .recovery import Recovery, RecoveryReport
from .restart import SAME_INPUT, SameInput, check_restart, fresh_restart, version_of_restart
from .schedules.client import ScheduleClient
from .start import IfExists, JobOptions, StartOptions, Starts
from .status import status_of_instance
from .stream_feeds import StreamFeeds
from .turn.dispatch import Dispatcher

if TYPE_CHECKING:
    # What people ask for, and no turn needs, is imported where it is used: a host is up sooner.
    from .fork import Forked, Forks
    from .keyed_starts import KeyedStarts
    from .rewind import Rewinds, Rewound

logger = durable_logger("durable_core.runtime")

LONGEST_POLL_IF_TOLD = 10.0  # where other processes tell of the ends that they bring
POLLS_PER_SECOND_WHEN_WARM = (
    20  # of all that wait together, where the instance is warm here: its end will probably come here, too
)
LONGEST_POLL_OF_MANY = 10.0

X = TypeVar("X")


class DurableClient(Inspection, ScheduleClient, BulkClient, EntityClient):
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
        runner: ActivityRunner,
        feeds: StreamFeeds,
        *,
        guard: bool = False,
        observer: Observer = NOBODY,
        prices: Prices = EMBEDDED,
    ) -> None:
        super().__init__(
            hub,
            registry,
            converter,
            clock,
            callback_urls,
            hangs,
            guard=guard,
            observer=observer,
            instance_cache=instance_cache,
        )
        self._dispatcher = dispatcher
        self._instance_cache = instance_cache
        self._recovery = recovery
        self._runner = runner
        self._feeds = feeds
        self._build = build
        self._listing = Listing(hub)
        self._starts = Starts(hub, registry, converter, clock, dispatcher, instance_cache.ends, observer, build)
        self._purge = Purge(hub, dispatcher, self._listing)
        self._prices = prices

    @cached_property
    def _forks(self) -> Forks:
        from .fork import Forks

        return Forks(
            self._hub,
            self._registry,
            self._converter,
            self._clock,
            self._callback_urls,
            self._build,
            self._observer,
            guard=self._guard,
        )

    @cached_property
    def _keyed_starts(self) -> KeyedStarts:
        from .keyed_starts import KeyedStarts

        return KeyedStarts(self._hub, self._clock, self._dispatcher, self._starts)

    @cached_property
    def _rewinds(self) -> Rewinds:
        from .rewind import Rewinds

        rewinding = self._dispatcher.rewinding
        return Rewinds(self._hub, self._registry, self._converter, rewinding, self._callback_urls, guard=self._guard)

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
        orchestrator: Callable[[OrchestrationContext], Branch[Any]],
        instance_id: str | None = None,
        client_input: object = None,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    async def start_new(
        self,
        orchestrator: Callable[[OrchestrationContext, X], Branch[Any]],
        instance_id: str | None = None,
        *,
        client_input: X,
        **options: Unpack[StartOptions],
    ) -> str: ...
    @overload
    async def start_new(
        self,
        orchestrator: Callable[[OrchestrationContext, X], Branch[Any]],
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
        debounce: Debounce | None = None,
        deduplicate: Deduplicate | None = None,
        limit: Limit | None = None,
        headers: Mapping[str, JSON] | None = None,
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
        debounce: start after a pause; a start with the same key in the meantime replaces the input of the instance that
        waits, puts it off, and returns its id. Version, tags and time limit are those of the first start.
        deduplicate: start unless a start with the same key has made an instance within the window; its id is returned
        then. Both take no instance id.

        limit: the instance waits for a slot of this ``Limit`` before its code begins, and holds it until its end,
        through continue-as-new; in place of the limit of ``@orchestrator``. Its functions are called here, with
        ``client_input``.
        headers: a small mapping of names to JSON (4 KiB) that goes with the instance to its activities, entities and
        sub-orchestrations, and their attempts and generations: ``ctx.headers``. A restart and a fork keep it.

        Raises UnknownOrchestratorError, InvalidInputError (the input does not fit the annotated type; the headers),
        InvalidInstanceIdError, InstanceAlreadyExistsError, PayloadTooLargeError, SerializationError.
        """
        options = StartOptions(
            version=version,
            tags=tags,
            start_at=start_at,
            timeout=timeout,
            if_exists=if_exists,
            debounce=debounce,
            deduplicate=deduplicate,
            limit=limit,
            headers=headers,
        )
        if debounce is not None or deduplicate is not None:
            return await self._keyed_starts.begin(orchestrator, instance_id, client_input, **options)
        if instance_id is None:
            instance_id = self._hub.ids.instance_id()
        started = await self._starts.begin(orchestrator, instance_id, client_input, **options)
        return StartedInstance(instance_id, started.execution_id)

    @overload
    async def enqueue(
        self,
        activity: str,
        input_: object = None,
        instance_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str: ...
    @overload
    async def enqueue(
        self,
        activity: Callable[[], Any] | Callable[[JournalContext], Any],
        input_: None = None,
        instance_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str: ...
    @overload
    async def enqueue(
        self,
        activity: Callable[[X], Any] | Callable[[JournalContext, X], Any],
        input_: X,
        instance_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str: ...
    async def enqueue(
        self,
        activity: Callable[..., Any] | str,
        input_: object = None,
        instance_id: str | None = None,
        **options: Unpack[JobOptions],
    ) -> str:
        """Run an activity by itself, as a durable job without an orchestrator, and return the id of its instance. The
        job is durable when this returns: a background task, as in DBOS or Celery.

        The activity runs with the options of its decorator: retries, time limits, its queue, its limit. The job is an
        instance of the orchestrator ``job:NAME``, with the activity's result as its output: it can be listed, waited
        for, cancelled and restarted as any other.

        activity: the activity, or its name.
        options: ``tags``, ``start_at``, ``timeout`` (of the whole job), ``if_exists``, ``debounce``, ``deduplicate``
            and ``headers``, as for ``start_new``.
        Raises UnknownOrchestratorError (no such activity is registered, or this is none) and the other errors of
        ``start_new``.
        """
        return await self.start_new(self._registry.job_called(activity), instance_id, input_, **options)

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
            with charged_to(Account()):  # that of the new instance
                fresh = await self._starts.fresh(new_id, instance.name, version, data)
                fresh = fresh_restart(instance, fresh, self._observer.trace_of_origin(instance))
                if new_id == instance_id:
                    started = await self._starts.replace(instance, fresh)
                else:
                    started = await self._starts.create(fresh, "error")
            if started is not None:  # else the new id has become free
                return StartedInstance(new_id, started.execution_id)

    async def _with_input(self, instance_id: str, execution_id: str | None) -> tuple[Instance, JSON]:
        """The instance without its log, and its input."""
        check_instance_id(instance_id)

        async def read() -> tuple[Instance, JSON]:
            instance = await self._hub.instances.get(instance_id)
            if instance is None:
                raise InstanceNotFoundError(instance_id)
            if execution_id and instance.execution_id != execution_id:
                raise ExecutionGoneError(instance_id)
            return instance, await self._hub.payloads.load(instance_id, instance.input)

        return await while_it_moves(read)

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
        headers: Mapping[str, JSON] | None = None,
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
                started = await self._starts.begin(
                    orchestrator,
                    instance_id,
                    client_input,
                    first,
                    version=version,
                    tags=tags,
                    headers=headers,
                    if_exists="restart_if_done",
                )
                if started.is_new:
                    return True

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
        with charged_to(Account()):
            return await self._rewinds.rewind(
                instance_id, reason, request_id, execution_id, force=force, dry_run=dry_run
            )

    async def fork(
        self,
        instance_id: str,
        *,
        until_task: int | None = None,
        until_event: str | None = None,
        until_failure: bool = False,
        event_number: int | None = None,
        overrides: Mapping[int, Mapping[str, object]] | None = None,
        new_instance_id: str | None = None,
        version: str | None = None,
        suspended: bool = False,
        dry_run: bool = False,
        request_id: str | None = None,
        execution_id: str | None = None,
    ) -> Forked:
        """Start a new instance with a copy of another one's history, up to a place, and let it go on from there.

        The source may be in any state, and is left untouched. Results and events of the copied commits are those of the
        source; calls and steps that are open where the copy ends run again, calls with other idempotency keys. URLs of
        callbacks that the source has handed out belong to the source: the answer lists the fork's own. The history is
        that of the last generation.

        until_task: copy what is before the end of this task. until_event: before the last event of this name came, or
            the ``event_number``-th, counted from 1 in this generation. until_failure: before the failure that ended the
            source, as for a rewind. One of the three must be given.
        overrides: for open tasks, by number, one of ``{"result": value}``, ``{"failure": message}``, and
            ``{"input": value}``, with which the call runs again. The recorded steps of an open journaled activity are
            copied, but with another input; ``{"step": {"name": "charge", "result": value}}`` gives one of them another
            end (or ``"failure": message``), and all that was recorded behind it runs again. ``"key"`` or ``"call"``, a
            number from 1, says which step of the name; ``"recorded": False`` gives an end to one that has none.
        new_instance_id: the id of the fork, which must be free; None makes a random one, or one of the request id.
        version: another version of the orchestrator, whose code must fit the copied history.
        suspended: the fork begins suspended, and nothing runs again before it is resumed.
        dry_run: write nothing; return what the fork would do, and what the code decides of the overridden results.
        request_id: a text of your own that makes the call safe to repeat: a repeated call finds its own fork.
        execution_id: fork only if this execution still has the id; else ExecutionGoneError.

        Raises InstanceNotFoundError, InstanceAlreadyExistsError, InvalidInputError, UnknownOrchestratorError;
        OperationRefusedError if the code does not fit, or an open sub-orchestration has an id of its own.
        """
        check_instance_id(instance_id)
        if new_instance_id is not None:
            check_instance_id(new_instance_id)
        check_text(request_id or "", "a request id")
        from .fork import ForkRequest
        from .turn.fork_plan import Until

        request = ForkRequest(
            instance_id=instance_id,
            until=Until(until_task, until_event, until_failure, event_number),
            overrides=overrides or {},
            new_id=new_instance_id or "",
            request_id=request_id or "",
            version=version,
            execution_id=execution_id,
            is_suspended=suspended,
            dry_run=dry_run,
        )
        with charged_to(Account()):  # that of the fork, which has read its source
            return await self._forks.fork(request)

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
        up to two seconds, and of up to ten where more than 200 callers of this process wait. On the embedded store the
        processes tell each other of ends, and poll up to ten seconds apart in case that one is not told.
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
        # An end before this process heard of others has to be read.
        must_look = ends.listen() or timeout <= 0 or not ends.is_open(instance_id, execution_id)
        longest = max(self.longest_poll, LONGEST_POLL_IF_TOLD) if ends.hears else self.longest_poll
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
                pause = max(delay, self._pause_of_many(instance_id))
                ended = await watch.next(min(pause, end - loop.time()))
                if ended is None:
                    # What is being moved here at this moment has hardly ended; a long step may still miss an end that
                    # another process brings, so the longest poll always looks.
                    must_look = pause >= longest or not self._instance_cache.is_at_work(instance_id)
                    must_look = watch.take_hint() or must_look or loop.time() >= end
                    delay = min(delay * 2, longest)
                elif ended.execution_id == execution_id:
                    try:
                        return await status_of_instance(self._hub, ended, show_input=True)
                    except PayloadGoneError:
                        continue  # purged already: what is there now is read
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

    def _pause_of_many(self, instance_id: str) -> float:
        """Seconds between two reads of an instance, so that the reads of all callers that wait stay bounded."""
        is_warm = self._instance_cache.is_warm(instance_id)
        rate = POLLS_PER_SECOND_WHEN_WARM if is_warm else POLLS_PER_SECOND
        return min(self._instance_cache.ends.waiting / rate, LONGEST_POLL_OF_MANY)
