"""Sub-orchestrations, and orchestrations that nobody waits for."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, cast, overload

from ...models import RetryPolicy
from ..annotations import returned
from ..call_options import check_child_id, check_retry, check_version, run_options
from ..called import called_name
from ..critical_section import check_child
from ..events import OrchestrationStarted, SubOrchestrationCreated
from ..parent_close import ParentClose
from ..tasks import Branch, Task
from ..user_frames import caller
from ..values import write
from .base import ContextBase

if TYPE_CHECKING:
    from .orchestration_context import OrchestrationContext

T = TypeVar("T")
X = TypeVar("X")

_DETACHED = uuid.UUID("a5bd7b5c-5a35-5f0c-8a3e-6f2f0a5e7d11")
"""Namespace of the ids of detached instances; any fixed value would do."""


class ChildCalls(ContextBase):
    """Calls that start other instances."""

    __slots__ = ()

    # ------------------------------------------------------------ sub-orchestrations

    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: str,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        parent_close: ParentClose = "abandon",
        returns: type[T],
    ) -> Task[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: str,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        parent_close: ParentClose = "abandon",
        returns: Any = None,
    ) -> Task[Any]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: Callable[[OrchestrationContext], Branch[T]],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        parent_close: ParentClose = "abandon",
    ) -> Task[T]: ...
    @overload
    def call_sub_orchestrator(
        self,
        fn_or_name: Callable[[OrchestrationContext, X], Branch[T]],
        input_: X,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        parent_close: ParentClose = "abandon",
    ) -> Task[T]: ...
    def call_sub_orchestrator(
        self,
        fn_or_name: str | Callable[..., Any],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
        retry: RetryPolicy | None = None,
        *,
        timeout: timedelta | None = None,
        parent_close: ParentClose = "abandon",
        returns: Any = None,
    ) -> Task[Any]:
        """Start another orchestrator as a child; its result is the result of the task.

        instance_id: the id of the child; None derives it from this instance. The id of an earlier child of this
            instance can be used again once that child has ended; its history is deleted then.
        version: the version of the child; None takes the default one, or else the newest.
        retry: each attempt is an instance of its own; from the second on, its id ends with the number of the attempt.
        timeout: time limit of one attempt, from its start; then the child is ended, and the attempt fails with
            TaskTimeoutError.
        parent_close: what becomes of the child if it still runs when this orchestration ends, in whatever way, or
            continues as new: Temporal's ParentClosePolicy. ``abandon``: it goes on, and nobody gets its result;
            ``cancel`` and ``terminate``: it gets that request, with its own sub-orchestrations.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for an id or an option
        that is not valid. The task fails with SubOrchestrationFailedError, caused by InstanceAlreadyExistsError if
        another instance has the id.
        """
        name = called_name(fn_or_name, "orchestrator", self._decisions)
        check_child(self._decisions, name)
        kind = returned(fn_or_name, returns)
        data = write(self._converter, input_, "the input of orchestrator", name)
        options = run_options(timeout, parent_close)
        check_retry(retry, "a sub-orchestration")
        check_version(version)
        if instance_id is not None:
            check_child_id(instance_id, retry)
        headers = self._headers_of("sub_orchestration", name) if self._before else None
        decisions = self._decisions
        event = SubOrchestrationCreated(
            decisions.next_id(), name, version, instance_id or "", data, caller(), options, headers
        )
        task: Task[Any] = Task(decisions, event, kind)
        decisions.call(task, event, retry)
        return task

    def call_sub_orchestrator_with_retry(
        self,
        name: str | Callable[..., Any],
        retry_options: RetryPolicy,
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> Task[Any]:
        """``call_sub_orchestrator(name, input_, retry=retry_options)``, by its name in Durable Functions."""
        return self.call_sub_orchestrator(cast("str", name), input_, instance_id, version, retry_options)

    # ------------------------------------------------------------ detached orchestrations

    @overload
    def start_orchestration(
        self, fn_or_name: str, input_: object = None, instance_id: str | None = None, version: str | None = None
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext], Branch[Any]],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext, X], Branch[Any]],
        input_: X,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str: ...
    def start_orchestration(
        self,
        fn_or_name: str | Callable[..., Any],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str:
        """Start another orchestrator without waiting for it; returns its instance id at once.

        It has no parent: it continues when this orchestration ends or is terminated, and its end is not reported here.
        If the id is in use when it is started, nothing is started and a warning is logged.

        version: the version to start; None takes the default one, or else the newest.
        Raises OrchestratorCodeError if the id or the version is not valid, SerializationError if the input cannot be
        written as JSON.
        """
        decisions = self._decisions
        name = called_name(fn_or_name, "orchestrator", decisions)
        data = write(self._converter, input_, "the input of orchestrator", name)
        line = caller()
        check_version(version)
        headers = self._headers_of("orchestration", name) if self._before else None
        task_id = decisions.next_id()
        if instance_id is None:
            seed = f"{self._seed}/{task_id}"
            instance_id = uuid.uuid5(_DETACHED, seed).hex
        check_child_id(instance_id)
        decisions.record(OrchestrationStarted(task_id, name, instance_id, version, data, line, headers))
        return instance_id
