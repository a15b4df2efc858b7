"""Forks: a new instance that begins with a part of the history of another one, which is left as it is.

The writes, in this order: large values of the new instance, its open catalogue row, its rows in one transaction, the
wake-up. Its execution id follows from the request, so that a request that is made again finds its own fork.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from ..converter import Converter
from ..engine.callbacks import CallbackUrls
from ..engine.events import (
    ExecutionStarted,
    Incoming,
    Segment,
    SubOrchestrationCompleted,
    SubOrchestrationCreated,
    SubOrchestrationFailed,
    TaskCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    describe,
)
from ..engine.executor import OrchestrationExecutor
from ..engine.values import read
from ..errors import (
    CodeHangsError,
    DeterminismError,
    DurableError,
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
from ..hub.instances import MOVED_TRIES, Commit, HistoryMovedError
from ..hub.messages import ControlMessage, TaskOutcome, encode
from ..hub.payloads import PayloadGoneError
from ..hub.taskhub import TaskHub
from ..models import JSON, FailureDetails, Origin, RuntimeStatus
from ..moments import after
from ..registry import RESERVED, Registry
from ..storage.ports import Insert
from .clock import Clock
from .turn.cached import definition_for, info_of, seed_of, watched_replay
from .turn.decision import bare_wake_up, entry_of
from .turn.fork_plan import Copy, Until, collisions, copy_of, cut_for, dispatched_of, first_event
from .turn.rewind_plan import RewoundTask, tasks_of

OVERRIDES = ("result", "failure", "input")


@dataclass(frozen=True, slots=True)
class Forked:
    """What a fork has made, or would make.

    again: the calls that are dispatched for the new instance. keys: the idempotency keys of its activities among them,
    by task: they are others than those of the source. decisions: what the code decides at once of the overridden
    results, in words; of a dry run with the code at hand.
    """

    instance_id: str
    execution_id: str
    cut_before: int
    again: tuple[RewoundTask, ...]
    keys: Mapping[int, str] = field(default_factory=lambda: {})
    decisions: tuple[str, ...] = ()

    def to_json(self) -> dict[str, JSON]:
        shown: dict[str, JSON] = {
            "instanceId": self.instance_id,
            "executionId": self.execution_id,
            "cutBefore": self.cut_before,
            "again": [task.to_json() for task in self.again],
            "idempotencyKeys": {str(task): key for task, key in self.keys.items()},
        }
        return shown | {"decisions": list(self.decisions)} if self.decisions else shown


@dataclass(frozen=True, slots=True)
class Overrides:
    """What is other in a fork, by task: results and failures of open calls, and inputs of those that run again."""

    outcomes: Mapping[int, TaskOutcome]
    inputs: Mapping[int, JSON]


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
        *,
        guard: bool,
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._converter = converter
        self._clock = clock
        self._callback_urls = callback_urls
        self._build = build
        self._guard = guard

    async def fork(
        self,
        instance_id: str,
        until: Until,
        overrides: Mapping[int, Mapping[str, object]],
        new_id: str,
        version: str | None,
        request_id: str,
        execution_id: str | None,
        *,
        dry_run: bool,
    ) -> Forked:
        """See ``DurableClient.fork``."""
        source, segments, data = await self._read(instance_id, execution_id)
        failure = None
        if source.failure is not None:
            failure = FailureDetails.from_json(await self._hub.payloads.load(instance_id, source.failure))
        other = self._overrides(overrides)
        copy = copy_of(segments, cut_for(until, source, segments, failure))
        if unknown := sorted(overrides.keys() - copy.calls.keys()):
            raise InvalidInputError(f"task {unknown[0]} is not open where the copy ends: it cannot be overridden")
        if timers := [task_id for task_id in overrides if isinstance(copy.calls[task_id], TimerCreated)]:
            raise InvalidInputError(f"task {timers[0]} is a timer, of which nothing can be overridden")
        if problems := collisions(copy, other.outcomes):
            raise OperationRefusedError(instance_id, f"instance '{instance_id}' is not forked", problems)
        fresh = await self._fresh(source, copy, new_id, version, request_id, data, write=not dry_run)
        reason = f"forked from '{instance_id}'"
        event = first_event(copy, fresh.rewinds, fresh.updated, request_id, reason, other.inputs)
        whole = [*copy.segments, Segment(fresh.seq, request_id, fresh.updated, (event,))]
        decisions = self._replay(fresh, whole, data, other)
        names = tasks_of(copy.segments)
        again = [task_id for task_id in sorted(copy.calls) if task_id not in other.outcomes]
        keys = {
            task_id: f"{fresh.execution_id}-0-{task_id}"
            for task_id in again
            if isinstance(copy.calls[task_id], TaskScheduled)
        }
        if not dry_run:
            commit = Commit(
                commit_id=self._hub.ids.commit_id(),
                timestamp=fresh.updated,
                events=(event,),
                status=RuntimeStatus.RUNNING,
                dispatched=fresh.dispatched,
                build=self._build,
            )
            await self._write(fresh, copy, commit, other)
        return Forked(
            new_id,
            fresh.execution_id,
            copy.cut,
            tuple(names[task_id] for task_id in again),
            keys,
            decisions if dry_run else (),
        )

    async def _read(self, instance_id: str, execution_id: str | None) -> tuple[Instance, list[Segment], JSON]:
        for _ in range(MOVED_TRIES):
            source = (await self._hub.instances.load(instance_id)).instance
            if source is None:
                break
            if execution_id and source.execution_id != execution_id:
                raise ExecutionGoneError(instance_id)
            if source.name.startswith(RESERVED):
                raise InvalidInputError(f"instance '{instance_id}' belongs to the framework and cannot be forked")
            try:
                segments = await self._hub.instances.history(source)
                data = await self._hub.payloads.load(instance_id, source.input)
            except (HistoryMovedError, PayloadGoneError):
                continue
            if not segments:
                raise InvalidInputError(f"instance '{instance_id}' has not begun: start another one instead")
            return source, segments, data
        raise InstanceNotFoundError(instance_id)

    def _overrides(self, given: Mapping[int, Mapping[str, object]]) -> Overrides:
        outcomes: dict[int, TaskOutcome] = {}
        inputs: dict[int, JSON] = {}
        for task_id, what in given.items():
            if len(what) != 1 or (kind := next(iter(what))) not in OVERRIDES:
                raise InvalidInputError(
                    f"an override of task {task_id} has one of {', '.join(OVERRIDES)}, not {what!r:.200}"
                )
            value = self._converter.to_json(what[kind], f"the overridden {kind} of task {task_id}")
            if kind == "input":
                inputs[task_id] = value
            elif kind == "result":
                outcomes[task_id] = TaskOutcome(0, task_id, 1, value)
            else:
                failure = FailureDetails("Overridden", str(value), retriable=False)
                outcomes[task_id] = TaskOutcome(0, task_id, 1, failure=failure)
        return Overrides(outcomes, inputs)

    async def _fresh(
        self,
        source: Instance,
        copy: Copy,
        new_id: str,
        version: str | None,
        request_id: str,
        data: JSON,
        *,
        write: bool,
    ) -> Instance:
        now = self._clock.now()
        execution_id = hashlib.sha256(f"fork/{new_id}/{request_id}".encode()).hexdigest()[:16]
        stored = await self._hub.payloads.store(new_id, execution_id, data) if write else "null"
        deadline = None
        if source.deadline is not None:
            deadline = after(now, max(source.deadline - copy.cut_at, timedelta(0)))
        number = len(copy.segments)
        return Instance(
            instance_id=new_id,
            execution_id=execution_id,
            name=source.name,
            version=source.version if version is None else version,
            status=RuntimeStatus.RUNNING,
            created=now,
            updated=now,
            input=stored,
            tags=dict(source.tags),
            deadline=deadline,
            forked_from=Origin(source.instance_id, source.execution_id),
            seed=seed_of(source),
            rewinds=source.rewinds + 1,
            seq=number,
            base=number,
            dispatched=dispatched_of(copy),
            build=self._build,
        )

    async def _write(self, fresh: Instance, copy: Copy, commit: Commit, other: Overrides) -> None:
        hub = self._hub
        told: list[Insert] = []
        if other.outcomes:
            message = ControlMessage(
                instance_id=fresh.instance_id,
                execution_id=fresh.execution_id,
                outcomes=tuple(self._told(outcome, copy) for outcome in other.outcomes.values()),
                rewinds=fresh.rewinds,
            )
            body = await hub.payloads.store(fresh.instance_id, fresh.execution_id, encode(message))
            key = f"i{hub.ids.ulid(fresh.created)}"
            told.append(hub.inbox.row(fresh.execution_id, key, InboxKind.RESULTS, "", body))
        await hub.catalog.open(entry_of(fresh.but(status=RuntimeStatus.PENDING)))
        try:
            await hub.instances.create_copy(fresh.but(last_commit=commit.commit_id), copy.segments, commit, told)
        except RowExistsError:
            present = await hub.instances.get(fresh.instance_id)
            if present is None or present.execution_id != fresh.execution_id:
                await hub.catalog.forget_open(entry_of(fresh))
                status = "gone at this moment" if present is None else present.status.value
                raise InstanceAlreadyExistsError(fresh.instance_id, status) from None
        await hub.send(bare_wake_up(fresh))

    def _told(self, outcome: TaskOutcome, copy: Copy) -> TaskOutcome:
        is_child = isinstance(copy.calls[outcome.task_id], SubOrchestrationCreated)
        return TaskOutcome(0, outcome.task_id, 1, outcome.result, outcome.failure, child=is_child)

    # ------------------------------------------------------------------ the code, where it is at hand

    def _replay(self, fresh: Instance, segments: Sequence[Segment], data: JSON, other: Overrides) -> tuple[str, ...]:
        """The decisions that follow from the overridden outcomes.

        OperationRefusedError: the code does not fit the copy. InvalidInputError: an overridden result does not fit the
        type that the code expects.
        """
        try:
            definition = definition_for(self._registry, fresh.name, fresh.version)
        except UnknownOrchestratorError:
            if self._registry.orchestrator_names:
                raise
            return ()
        code = Code(f"the fork '{fresh.instance_id}' of orchestrator '{fresh.name}'")
        shown = [_with_input(segment, data) for segment in segments]
        info = info_of(fresh, self._callback_urls)
        try:
            live = watched_replay(code, definition, info, self._converter, shown, guard=self._guard)
        except (NonDeterminismError, DeterminismError, CodeHangsError) as error:
            raise OperationRefusedError(
                fresh.instance_id, f"the code of this app does not fit the history that is to be copied: {error}"
            ) from error
        try:
            events = [self._event(outcome, live) for outcome in other.outcomes.values()]
            turn = stretch(code, live.step, fresh.updated, events)
            return tuple(describe(event) for event in turn.outgoing)
        finally:
            stretch(code, live.close)

    def _event(self, outcome: TaskOutcome, live: OrchestrationExecutor) -> Incoming:
        pending = live.pending[outcome.task_id]
        if outcome.failure is None:
            try:
                read(self._converter, outcome.result, live.returns_of(outcome.task_id))
            except DurableError as error:
                raise InvalidInputError(f"the overridden result of task {outcome.task_id}: {error}") from error
        is_child = isinstance(pending.event, SubOrchestrationCreated)
        if outcome.failure is not None:
            return (SubOrchestrationFailed if is_child else TaskFailed)(outcome.task_id, outcome.failure)
        return (SubOrchestrationCompleted if is_child else TaskCompleted)(outcome.task_id, outcome.result)


def _with_input(segment: Segment, data: JSON) -> Segment:
    events = [replace(event, input=data) if isinstance(event, ExecutionStarted) else event for event in segment.events]
    return replace(segment, events=tuple(events))
