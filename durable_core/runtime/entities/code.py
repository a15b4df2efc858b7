"""Runs the code of an entity for one operation: on the event loop, watched, and never longer than its message is ours.

An operation is undone when it raises, except in the style of Durable Functions, which keeps what it did before. Every
exception is the failure of the operation; only an interrupt of the process is raised here.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from datetime import datetime
from functools import partial
from typing import Any

from ...converter import Converter
from ...engine.code_scope import outside
from ...entities import Effects, EntityContext, EntityDefinition, EntityId, HeldState, run_operation
from ...errors import TaskTimeoutError
from ...hang_watch import Code, in_stretches, stretch
from ...headers import text_of
from ...hub.entities.operations import Operation
from ...interceptors import around
from ...models import FailureDetails, type_name
from ...user_code import Raised, called, is_interrupt


class EntityCode:
    """The code of one entity in one batch. ``until``: the time of the loop by which an operation must have ended."""

    def __init__(
        self,
        definition: EntityDefinition,
        entity: EntityId,
        converter: Converter,
        new_id: Callable[[], str],
        now: datetime,
        until: float,
    ) -> None:
        self._definition, self._entity, self._converter = definition, entity, converter
        self._new_id, self._now, self._until = new_id, now, until

    async def run(self, operation: Operation, state: HeldState) -> tuple[Effects, FailureDetails | None]:
        """Run one operation on the state, which it changes. Returns what it has sent, and its failure if it failed."""
        definition, effects = self._definition, Effects()
        before = HeldState(state.exists, state.value)
        context = EntityContext(
            self._entity,
            operation.name,
            operation.input,
            state=state,
            effects=effects,
            converter=self._converter,
            new_id=self._new_id,
            now=self._now,
            headers=text_of(operation.headers) if operation.headers else "",
        )
        about = f"operation '{operation.name}' of entity {self._entity} ({definition.location})"
        value = await self._outcome(about, context)
        if not isinstance(value, Raised) and not effects.has_result:
            value = self._guarded(about, context.set_result, value)
        if not isinstance(value, Raised):
            return effects, None
        state.live = None
        if not definition.keeps_failed:
            state.exists, state.value = before.exists, before.value
            effects = Effects()
        return effects, FailureDetails.from_exception(value.error)

    async def _outcome(self, about: str, context: EntityContext) -> Any:
        """What the code returns, or the exception that it raises."""
        with outside(about):
            if methods := self._definition.interceptors.operations:
                found: Any = around(methods, context, partial(run_operation, self._definition, context))()
            else:
                found = self._guarded(about, self._definition.apply, context)
            if not inspect.isawaitable(found):
                return found
            work = asyncio.get_running_loop().create_task(_awaited(found, Code(about)))
        try:
            await asyncio.wait({work}, timeout=max(self._until - asyncio.get_running_loop().time(), 0.0))
        finally:
            if not work.done():
                work.cancel()
        if work.done() and not work.cancelled():
            return work.result()
        if work.cancelled():
            return Raised(asyncio.CancelledError(f"{about} was cancelled"))
        return Raised(_overran(about))

    def _guarded(self, about: str, fn: Callable[..., Any], *args: object) -> Any:
        try:
            return stretch(Code(about), called, fn, *args)
        except Exception as error:  # noqa: BLE001  it hangs
            return Raised(error)


async def _awaited(found: Awaitable[Any], code: Code) -> Any:
    """What a user's awaitable returns, or the exception that it raises."""

    async def outer() -> Any:
        return await found

    try:
        return await in_stretches(outer(), code)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return Raised(error)
    except BaseException as error:
        if is_interrupt(error):
            raise
        return Raised(error)


def _overran(about: str) -> TaskTimeoutError:
    message = (
        f"{about} did not end while its host had the message of this entity; let an orchestration call an activity for "
        "work that takes long, and signal the entity with the result"
    )
    failure = FailureDetails(type_name(TaskTimeoutError), message, retriable=False)
    return TaskTimeoutError(message, failure)
