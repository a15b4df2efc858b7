"""A durable app: one task hub in one process, with everything that moves its instances forward."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime

from ..codec import PayloadCodec
from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.mapping.batch import MAP_BATCH
from ..errors import CodecError, ConfigurationError, DurableError, NewerFormatError
from ..hang_watch import HangWatch
from ..hub.messages import ControlMessage, EntityWakeUp, Message, WorkMessage
from ..hub.names import HubNames
from ..hub.payloads import PayloadGoneError
from ..hub.stuck_reasons import MESSAGES_FAIL
from ..hub.taskhub import TaskHub
from ..log_context import durable_logger
from ..prices import AZURE, EMBEDDED
from ..registry import Registry
from ..settings import Settings
from ..storage.ports import Storage
from ..storage.retrying import Patience, RetryingStorage
from .activities.runner import ActivityRunner
from .bulk.orchestrator import BULK
from .bulk.slices import BulkSlices
from .client import DurableClient
from .clock import Clock, SystemClock
from .completion import Completions
from .entities.actors import EntityActors
from .entities.out import Outgoing
from .entities.services import EntityServices
from .entities.sweep import Sweep
from .function_timeout import warning_before
from .hangs import Hangs, Remember
from .host_identity import HostIdentity, this_process
from .http_activity import HttpCaller
from .instance_cache import InstanceCache
from .instance_log import InstanceLog
from .listing import Listing
from .observer import NOBODY, Observer
from .presence import Presence, serving_work
from .purge import Purge
from .recovery import Recovery, RecoveryReport
from .retention import Retention
from .schedules.backfill import BACKFILL
from .schedules.orchestrator import SCHEDULES
from .schedules.sync import synchronize
from .stream_feeds import StreamFeeds
from .stuck import StuckMarker
from .turn.delivery import Lease
from .turn.dispatch import Dispatcher
from .turn.operations import on_message
from .turn.retries import RetryDecider
from .turn.services import Services, not_known_to_be_alone
from .worker import Worker

logger = durable_logger("durable_core.runtime")

NEWER_HOST_DELAY = 10.0  # seconds until a message of a newer format is delivered again, perhaps to a newer host
LAST_TRIES = 4  # deliveries after which a failing message's error is shown on its instance


class DurableApp:
    """Created by ``open``; called by the control and work functions, the recovery timer and the HTTP API."""

    def __init__(
        self,
        registry: Registry,
        settings: Settings,
        storage: Storage,
        *,
        clock: Clock | None = None,
        executor: Executor | None = None,
        threads: int | None = None,
        source: random.Random | None = None,
        patience: float = 60.0,
        callback_urls: CallbackUrls | None = None,
        ends: Completions | None = None,
        codec: PayloadCodec | None = None,
        is_alone: Callable[[], bool] = not_known_to_be_alone,
        remember: Remember | None = None,
        observer: Observer = NOBODY,
        host: HostIdentity | None = None,
    ) -> None:
        """``host``: None for the identity of this process; a simulation has several hosts in one process."""
        self.settings = settings
        self.host = host or this_process()
        self._http = HttpCaller(settings.max_payload, settings.http_allow)
        code = registry.build_id()
        bulk = BulkSlices()
        build = settings.app_build or code
        registry = registry.with_built_in(self._http.definition, *SCHEDULES, BACKFILL, BULK, MAP_BATCH, bulk.definition)
        self.registry = registry
        self._executor = executor
        clock = clock or SystemClock()
        converter = Converter(settings.max_payload)
        patient = RetryingStorage(observer.storage(storage), Patience(patience, source))
        self.observer = observer
        self.hub = TaskHub(patient, settings, source, codec, own_queues=registry.queues)
        self._feeds = StreamFeeds(self.hub, converter, storage, settings.hub)
        self._runner = runner = ActivityRunner(
            self.hub, registry, converter, clock, executor, threads, observer, host=self.host.id, feeds=self._feeds
        )
        build_at_work = build if settings.turns_at_work else ""
        dispatcher = Dispatcher(self.hub, registry, clock, observer, build_at_work)
        self._stuck_marker = StuckMarker(self.hub, clock)
        services = Services(
            hub=self.hub,
            registry=registry,
            settings=settings,
            converter=converter,
            runner=runner,
            clock=clock,
            dispatcher=dispatcher,
            retry_decider=RetryDecider(registry),
            stuck_marker=self._stuck_marker,
            build=build,
            host=self.host.id,
            executor=executor,
            is_alone=is_alone,
            hangs=Hangs(code, remember),
            callback_urls=callback_urls,
            observer=observer,
            instance_log=InstanceLog(clock) if settings.instance_log else None,
            limits=registry.limits,
        )
        self.instance_cache = InstanceCache(services, ends or Completions(storage, settings.hub))
        outgoing = Outgoing(self.hub, registry, clock, dispatcher)
        self._sweep = Sweep(self.hub, clock, dispatcher.post, outgoing)
        self._recovery = Recovery(
            self.hub, clock, dispatcher, self._stuck_marker, self._sweep, settings.function_timeout
        )
        entity_services = EntityServices(
            hub=self.hub,
            registry=registry,
            converter=converter,
            clock=clock,
            stuck_marker=self._stuck_marker,
            build=build,
        )
        self.entity_actors = EntityActors(entity_services, outgoing, self.instance_cache.tasks)
        self.presence = Presence(self.hub.hosts, clock, self.host, build, lambda: self.instance_cache.warm_instances)
        self._worker = Worker(
            self.hub, registry, runner, self.instance_cache, self._stuck_marker, observer, build_at_work
        )
        purge = Purge(self.hub, dispatcher, Listing(self.hub))
        self._retention = Retention(self.hub, clock, purge, settings.retention)
        plain = DurableClient(
            self.hub,
            registry,
            converter,
            clock,
            dispatcher,
            self.instance_cache,
            self._recovery,
            build,
            callback_urls,
            services.hangs,
            runner,
            self._feeds,
            guard=settings.guard,
            observer=observer,
            prices=settings.prices or (EMBEDDED if settings.is_embedded else AZURE),
        )
        self.client = plain
        if registry.interceptors.clients:
            from .intercepted_client import InterceptedClient

            self.client = InterceptedClient(plain, registry.interceptors)
        self.plain_client = bulk.client = plain  # without the interceptors of the app
        runner.client = self.client
        runner.callback_urls = callback_urls
        self._watch: HangWatch | None = None

    @classmethod
    async def open(
        cls,
        registry: Registry,
        settings: Settings,
        storage: Storage,
        *,
        codec: PayloadCodec | None = None,
        callback_urls: CallbackUrls | None = None,
        is_alone: Callable[[], bool] = not_known_to_be_alone,
        remember: Remember | None = None,
        create: bool = True,
        observer: Observer = NOBODY,
    ) -> DurableApp:
        """Open an app on this storage, create its tables and queues, and synchronise its declared schedules. The caller
        has to close the storage. ConfigurationError if its task hub was created with another number of partitions;
        RegistrationError for a declared schedule that cannot work.

        create: False creates nothing, for tools that manage a hub from outside: ConfigurationError if there is none.

        is_alone: whether no other host of the hub runs; then no message waits for another host with the right code.
        remember: marks an instance as stuck while its code blocks this event loop; called in another thread.
        observer: is told of what the app does.
        callback_urls: makes the URLs of ``ctx.callback``; None: the app has no address, and callbacks have no URLs.
        """
        app = cls(
            registry,
            settings,
            storage,
            executor=_threads(settings),
            threads=settings.max_threads,
            codec=codec,
            callback_urls=callback_urls,
            is_alone=is_alone,
            remember=remember,
            observer=observer,
        )
        if create:
            await app.hub.create()
            await synchronize(app.plain_client)
        elif not await app.hub.check():
            raise ConfigurationError(
                f"there is no task hub '{settings.hub}' in this storage; name the right one (DURABLE_HUB), "
                "or start a host, which creates it"
            )
        app._watch = HangWatch.start(settings.code_limit)
        return app

    @staticmethod
    def queue_names(settings: Settings, registry: Registry | None = None) -> HubNames:
        """The names of the hub's tables and queues; ``.all_work`` includes the queues that activities name."""
        return HubNames.of(settings, () if registry is None else registry.queues)

    async def on_control_message(self, body: str, dequeue_count: int, inserted_at: datetime | None = None) -> None:
        """Handle a message of a control queue. After any error the caller must deliver the message again, or move it to
        the poison queue. ``inserted_at``: when it was sent."""
        lease = Lease.begin(self.settings.message_lease, self.settings.function_timeout)
        message = await self._read(body, work=None)
        if message is None:
            return
        if isinstance(message, WorkMessage):
            await self.hub.send(message)
            return
        if isinstance(message, EntityWakeUp):
            with self.presence.handling("control"):
                await self.entity_actors.deliver(message, lease, redelivered=dequeue_count > 1)
            return
        self.observer.received(message, dequeue_count, inserted_at)
        try:
            with self.presence.handling("control"), self._warning_before_timeout(message):
                await self.instance_cache.deliver(
                    message,
                    lease,
                    redelivered=dequeue_count > 1,
                    operations=on_message(message, dequeue_count).plus(message.operations),
                )
        except Exception as error:
            await self._show_failure(message, dequeue_count, error)
            raise

    async def on_work_message(
        self, body: str, dequeue_count: int, queue: str = "", inserted_at: datetime | None = None
    ) -> None:
        """Handle a message of a work queue, as above. ``queue``: the name that activities give with ``queue=``."""
        lease = Lease.begin(self.settings.message_lease, self.settings.function_timeout)
        self._runner.served.add(queue)
        message = await self._read(body, work=queue)
        if message is None:
            return
        if isinstance(message, ControlMessage):
            await self.hub.send(message)
            return
        if isinstance(message, EntityWakeUp):
            await self.hub.wake_up(message)
            return
        self.observer.received(message, dequeue_count, inserted_at)
        try:
            with self.presence.handling(serving_work(queue)), self._warning_before_timeout(message):
                operations = on_message(message, dequeue_count)
                await self._worker.work(
                    replace(message, queue=queue), lease, redelivered=dequeue_count > 1, operations=operations
                )
        except Exception as error:
            await self._show_failure(message, dequeue_count, error)
            raise

    def _warning_before_timeout(self, message: ControlMessage | WorkMessage) -> AbstractContextManager[None]:
        return warning_before(self.settings.function_timeout, message.instance_id, self._runner.running)

    def serve(self, queues: Sequence[str] = ()) -> None:
        """Have this process listed among the hosts of the hub, from now until ``close``.

        queues: the names of the storage queues that it serves; others are added when a message of theirs comes.
        """
        names, own = self.hub.names, [self.hub.names.work_queue_of(queue) for queue in queues]
        known = ["control" for queue in queues if queue in names.control]
        self.presence.begin([*known, *(serving_work(queue) for queue in own if queue is not None)])

    async def recover(self, full: bool = False) -> RecoveryReport:
        """Run recovery once; ``full``: send every message again, rebuilt from the tables.

        Not full, as the timer runs it: ended instances that are no longer to be kept are deleted, a number at a time.
        """
        report = await self._recovery.run(full=full)
        if not full:
            await self._retention.run()
            await self._sweep.run_when_due()
        return report

    async def arm_timers(self) -> None:
        """Send the reminders of long timers that come due soon. For hubs with a ``timer_rows_from`` below ten minutes,
        every ``arming_interval`` seconds."""
        await self._recovery.arm_timers()

    async def close(self, grace: float | None = None) -> None:
        """Wait for running turns and activities to end. The caller must have stopped delivering messages.

        grace: seconds after which those that still run are cancelled; other hosts do their work again. None: no limit.
        """
        await self.presence.end()
        self._feeds.close()
        await self.instance_cache.drain(grace)
        self.instance_cache.abandon()
        self.instance_cache.ends.close()
        await self._http.close()
        if self._watch is not None:
            self._watch.stop()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    async def _read(self, body: str, *, work: str | None) -> Message | None:
        """The message, or None if it was returned to its queue for a host of a newer version or with another codec.

        work: the work queue that the message is from; None for a control queue.
        """
        try:
            return await self.hub.read_message(body)
        except NewerFormatError as error:
            if not await self._stuck_marker.wait_for_newer(body, NEWER_HOST_DELAY, work=work):
                raise  # no host could read it in time: the poison queue keeps it
            logger.warning("a message is returned to its queue: %s", error)
        except PayloadGoneError as error:
            logger.info("a message is dropped because its execution no longer exists: %s", error)
        except CodecError as error:
            instance = await self.hub.instances.get(error.instance_id)
            if instance is not None and instance.execution_id == error.execution_id:
                if not instance.is_terminal:
                    await self._stuck_marker.show(instance, str(error))
                await self._stuck_marker.put_off(body, work=work)
        return None

    async def _show_failure(self, message: ControlMessage | WorkMessage, dequeue_count: int, error: Exception) -> None:
        """Mark the instance as stuck before its message goes to the poison queue, which keeps no errors."""
        logger.warning(
            "a message of instance '%s' failed (delivery %d)", message.instance_id, dequeue_count, exc_info=error
        )
        if dequeue_count < LAST_TRIES:
            return
        try:
            instance = await self.hub.instances.get(message.instance_id)
            if instance is not None and instance.execution_id == message.execution_id and not instance.is_terminal:
                await self._stuck_marker.show(instance, f"{MESSAGES_FAIL}{type(error).__name__}: {error}")
        except DurableError as second:  # the first error is the one to raise
            logger.error("instance '%s' cannot be marked as stuck: %s", message.instance_id, second)


def _threads(settings: Settings) -> Executor:
    return ThreadPoolExecutor(settings.max_threads, thread_name_prefix="activity")
