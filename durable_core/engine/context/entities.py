"""Operations of entities, and critical sections."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from typing import Any, TypeVar, overload

from ...entities import EntityId, check_operation
from ...errors import InvalidInputError, OrchestratorCodeError
from ...models import JSON
from ..annotations import returned
from ..critical_section import Deferred, LockTask, check_call, check_signal, defer, must_wait, request_locks
from ..events import EntityCalled, EntitySignaled
from ..tasks import Task
from ..user_frames import caller
from ..values import write
from .base import ContextBase

T = TypeVar("T")


class EntityCalls(ContextBase):
    """Calls, signals and locks of entities."""

    __slots__ = ()

    @overload
    def call_entity(
        self, entity_id: EntityId, operation: str, input_: object = None, *, result_type: type[T]
    ) -> Task[T]: ...
    @overload
    def call_entity(
        self, entity_id: EntityId, operation: str, input_: object = None, *, result_type: Any = None
    ) -> Task[Any]: ...
    @overload
    def call_entity(
        self, entity_id: EntityId, operation: Callable[..., Coroutine[Any, Any, T]], input_: object = None
    ) -> Task[T]: ...
    @overload
    def call_entity(self, entity_id: EntityId, operation: Callable[..., T], input_: object = None) -> Task[T]: ...
    def call_entity(
        self,
        entity_id: EntityId,
        operation: str | Callable[..., Any],
        input_: object = None,
        *,
        result_type: Any = None,
    ) -> Task[Any]:
        """Call an operation of an entity; its result is the result of the task. The entity is made when first used.

        operation: its name, or the method of a class marked ``@entity``: ``Counter.add``.
        result_type: type of the result; None takes the method's annotation, or else plain JSON.
        The operation takes effect once. Operations that one orchestration sends to one entity run in their order.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError inside a critical
        section that has not locked the entity. The task fails with EntityOperationFailedError.
        """
        name = self._operation(entity_id, operation)
        decisions = self._decisions
        kind = returned(operation, result_type)
        data = write(self._converter, input_, f"the input for entity {entity_id}, operation", name)
        section = check_call(decisions, entity_id)
        target = str(entity_id)
        headers = self._headers_of("entity", target, name) if self._before else None
        if decisions.branches is not None and must_wait(decisions, (target,)):
            return self._call_later(target, name, data, kind, headers)
        task_id, line = decisions.next_id(), caller()
        event = EntityCalled(task_id, target, name, data, line, section, *decisions.contact(target), headers=headers)
        task: Task[Any] = Task(decisions, event, kind)
        decisions.call(task, event, None)
        return task

    def signal_entity(
        self,
        entity_id: EntityId,
        operation: str | Callable[..., Any],
        input_: object = None,
        at: datetime | timedelta | None = None,
    ) -> None:
        """Send an operation to an entity without waiting for it. It takes effect once, in the order of the calls.

        operation: as for ``call_entity``.
        at: when it is to run, at the earliest: an aware ``datetime``, or a ``timedelta`` from now.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for a time without a
        time zone, and inside a critical section that has locked the entity.
        """
        name = self._operation(entity_id, operation)
        decisions = self._decisions
        data = write(self._converter, input_, f"the input for entity {entity_id}, operation", name)
        check_signal(decisions, entity_id)
        due = None if at is None else self._moment(at, "signal_entity")
        target = str(entity_id)
        headers = self._headers_of("signal", target, name) if self._before else None
        if decisions.branches is not None and must_wait(decisions, (target,)):
            self._signal_later(target, name, data, due, headers)
            return
        task_id, line = decisions.next_id(), caller()
        contact = decisions.contact(target)
        decisions.record(EntitySignaled(task_id, target, name, data, line, due, *contact, headers=headers))

    def _signal_later(self, target: str, name: str, data: JSON, due: datetime | None, headers: JSON) -> None:
        """Signal an entity that another branch has locked, when it is released."""
        decisions, line = self._decisions, caller()

        def make() -> None:
            task_id, contact = decisions.next_id(), decisions.contact(target)
            decisions.record(EntitySignaled(task_id, target, name, data, line, due, *contact, headers=headers))

        defer(decisions, Deferred((target,), line, make, is_signal=True))

    def _call_later(self, target: str, name: str, data: JSON, kind: Any, headers: JSON) -> Task[Any]:
        """Call an entity that another branch has locked, when it is released."""
        decisions, line = self._decisions, caller()

        def make() -> None:
            task_id, contact = decisions.next_id(), decisions.contact(target)
            event = EntityCalled(task_id, target, name, data, line, 0, *contact, headers=headers)
            task.call = event
            decisions.call(task, event, None)

        task: Task[Any] = Task(decisions, EntityCalled(0, target, name, data, line), kind)
        defer(decisions, Deferred((target,), line, make))
        return task

    def lock(self, *entity_ids: EntityId) -> LockTask:
        """Lock entities: ``with (yield from ctx.lock(a, b)):``. Until the end of the block, operations of others wait.

        The locks are taken in a sorted order, so that orchestrations cannot wait for each other in a circle. They are
        released at the end of the block, and when this orchestration ends, in whatever way. Inside the block only
        locked entities can be called, only others can be signaled, and no sub-orchestration and no further ``lock`` can
        be called. A request that is not granted yet can be withdrawn: ``task.cancel()``. Other branches of this
        orchestration are outside: their locks, and their calls and signals of the locked entities, wait for its end.
        Raises OrchestratorCodeError without entities, and inside another critical section.
        """
        for entity_id in entity_ids:
            self._check_entity(entity_id)
        return request_locks(self._decisions, entity_ids)

    def _check_entity(self, entity_id: object) -> None:
        if not isinstance(entity_id, EntityId):
            raise OrchestratorCodeError(f"an entity is named by an EntityId(name, key), not {entity_id!r}", caller())

    def _operation(self, entity_id: EntityId, operation: object) -> str:
        """The name of the operation. OrchestratorCodeError for an entity or an operation that cannot be one."""
        self._check_entity(entity_id)
        try:
            return check_operation(operation)
        except InvalidInputError as error:
            raise OrchestratorCodeError(f"entity {entity_id}: {error}", caller()) from error
