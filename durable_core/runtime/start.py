"""How a new execution is written: for starts, restarts and signal-with-start. Part of the client.

The writes, in this order: large values, the open catalogue row, the instance row (in one transaction with the inbox row
of a first event), the wake-up.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple, TypeAlias, TypedDict, Unpack, get_args

from ..converter import Converter
from ..errors import (
    InstanceAlreadyExistsError,
    InvalidInputError,
    PreconditionFailedError,
    RowExistsError,
    RowNotFoundError,
    UnknownOrchestratorError,
)
from ..headers import checked_headers
from ..hub.instance_row import Instance
from ..hub.payloads import dumps
from ..hub.taskhub import TaskHub
from ..instance_ids import check_instance_id, check_tags
from ..limits import Limit, asked_of
from ..models import JSON, RuntimeStatus
from ..orchestrator_versions import UNDECIDED
from ..registry import Registry
from ..starting import Debounce, Deduplicate
from ..storage.accounts import Account, charge, charged_to
from ..storage.ports import Insert, Write
from .clock import Clock
from .completion import Completions
from .listing import UNREADABLE
from .observer import Observer
from .turn.after_end import forget
from .turn.decision import bare_wake_up, entry_of
from .turn.dispatch import Dispatcher
from .turn.operations import on_reminder
from .turn.start_and_deadline import CLOCK_TASK, with_times

FirstEvent: TypeAlias = Callable[[Instance], Awaitable[Insert]]
"""Makes the inbox row of an event for a new instance."""

IfExists = Literal["error", "return", "restart_if_done"]
_IF_EXISTS = get_args(IfExists)

NEAR = timedelta(seconds=2)
"""A queue delivers a delayed message up to a second early."""


class Started(NamedTuple):
    """The execution that has the id after a start, and whether the start created it."""

    execution_id: str
    is_new: bool


class JobOptions(TypedDict, total=False):
    """The options of ``enqueue``."""

    tags: Mapping[str, str] | None
    start_at: datetime | None
    timeout: timedelta | None
    if_exists: IfExists
    debounce: Debounce | None
    deduplicate: Deduplicate | None
    headers: Mapping[str, JSON] | None


class StartOptions(JobOptions, total=False):
    """The options of ``start_new``, which are the same for an orchestrator given as a function or by name."""

    version: str | None
    limit: Limit | None


class Request(NamedTuple):
    """What is to be started, of checked options. headers, limit: as the row holds them; '' if there are none."""

    name: str
    version: str
    input: JSON
    tags: Mapping[str, str] | None
    start_at: datetime | None
    timeout: timedelta | None
    headers: str
    limit: str


class Starts:
    """Part of the client."""

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        clock: Clock,
        dispatcher: Dispatcher,
        ends: Completions,
        observer: Observer,
        build: str,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._dispatcher = dispatcher
        self._ends = ends
        self._observer = observer
        self._build = build

    async def begin(
        self,
        orchestrator: Callable[..., Any] | str,
        instance_id: str,
        client_input: object,
        first: FirstEvent | None = None,
        **options: Unpack[StartOptions],
    ) -> Started:
        """Start an instance: see ``DurableClient.start_new``. ``first``: makes the row of an event that a new instance
        finds in its inbox."""
        check_instance_id(instance_id)
        if_exists = options.get("if_exists", "error")
        if if_exists not in _IF_EXISTS:
            raise InvalidInputError(f"if_exists must be one of {', '.join(_IF_EXISTS)}, not {if_exists!r}")
        request = self.request(orchestrator, client_input, options)
        while True:
            with charged_to(Account()):  # that of the new instance
                fresh = await self.requested(request, instance_id)
                row = None if first is None else await first(fresh)
                started = await self.create(fresh, if_exists, row)
            if started is not None:  # else the id has become free
                return started

    def request(self, orchestrator: Callable[..., Any] | str, client_input: object, options: StartOptions) -> Request:
        """InvalidInputError and all else that ``DurableClient.start_new`` refuses of these; what the functions of a
        limit raise."""
        definition = self._registry.orchestrator_called(orchestrator, options.get("version"))
        data = self._converter.to_json(client_input, "the input")
        tags, headers, limit = options.get("tags"), options.get("headers"), options.get("limit")
        check_tags(tags)
        stored_headers = stored_limit = ""
        if headers:
            checked = checked_headers(headers, f"the start of '{definition.name}'")
            stored_headers = self._hub.instances.stored_headers(checked)
        if limit is not None:
            if not isinstance(limit, Limit):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise InvalidInputError(f"limit={limit!r:.200} of a start must be a Limit")
            stored_limit = dumps(list(asked_of(limit, "", client_input)))
        return Request(
            definition.name,
            definition.version,
            data,
            tags,
            options.get("start_at"),
            options.get("timeout"),
            stored_headers,
            stored_limit,
        )

    async def requested(self, request: Request, instance_id: str) -> Instance:
        """A new instance as requested: see ``fresh``."""
        fresh = await self.fresh(instance_id, request.name, request.version, request.input)
        if request.tags or request.headers or request.limit:
            fresh = fresh.but(tags=dict(request.tags or {}), headers=request.headers, limit=request.limit)
        return with_times(fresh, request.start_at, request.timeout)

    async def fresh(self, instance_id: str, name: str, version: str, data: JSON) -> Instance:
        """A new instance, which is not written yet; its input is. InvalidInputError: the input does not fit the code
        at hand, if it is here."""
        text = self.checked_input(name, version, data)
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
        trace = self._observer.trace_of_start(fresh)
        return fresh.but(trace=trace) if trace else fresh

    def checked_input(self, name: str, version: str, data: JSON) -> str:
        """The input as JSON. InvalidInputError, PayloadTooLargeError."""
        try:
            definition = self._registry.orchestrator(name, None if version == UNDECIDED else version)
        except UnknownOrchestratorError:
            definition = None  # the command line has no code
        if definition is not None and definition.takes(data):
            # An input that the orchestrator could not read is refused at its start.
            self._converter.from_json(data, definition.input_type)
        text = dumps(data)
        self._hub.payloads.check(text, "the input")
        return text

    async def create(self, fresh: Instance, if_exists: IfExists, row: Insert | None = None) -> Started | None:
        """Write a new instance, and ring for it. None if the id was in use and has become free meanwhile."""
        if (wait := self._delay_of(fresh)) is not None:
            charge(on_reminder(wait, self._hub.timers.rows_from))
        return await self._create(
            fresh,
            if_exists,
            row,
            lambda: self._hub.catalog.open(entry_of(fresh)),
            lambda: self._hub.instances.create(fresh, row),
            lambda: self._send_start(fresh),
        )

    async def create_waiting(self, fresh: Instance) -> Started | None:
        """The same for a delayed start that others may join: the reminder of its beginning is armed before the row is
        written. So who finds the row need not arm one, though its starter may have died."""
        started = await self._create(
            fresh,
            "return",
            None,
            lambda: self._hub.catalog.open(entry_of(fresh)),
            lambda: self._send_start(fresh),
            lambda: self._hub.instances.create(fresh),
        )
        if started is not None and started.is_new:
            wait = self._delay_of(fresh)
            if wait is None or wait < NEAR:  # the reminder may have come before the row was there
                await self._send_start(fresh)
        return started

    async def _create(self, fresh: Instance, if_exists: IfExists, row: Insert | None, *writes: Write) -> Started | None:
        instance_id, execution_id = fresh.instance_id, fresh.execution_id
        # Before the first write: the instance may end before this method returns.
        self._ends.started(instance_id, execution_id)
        try:
            await self._hub.in_order(*writes)
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
        return Started(execution_id, True)

    async def replace(self, present: Instance, fresh: Instance) -> Started:
        """Write a new execution in place of an ended one, under the same id, and ring for it."""
        self._ends.started(fresh.instance_id, fresh.execution_id)
        await self._hub.catalog.open(entry_of(fresh))
        return await self._take_over(present, fresh, "restart_if_done")

    async def _take_over(
        self, present: Instance, fresh: Instance, if_exists: IfExists, first: Insert | None = None
    ) -> Started:
        """The id is in use: replace the present execution by ``fresh`` if ``if_exists`` and its status permit it."""
        hub = self._hub
        if if_exists == "restart_if_done" and present.is_terminal:
            await forget(self._hub, self._dispatcher, present)
            if present.start_key:  # the key stays with the id, and is given back with its last execution
                fresh = fresh.but(start_key=present.start_key)
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
            return Started(fresh.execution_id, True)
        await hub.catalog.forget_open(entry_of(fresh))
        await self.ring_again(present)
        if if_exists == "error":
            raise InstanceAlreadyExistsError(present.instance_id, present.status.value)
        return Started(present.execution_id, False)

    async def ring_again(self, present: Instance) -> None:
        """Send the wake-up of an instance that has not begun: its starter may have died before it did (rule R13)."""
        if present.is_unstarted and present.generation == 0 and not present.is_terminal:
            await self._send_start(present)

    async def _send_start(self, instance: Instance) -> None:
        """Send the wake-up for the start of the instance, delayed until ``start_at`` if it has one."""
        if instance.start_at is not None and self._delay_of(instance) is not None:
            await self._dispatcher.arm(instance, 0, CLOCK_TASK, instance.start_at)
        else:
            await self._hub.send(bare_wake_up(instance))

    def _delay_of(self, instance: Instance) -> timedelta | None:
        """The time until a delayed start; None if it is to begin now."""
        now = self._clock.now()
        return None if instance.start_at is None or instance.start_at <= now else instance.start_at - now
