"""Sends updates to instances, and waits for their answers.

Before anything is written, the instance row says whether the instance can take the update: it runs, and its code has a
handler of this name. An instance whose code has not begun is waited for, also one that waits for a slot of its limit.
The request and the row of the update are one transaction, so that of two requests with one id the store refuses the
second, which then waits for the answer of the first. The answer comes from the turn of this process that commits it, or
is read in the row. A row that is gone belonged to a request that was not accepted: it is sent anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from ..engine.updates import AnswerKind, UpdateAnswer
from ..errors import (
    ExecutionGoneError,
    InstanceCompletedError,
    InstanceError,
    InstanceNotFoundError,
    InstanceStuckError,
    OperationRefusedError,
    RowExistsError,
    UnknownUpdateError,
    UpdateFailedError,
    UpdateNotEndedError,
    UpdateRefusedError,
)
from ..hub.inbox import InboxKind
from ..hub.instance_row import Instance
from ..hub.keys import update_key
from ..hub.taskhub import TaskHub
from ..hub.updates import OPEN, UpdateRow
from ..lazy_dataclass import dataclass
from ..models import JSON, FailureDetails, RuntimeStatus
from ..storage.ports import Insert
from .clock import Clock
from .completion import FIRST_POLL, POLLS_PER_SECOND
from .observer import Observer
from .slots import limit_awaited, not_begun
from .turn.decision import bare_wake_up
from .update_waiters import UpdateWaiters
from .watches import Watch

_ACCEPTED = ("completed", "failed")


@dataclass(frozen=True, slots=True)
class _Answer:
    kind: str
    value: JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRequest:
    """text: the data of the inbox row, as JSON. is_named: whether the sender has chosen the id, so that there may have
    been a request with it. seconds: how long to wait. longest_poll: as of the client."""

    instance_id: str
    execution_id: str | None
    name: str
    update_id: str
    text: str
    is_named: bool
    seconds: float
    longest_poll: float


class UpdateSender:
    """waiters: those of this process. is_at_work: whether this process moves an instance at this moment."""

    def __init__(
        self,
        hub: TaskHub,
        clock: Clock,
        observer: Observer,
        waiters: UpdateWaiters,
        is_at_work: Callable[[str], bool],
    ) -> None:
        self._hub, self._clock, self._observer = hub, clock, observer
        self._waiters, self._is_at_work = waiters, is_at_work

    async def send(self, request: UpdateRequest) -> JSON:
        """The result of the handler. See ``Messaging.update``."""
        loop = asyncio.get_running_loop()
        end, delay = loop.time() + request.seconds, FIRST_POLL
        while True:
            instance = await self._read(request)
            row, problem = None, _problem(instance, request.name)
            if problem is not None and request.is_named:  # a repeated update has its answer, whatever the instance does
                row = await self._hub.updates.get(instance.instance_id, instance.execution_id, request.update_id)
                if row is not None and (row.kind != OPEN or isinstance(problem, UnknownUpdateError)):
                    problem = None
            reason = None if problem is None else await self._why_not_begun(instance, problem)
            if reason is not None:
                if loop.time() >= end:
                    raise OperationRefusedError(instance.instance_id, reason)
                await asyncio.sleep(min(delay, max(end - loop.time(), 0.0)))
                delay = min(delay * 2, request.longest_poll)
                continue
            if problem is not None:
                raise problem
            answer = await self._answer(request, instance, row, end)
            if answer is not None:
                return _result(request, answer)

    async def _why_not_begun(self, instance: Instance, problem: InstanceError) -> str | None:
        """Why the code has not run yet, though it is about to, or will when a slot of a limit is free: then nobody
        knows which updates there are. None: it has run, or is not to be waited for."""
        if not isinstance(problem, UnknownUpdateError):
            return None
        if instance.is_unstarted and not instance.generation:
            return f"instance '{instance.instance_id}' has not begun yet: try again later"
        if instance.updates or not instance.uses_entities:  # the gates of limits are entities
            return None
        limit = await limit_awaited(self._hub, instance.instance_id)
        return not_begun(instance.instance_id, limit) if limit else None

    async def _read(self, request: UpdateRequest) -> Instance:
        instance = await self._hub.instances.get(request.instance_id)
        if instance is None:
            raise InstanceNotFoundError(request.instance_id)
        if request.execution_id and instance.execution_id != request.execution_id:
            raise ExecutionGoneError(request.instance_id)
        return instance

    async def _answer(
        self, request: UpdateRequest, instance: Instance, row: UpdateRow | None, end: float
    ) -> _Answer | None:
        """The answer; None if the request was not accepted because of what the instance was then. TimeoutError."""
        key = update_key(instance.execution_id, request.update_id)
        waiter = self._waiters.waiter(instance.instance_id, key)
        try:
            if row is None:
                row = await self._insert(request, instance, key)
            if row is not None and row.kind != OPEN:
                return await self._read_answer(instance, row)
            await self._hub.send(bare_wake_up(instance))  # also for another's request: its host may have crashed before
            return await self._wait(request, instance, waiter, end)
        finally:
            self._waiters.done(instance.instance_id, key, waiter)

    async def _insert(self, request: UpdateRequest, instance: Instance, key: str) -> UpdateRow | None:
        """Write the request. Returns the row that another request with this id has written before."""
        hub, execution_id = self._hub, instance.execution_id
        data = await hub.payloads.store_text(instance.instance_id, execution_id, request.text)
        row_key = "i" + hub.ids.ulid(self._clock.now())
        trace = self._observer.trace_of_event(instance, row_key)
        inbox = hub.inbox.row(execution_id, row_key, InboxKind.UPDATE, request.name, data, trace=trace)
        attempt = hub.ids.commit_id()
        try:
            written = Insert(row_key, {**inbox.props, "answer": key})
            await hub.updates.insert(instance.instance_id, key, written, attempt)
        except RowExistsError:
            present = await hub.updates.get(instance.instance_id, execution_id, request.update_id)
            if present is not None and present.by != attempt:  # else it is our own: the answer of the store was lost
                return present
        self._observer.event_raised(instance, request.name, row_key)
        return None

    async def _wait(
        self, request: UpdateRequest, instance: Instance, waiter: Watch[UpdateAnswer], end: float
    ) -> _Answer | None:
        loop, delay = asyncio.get_running_loop(), min(FIRST_POLL, request.longest_poll)
        hub, instance_id, execution_id = self._hub, instance.instance_id, instance.execution_id
        while True:
            pause = max(delay, self._waiters.waiting / POLLS_PER_SECOND)
            told = await waiter.next(min(pause, end - loop.time()))
            if told is not None and told.kind in _ACCEPTED:
                return _Answer(told.kind, told.value)
            is_late = loop.time() >= end
            must_look = told is not None or is_late or waiter.take_hint()
            if must_look or delay >= request.longest_poll or not self._is_at_work(instance_id):
                row = await hub.updates.get(instance_id, execution_id, request.update_id)
                if row is None:
                    return None
                if row.kind != OPEN:
                    return await self._read_answer(instance, row)
                if delay >= request.longest_poll or is_late:
                    await self._look(request, row)
                if is_late:
                    raise UpdateNotEndedError(instance_id, request.name, request.update_id, request.seconds)
            delay = min(delay * 2, request.longest_poll)

    async def _look(self, request: UpdateRequest, row: UpdateRow) -> None:
        """Raise why nobody answers the update, if the instance has ended or cannot go on. An update that no turn has
        read is withdrawn: nobody will carry it out later."""
        instance = await self._hub.instances.get(request.instance_id)
        problem = InstanceNotFoundError(request.instance_id) if instance is None else _problem(instance, request.name)
        if problem is None or isinstance(problem, UnknownUpdateError):
            return
        if instance is not None:
            now = await self._hub.updates.get(request.instance_id, instance.execution_id, request.update_id)
            if now is None or now.kind != OPEN:
                return  # answered meanwhile: the next look finds that
        await self._hub.updates.withdraw(request.instance_id, row)
        raise problem

    async def _read_answer(self, instance: Instance, row: UpdateRow) -> _Answer | None:
        """What a row says. One that refuses the update is deleted, so that the update may be sent again."""
        value = await self._hub.updates.value(instance.instance_id, row)
        if row.kind not in _ACCEPTED:
            await self._hub.updates.forget(instance.instance_id, row)
        if row.kind in ("suspended", "ended"):
            return None  # what the instance is now says more
        return _Answer(row.kind, value)


def _problem(instance: Instance, name: str) -> InstanceError | None:
    """Why the instance, as it is, takes no update of this name."""
    instance_id = instance.instance_id
    if instance.is_terminal:
        return InstanceCompletedError(instance_id, instance.status.value)
    if instance.stuck:
        return InstanceStuckError(instance_id, instance.stuck)
    if instance.status is RuntimeStatus.SUSPENDED:
        return OperationRefusedError(
            instance_id, f"instance '{instance_id}' is suspended and takes no updates: resume it first"
        )
    known: list[str] = json.loads(instance.updates) if instance.updates else []
    if name in known:
        return None
    if instance.start_at is not None and instance.is_unstarted and not instance.generation:
        return OperationRefusedError(
            instance_id, f"instance '{instance_id}' takes no updates before it begins, at {instance.start_at}"
        )
    return UnknownUpdateError(instance_id, name, known)


def _result(request: UpdateRequest, answer: _Answer) -> JSON:
    """The result of an update, or its error."""
    kind: AnswerKind | str = answer.kind
    if kind == "completed":
        return answer.value
    if kind == "unknown":
        raise UnknownUpdateError(request.instance_id, request.name, answer.value)
    failure = FailureDetails.from_json(answer.value)
    if kind == "refused":
        raise UpdateRefusedError(request.instance_id, request.name, failure)
    raise UpdateFailedError(request.instance_id, request.name, request.update_id, failure)
