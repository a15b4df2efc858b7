"""Runs activities: plain functions in a thread pool, async ones on the loop; JSON in, JSON or a failure out."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Any

from ..activity_context import ActivityContext
from ..converter import Converter
from ..engine.outside import outside
from ..errors import InvalidInputError, PayloadTooLargeError, SerializationError
from ..hub.messages import Call, TaskOutcome
from ..models import FailureDetails
from ..registry import NO_INPUT, ActivityDefinition, Registry

SLOW_SECONDS = 5.0  # an activity that has lately taken longer is not run inline

logger = logging.getLogger("durable_core.activity")


class ActivityRunner:
    """``executor`` None: plain functions run on the loop's thread (simulations do that)."""

    def __init__(self, registry: Registry, converter: Converter, executor: Executor | None) -> None:
        self._registry = registry
        self._converter = converter
        self._executor = executor
        self._slow: set[str] = set()

    def is_slow(self, name: str) -> bool:
        """Whether the last run of this activity took over five seconds."""
        return name in self._slow

    async def run(self, instance_id: str, execution_id: str, call: Call) -> TaskOutcome:
        """Run one call; every failure of the activity becomes part of the outcome. UnknownActivityError."""
        definition = self._registry.activity(call.name)
        started = asyncio.get_running_loop().time()
        about = f"activity '{call.name}' ({definition.location})"
        try:
            try:
                arguments = self._arguments(definition, instance_id, execution_id, call)
            except (InvalidInputError, SerializationError) as error:
                wrong = type(error)(f"the input of {about}: {error}")
                wrong.__cause__ = error
                return self._failed(call, wrong, retriable=False)
            value = await self._invoke(definition, arguments)
            try:
                result = self._converter.to_json(value, f"the result of {about}")
            except (SerializationError, PayloadTooLargeError) as error:  # it would be the same at every try
                return self._failed(call, error, retriable=False)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # by the process, which ends
                raise
            return self._failed(call, error)  # leaked by the activity: a client library's timeout, say
        except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever an activity raises is its result
            return self._failed(call, error)
        finally:
            took = asyncio.get_running_loop().time() - started
            (self._slow.add if took > SLOW_SECONDS else self._slow.discard)(call.name)
        return TaskOutcome(call.generation, call.task_id, call.attempt, result)

    def _arguments(self, definition: ActivityDefinition, instance_id: str, execution_id: str, call: Call) -> list[Any]:
        arguments: list[Any] = []
        if definition.takes_context:
            arguments.append(
                ActivityContext(
                    instance_id=instance_id,
                    execution_id=execution_id,
                    task_id=call.task_id,
                    attempt=call.attempt,
                    idempotency_key=f"{execution_id}-{call.generation}-{call.task_id}",
                    logger=logger,
                )
            )
        if definition.input_type is not NO_INPUT:
            arguments.append(self._converter.from_json(call.input, definition.input_type))
        return arguments

    async def _invoke(self, definition: ActivityDefinition, arguments: list[Any]) -> Any:
        with outside(f"activity '{definition.name}'"):
            if definition.is_async:
                return await definition.fn(*arguments)
            if self._executor is None:
                return definition.fn(*arguments)
            work: Callable[[], Any] = partial(contextvars.copy_context().run, definition.fn, *arguments)
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _failed(self, call: Call, error: BaseException, *, retriable: bool = True) -> TaskOutcome:
        failure = FailureDetails.from_exception(error, retriable=retriable)
        logger.warning(
            "activity '%s' failed (attempt %d): %s: %s", call.name, call.attempt, failure.type, failure.message
        )
        return TaskOutcome(call.generation, call.task_id, call.attempt, failure=failure)
