"""Forks: a new instance that begins with a part of the history of another one, which is left as it is.

The writes, in this order: large values of the new instance, its open catalogue row, the journals of its open calls, its
rows in one transaction, the wake-up. Its execution id follows from the request, so that a request that is made again
finds its own fork.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from ..converter import Converter
from ..engine.callbacks import CallbackUrls, name_of_callback, ticket_of_copy
from ..engine.events import (
    Event,
    ExecutionRewound,
    ExecutionStarted,
    ExecutionSuspended,
    Segment,
    TaskScheduled,
    describe,
)
from ..engine.executor import OrchestrationExecutor
from ..errors import (
    CodeHangsError,
    ConfigurationError,
    DeterminismError,
    ExecutionGoneError,
    InstanceAlreadyExistsError,
    InstanceNotFoundError,
    InvalidInputError,
    NonDeterminismError,
    OperationRefusedError,
    RowExistsError,
    UnknownOrchestratorError,
)
from ..hang_watch import Code, stretch
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.instances import Commit, while_it_moves
from ..hub.journals import JournalKey, root_of
from ..hub.messages import ControlMessage, TaskOutcome, encode
from ..hub.taskhub import TaskHub
from ..hub.voiding import rewind_in
from ..lazy_dataclass import dataclass
from ..marks import RESERVED
from ..models import JSON, FailureDetails, Origin, RuntimeStatus
from ..moments import after
from ..registry import Registry
from ..storage.ports import Insert
from .activities.call_options import definition_here
from .clock import Clock
from .fork_journals import Journal, open_calls, read_journals, with_override
from .fork_overrides import Overrides, events_of
from .observer import Observer
from .turn.cached import definition_for, info_of, seed_of, watched_replay
from .turn.decision import bare_wake_up, entry_of
from .turn.fork_plan import Call, Copy, Until, calls_in, collisions, copy_of, cut_for, first_event, tied_to_entities
from .turn.rewind_plan import RewoundTask, status_at, task_of

if TYPE_CHECKING:
    from collections.abc import Generator


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkRequest:
    """What a caller asks for: see ``DurableClient.fork``. new_id, request_id: '' makes a random one."""

    instance_id: str
    until: Until
    overrides: Mapping[int, Mapping[str, object]]
    new_id: str = ""
    request_id: str = ""
    version: str | None = None
    execution_id: str | None = None
    is_suspended: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CopiedCallback:
    """A callback of the copied history that is open.

    source_url: the URL that the source has handed out, which completes the callback of the source only. url: the URL of
        the fork's own. Both '' in a process without an address.
    """

    name: str
    source_url: str = ""
    url: str = ""

    def to_json(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {"name": self.name}
        return shown | {"sourceUrl": self.source_url, "url": self.url} if self.url else shown


@dataclass(frozen=True, slots=True)
class Forked:
    """What a fork has made, or would make.

    again: the tasks that run for the new instance. keys: the idempotency keys of its activities among them, by task:
    they are others than those of the source. recorded: how many steps of journaled activities among them are copied, by
    task, and do not run again. decisions: what the code decides at once of the overridden results, in words; of a dry
    run with the code at hand. callbacks: those that are open, if the code is at hand.
    """

    instance_id: str
    execution_id: str
    cut_before: int
    again: tuple[RewoundTask, ...]
    keys: Mapping[int, str] = field(default_factory=lambda: {})
    decisions: tuple[str, ...] = ()
    callbacks: tuple[CopiedCallback, ...] = ()
    recorded: Mapping[int, int] = field(default_factory=lambda: {})

    def to_json(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {
            "instanceId": self.instance_id,
            "executionId": self.execution_id,
            "cutBefore": self.cut_before,
            "again": [task.to_json() for task in self.again],
            "idempotencyKeys": {str(task): key for task, key in self.keys.items()},
        }
        if self.recorded:
            shown["recordedSteps"] = {str(task): number for task, number in self.recorded.items()}
        if self.callbacks:
            shown["callbacks"] = [callback.to_json() for callback in self.callbacks]
        return shown | {"decisions": list(self.decisions)} if self.decisions else shown


class Forks:
    """Part of the client."""

    def __init__(
        self,
        hub: TaskHub,
        registry: Registry,
        converter: Converter,
        clock: Clock,
        callback_urls: CallbackUrls | None,
        build: str,
        observer: Observer,
        *,
        guard: bool,
    ) -> None:
        self._hub = hub
        self._observer = observer
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._callback_urls = callback_urls
        self._build = build
        self._guard = guard

    async def fork(self, request: ForkRequest) -> Forked:
        """See ``DurableClient.fork``."""
        new_id, execution_id = self._ids(request)
        other = Overrides.of(request.overrides, self._converter)
        if request.request_id and not request.dry_run:
            present = await self._hub.instances.get(new_id)
            if present is not None and present.execution_id == execution_id:
                return await self._made_before(request, present, other)
        source, copy, journals, data = await self._read(request, other)
        if problems := [*collisions(copy, other.answered), *tied_to_entities(copy)]:
            raise OperationRefusedError(source.instance_id, f"instance '{source.instance_id}' is not forked", problems)
        fresh = self._fresh(request, source, copy, new_id, execution_id)
        reason = f"forked from '{source.instance_id}'"
        request_id = request.request_id or self._hub.ids.commit_id()
        inputs = {task_id: data for task_id, data in other.inputs.items() if task_id in copy.calls}
        event = first_event(copy, fresh.rewinds, fresh.updated, request_id, reason, inputs)
        with self._code(fresh, [*copy.segments, Segment(fresh.seq, request_id, fresh.updated, (event,))], data) as live:
            steps = copy.steps if live is None else _open_steps(live)
            other.check(copy.calls, steps)
            journals = self._overridden(journals, copy, other, execution_id)
            outcomes = other.outcomes(copy.calls, steps)
            callbacks = () if live is None else self._callbacks(live, source)
            decisions = () if live is None else self._decisions(live, outcomes, fresh)
        if not request.dry_run:
            fresh = fresh.but(
                trace=self._observer.trace_of_start(fresh), origin_trace=self._observer.trace_of_origin(source)
            )
            events: tuple[Event, ...] = (event, ExecutionSuspended(reason)) if request.is_suspended else (event,)
            if not await self._write(fresh, copy, journals, events, outcomes, data):
                return await self.fork(request)  # the same request has made it meanwhile
        found = _answer(fresh, copy.cut, copy.calls, steps, other)
        recorded = {task_id: sum(each.kind == "step" for each in log) for task_id, (_, log) in journals.items()}
        return replace(found, callbacks=callbacks, decisions=decisions if request.dry_run else (), recorded=recorded)

    def _ids(self, request: ForkRequest) -> tuple[str, str]:
        """The ids of the new instance and its execution. Those of a request with an id are the same each time."""
        if not request.request_id:
            return request.new_id or self._hub.ids.instance_id(), self._hub.ids.execution_id()
        new_id = request.new_id or _digest("fork", request.instance_id, request.request_id)[:32]
        return new_id, _digest("fork", new_id, request.request_id)[:16]

    async def _made_before(self, request: ForkRequest, present: Instance, other: Overrides) -> Forked:
        """The answer to a request that is made again. Its fork is rung: the first call may have died before that."""

        async def read() -> tuple[Instance, Sequence[Segment]]:
            instance = await self._hub.instances.read(present.instance_id)
            if instance is None or instance.execution_id != present.execution_id:
                raise InstanceNotFoundError(request.instance_id)
            return instance, [] if instance.generation else await self._hub.instances.raw_history(instance)

        instance, history = await while_it_moves(read)
        if not instance.is_terminal:
            await self._hub.send(bare_wake_up(instance))
        if not history:  # the fork has continued as new, and the copied history is gone
            return Forked(instance.instance_id, instance.execution_id, instance.copied, ())
        event = cast("ExecutionRewound", rewind_in(history[instance.copied]))
        calls = calls_in(history[: instance.copied])
        again = {task_id: calls[task_id] for task_id in cast("list[int]", event.again)}
        return _answer(instance, instance.copied, again, {}, other)

    async def _read(self, request: ForkRequest, other: Overrides) -> tuple[Instance, Copy, dict[int, Journal], JSON]:
        instance_id = request.instance_id

        async def read() -> tuple[Instance, Copy, dict[int, Journal], JSON]:
            source = (await self._hub.instances.load(instance_id)).instance
            if source is None:
                raise InstanceNotFoundError(instance_id)
            if request.execution_id and source.execution_id != request.execution_id:
                raise ExecutionGoneError(instance_id)
            if source.name.startswith(RESERVED):
                raise InvalidInputError(f"instance '{instance_id}' belongs to the framework and cannot be forked")
            segments = await self._hub.instances.history(source)
            if not segments:
                raise InvalidInputError(f"instance '{instance_id}' has not begun: start another one instead")
            failure, data = None, await self._hub.payloads.load(instance_id, source.input)
            if source.failure is not None:
                failure = FailureDetails.from_json(await self._hub.payloads.load(instance_id, source.failure))
            copy = copy_of(segments, cut_for(request.until, source, segments, failure))
            # What runs with another input comes to other steps.
            without = other.answered | other.inputs.keys()
            return source, copy, await read_journals(self._hub, source, open_calls(copy.segments), without), data

        return await while_it_moves(read)

    def _overridden(
        self, journals: Mapping[int, Journal], copy: Copy, other: Overrides, execution_id: str
    ) -> dict[int, Journal]:
        """The journals with the ends of steps that are overridden. InvalidInputError."""
        found = dict(journals)
        for task_id, step in other.recorded.items():
            call = cast("TaskScheduled", copy.calls[task_id])
            definition = definition_here(self._registry, call.name)
            if definition is not None and not definition.journal:
                raise InvalidInputError(
                    f"activity '{call.name}' of task {task_id} has no recorded steps (journal=True)"
                )
            root, entries = found.get(task_id, Journal(root_of(call), []))
            found[task_id] = Journal(root, with_override(entries, call, step, execution_id))
        return found

    def _fresh(self, request: ForkRequest, source: Instance, copy: Copy, new_id: str, execution_id: str) -> Instance:
        """The row of the fork before its own first commit, without its input."""
        now = self._clock.now()
        deadline = None
        if source.deadline is not None:
            deadline = after(now, max(source.deadline - copy.cut_at, timedelta(0)))
        number = len(copy.segments)
        return Instance(
            instance_id=new_id,
            execution_id=execution_id,
            name=source.name,
            version=source.version if request.version is None else request.version,
            status=RuntimeStatus.SUSPENDED if request.is_suspended else status_at(copy.segments),
            created=now,
            updated=now,
            input="null",
            tags=dict(source.tags),
            headers=source.headers,
            deadline=deadline,
            forked_from=Origin(source.instance_id, source.execution_id),
            seed=seed_of(source),
            copied=number,
            rewinds=source.rewinds + 1,
            takes_updates=source.takes_updates,
            updates=source.updates,
            seq=number,
            base=number,
            dispatched=number - 1,
            build=self._build,
        )

    async def _write(
        self,
        fresh: Instance,
        copy: Copy,
        journals: Mapping[int, Journal],
        events: tuple[Event, ...],
        outcomes: Sequence[TaskOutcome],
        data: JSON,
    ) -> bool:
        """False: nothing was written, as the same request has written it meanwhile."""
        hub, new_id, execution_id = self._hub, fresh.instance_id, fresh.execution_id
        fresh = fresh.but(input=await hub.payloads.store(new_id, execution_id, data))
        told: list[Insert] = []
        if outcomes:
            message = ControlMessage(
                instance_id=new_id, execution_id=execution_id, outcomes=tuple(outcomes), rewinds=fresh.rewinds
            )
            body = await hub.payloads.store(new_id, execution_id, encode(message))
            key = f"i{hub.ids.ulid(fresh.created)}"
            told.append(hub.inbox.row(execution_id, key, InboxKind.RESULTS, "", body))
        commit = Commit(
            commit_id=hub.ids.commit_id(),
            timestamp=fresh.updated,
            events=events,
            status=fresh.status,
            pause=next((event.reason for event in events if isinstance(event, ExecutionSuspended)), None),
            dispatched=fresh.dispatched,
            build=self._build,
        )
        # A fork that waits for its resumption needs no host; any other is woken up by recovery if this process dies.
        is_held = commit.pause is not None
        await hub.catalog.open(entry_of(fresh if is_held else fresh.but(status=RuntimeStatus.PENDING)))
        try:
            for root, entries in journals.values():
                await hub.journals.copy(JournalKey(new_id, execution_id, 0, root), entries)
        except RowExistsError:
            present = await hub.instances.get(new_id)
            if present is not None and present.execution_id == execution_id:
                return False
            raise InvalidInputError(
                f"a fork with this request id and other overrides has begun to write '{new_id}': choose another "
                "request id"
            ) from None
        try:
            await hub.instances.create_copy(fresh.but(last_commit=commit.commit_id), copy.segments, commit, told)
        except RowExistsError:
            present = await hub.instances.get(new_id)
            if present is None or present.created != fresh.created:  # else it is ours, its answer was lost
                await hub.catalog.forget_open(entry_of(fresh))
            if present is None or present.execution_id != execution_id:
                status = "gone at this moment" if present is None else present.status.value
                raise InstanceAlreadyExistsError(new_id, status) from None
        await hub.send(bare_wake_up(fresh))
        self._observer.started(fresh)
        return True

    # ------------------------------------------------------------------ the code, where it is at hand

    @contextmanager
    def _code(
        self, fresh: Instance, segments: Sequence[Segment], data: JSON
    ) -> Generator[OrchestrationExecutor | None]:
        """The code after a replay of the copied history; None if it is not at hand. OperationRefusedError: it does not
        fit."""
        try:
            definition = definition_for(self._registry, fresh.name, fresh.version)
        except UnknownOrchestratorError:
            if self._registry.orchestrator_names:
                raise
            yield None
            return
        code = Code(f"the fork '{fresh.instance_id}' of orchestrator '{fresh.name}'")
        shown = [_with_input(segment, data) for segment in segments]
        info = info_of(fresh, self._hub.instances.headers(fresh), self._callback_urls)
        try:
            live = watched_replay(code, definition, info, self._converter, shown, guard=self._guard)
        except (NonDeterminismError, DeterminismError, CodeHangsError) as error:
            raise OperationRefusedError(
                fresh.instance_id, f"the code of this app does not fit the history that is to be copied: {error}"
            ) from error
        try:
            yield live
        finally:
            stretch(code, live.close)

    def _decisions(
        self, live: OrchestrationExecutor, outcomes: Sequence[TaskOutcome], fresh: Instance
    ) -> tuple[str, ...]:
        """What follows from the overridden outcomes, in words. InvalidInputError: a result does not fit."""
        if not outcomes:
            return ()
        code = Code(f"the fork '{fresh.instance_id}' of orchestrator '{fresh.name}'")
        turn = stretch(code, live.step, fresh.updated, events_of(outcomes, live, self._converter))
        return tuple(describe(event) for event in turn.outgoing)

    def _callbacks(self, live: OrchestrationExecutor, source: Instance) -> tuple[CopiedCallback, ...]:
        found: list[CopiedCallback] = []
        for own in live.open_callbacks():
            copied = CopiedCallback(name_of_callback(own.event_name) or "")
            if self._callback_urls is not None:
                theirs = ticket_of_copy(own, source.instance_id, source.execution_id, source.generation)
                with suppress(ConfigurationError):  # the address of the app is not known
                    source_url, url = (self._callback_urls.url_of(ticket) for ticket in (theirs, own))
                    copied = replace(copied, source_url=source_url, url=url)
            found.append(copied)
        return tuple(found)


def _answer(
    fork: Instance, cut: int, calls: Mapping[int, Call], steps: Mapping[int, RewoundTask], other: Overrides
) -> Forked:
    again = {**{task_id: task_of(call) for task_id, call in calls.items()}, **steps}
    keys = {
        task_id: f"{fork.execution_id}-0-{root_of(call)}"
        for task_id, call in sorted(calls.items())
        if isinstance(call, TaskScheduled) and task_id not in other.answered
    }
    left = tuple(again[task_id] for task_id in sorted(again) if task_id not in other.answered)
    return Forked(fork.instance_id, fork.execution_id, cut, left, keys)


def _open_steps(live: OrchestrationExecutor) -> dict[int, RewoundTask]:
    return {task_id: RewoundTask(task_id, step.name, step.line) for task_id, step in live.steps.items()}


def _with_input(segment: Segment, data: JSON) -> Segment:
    events = [replace(event, input=data) if isinstance(event, ExecutionStarted) else event for event in segment.events]
    return replace(segment, events=tuple(events))


def _digest(*parts: str) -> str:
    return hashlib.sha256("/".join(parts).encode()).hexdigest()
