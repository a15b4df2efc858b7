"""The calls that a map makes: one for each item, or one sub-orchestration for a batch of items.

A batch runs in a history of its own, perhaps on another host, and has neither the code nor the types of the map: its
input therefore holds all that a call needs, as JSON.
"""

# pyright: reportPrivateUsage=false
# A part of the context, as ``saga`` and ``http`` are.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol, cast

from ...definitions import MAP_NAME, OrchestratorDefinition, definition_of
from ...errors import (
    ActivityFailedError,
    DurableError,
    OrchestratorCodeError,
    SubOrchestrationFailedError,
    TaskFailedError,
    TaskTimeoutError,
)
from ...lazy_dataclass import dataclass
from ...models import JSON, FailureDetails, RetryPolicy, type_name
from ...moments import seconds_of
from ..annotations import returned
from ..call_options import CallOptions, check_retry, run_options, scheduled_options
from ..called import called_name
from ..events import SubOrchestrationCreated, make_task_scheduled
from ..slots import request_of, slot_of
from ..tasks import Task
from ..values import read, write

if TYPE_CHECKING:
    from ..context import OrchestrationContext

_KINDS: dict[str, type[TaskFailedError]] = {
    type_name(kind): kind for kind in (ActivityFailedError, TaskTimeoutError, SubOrchestrationFailedError)
}
"""The errors of a single call, by the names with which a batch reports them."""


class ItemCalls(Protocol):
    """What a map needs of the calls that it makes."""

    name: str
    is_child: bool  # whether the call of an item is a sub-orchestration

    def begin(self, item: Any) -> Task[Any]: ...
    def described(self, item: Any) -> JSON: ...
    def begin_batch(self, items: list[JSON], about: dict[str, JSON]) -> Task[Any]: ...
    def value_of(self, written: JSON) -> Any: ...


class UserCalls:
    """The calls of ``ctx.map``."""

    def __init__(
        self,
        ctx: OrchestrationContext,
        called: str | Callable[..., Any],
        returns: Any,
        options: CallOptions,
        line: str,
    ) -> None:
        """Raises OrchestratorCodeError for a function that cannot be called, and for an option that is not valid."""
        self._ctx, self._called, self._line = ctx, called, line
        definition = definition_of(called)
        self.is_child = isinstance(definition, OrchestratorDefinition)
        self.name = called_name(called, "orchestrator" if self.is_child else "activity", ctx._decisions)
        self._returns = returned(called, returns)
        self._given = options
        retry = options.get("retry")
        check_retry(retry, "ctx.map")
        if retry is not None and retry.retry_if is not None:
            raise OrchestratorCodeError(
                "retry_if of ctx.map: a batch of items may run where this code is not; give the policy to the "
                f"decorator of '{self.name}', or use non_retriable",
                line,
            )
        self._kept = _child_options(options, line) if self.is_child else scheduled_options(definition, options)
        self._limit = None
        if not self.is_child and ctx._info.limits is not None:
            self._limit = ctx._info.limits.get(self.name)

    def begin(self, item: Any) -> Task[Any]:
        ctx: Any = self._ctx
        if self.is_child:
            retry, timeout = self._given.get("retry"), self._given.get("timeout")
            return ctx.call_sub_orchestrator(
                self._called, item, retry=retry, timeout=timeout, parent_close="cancel", returns=self._returns
            )
        return ctx.call_activity(self._called, item, returns=self._returns, **self._given)

    def described(self, item: Any) -> JSON:
        """The item as a batch gets it: ``[input, headers, gate, request]``, without what there is not at the end.

        headers: those that interceptors give the call of this item. gate and request: of the activity's limit.
        """
        ctx, limit = self._ctx, self._limit
        kind = "orchestrator" if self.is_child else "activity"
        data = write(ctx._converter, item, f"the input of {kind}", self.name)
        headers: JSON = None
        if ctx._before:
            headers = ctx._headers_of("sub_orchestration" if self.is_child else "activity", self.name)
        if limit is None:
            return [data] if headers is None else [data, headers]
        gate, request = request_of(ctx._decisions, limit, "", item)
        return [data, headers, gate, request]

    def begin_batch(self, items: list[JSON], about: dict[str, JSON]) -> Task[Any]:
        decisions = self._ctx._decisions
        data: dict[str, JSON] = {"name": self.name, "line": self._line, **about, "items": items}
        if self.is_child:
            data["child"] = True
        if self._kept is not None:
            data["options"] = self._kept
        if (retry := self._given.get("retry")) is not None:
            data["retry"] = _written_policy(retry)
        options = run_options(None, "cancel")
        event = SubOrchestrationCreated(decisions.next_id(), MAP_NAME, None, "", data, self._line, options)
        task: Task[Any] = Task(decisions, event, None)
        decisions.call(task, event, None)
        return task

    def value_of(self, written: JSON) -> Any:
        """The result of an item of a batch, as the type that the call returns. DurableError if it does not fit."""
        return read(self._ctx._converter, written, self._returns)


class BatchCalls:
    """The calls of a batch, from its input."""

    def __init__(self, ctx: OrchestrationContext, data: dict[str, Any]) -> None:
        self._ctx = ctx
        self.name: str = data["name"]
        self.is_child: bool = data.get("child", False)
        self._line: str = data["line"]
        self._options: JSON = data.get("options")
        policy = data.get("retry")
        self._retry = None if policy is None else _read_policy(policy)

    def begin(self, item: Any) -> Task[Any]:
        decisions, info = self._ctx._decisions, self._ctx._info
        parts: list[Any] = [*item, None, None, None]
        data, headers, gate, request = parts[:4]
        task_id = decisions.next_id()
        if gate is not None:
            request = {**request, "slot": slot_of(info.execution_id, info.generation, task_id)}
            return self._ctx._call_in_slot(
                gate, request, task_id, self.name, data, self._options, self._retry, None, headers
            )
        event: Any
        if self.is_child:
            event = SubOrchestrationCreated(task_id, self.name, None, "", data, self._line, self._options, headers)
        else:
            event = decisions.foretold_activity(task_id, self.name) or make_task_scheduled(
                task_id, self.name, data, self._line, self._options, headers
            )
        task: Task[Any] = Task(decisions, event, None)
        decisions.call(task, event, self._retry)
        return task

    def described(self, item: Any) -> JSON:
        return item

    def begin_batch(self, items: list[JSON], about: dict[str, JSON]) -> Task[Any]:
        raise NotImplementedError  # a batch has no batches

    def value_of(self, written: JSON) -> Any:
        return written


@dataclass(frozen=True, slots=True)
class Report:
    """What a batch returns. taken: how many of its items it has begun. outcomes: of each of these the result in a
    list, its failure, or None if it had not ended."""

    taken: int
    outcomes: list[JSON]

    def to_json(self) -> JSON:
        return {"taken": self.taken, "outcomes": self.outcomes}


def written_error(error: TaskFailedError) -> JSON:
    """The failure of an item, for the report of its batch: without stack traces, which the history of the batch has."""
    return {"error": type_name(type(error)), "message": str(error), "failure": _short(error.failure).to_json()}


def read_outcome(calls: ItemCalls, outcome: Any, batch: int) -> tuple[Any, TaskFailedError | None]:
    """Value and error of an item of a batch that has ended. batch: its task, which the error names."""
    if isinstance(outcome, list):
        try:
            return calls.value_of(cast("list[JSON]", outcome)[0]), None
        except DurableError as error:
            reason = FailureDetails.from_exception(error, retriable=False)
            what = f"'{calls.name}' returned a result that does not fit the expected type: {reason.message}"
            kind = SubOrchestrationFailedError if calls.is_child else ActivityFailedError
            return None, kind(what, reason, task_id=batch, name=calls.name)
    kind = _KINDS[outcome["error"]]
    failure = FailureDetails.from_json(outcome["failure"])
    return None, kind(outcome["message"], failure, task_id=batch, name=calls.name)


def error_of_batch(calls: ItemCalls, error: BaseException) -> BaseException:
    """The error for the code that waits for a map of which a batch has failed: that of the item which made it fail.

    It names the task of the batch, so that a rewind does the item again. A batch that failed for another reason, such
    as a termination, is named itself.
    """
    if not isinstance(error, TaskFailedError):
        return error
    failure = error.failure
    kind = _KINDS.get(failure.type)
    if kind is None or failure.cause is None:
        return error
    message = f"{failure.message} (in a batch of ctx.map)"
    return kind(message, failure.cause, task_id=error.task_id, name=calls.name)


def _child_options(options: CallOptions, line: str) -> JSON:
    if refused := options.keys() - {"retry", "timeout"}:
        raise OrchestratorCodeError(
            f"ctx.map of an orchestrator takes retry and timeout, not {', '.join(sorted(refused))}", line
        )
    return run_options(options.get("timeout"), "cancel")


def _short(failure: FailureDetails) -> FailureDetails:
    cause = None if failure.cause is None else _short(failure.cause)
    return replace(failure, stack_trace="", cause=cause, members=())


def _written_policy(policy: RetryPolicy) -> JSON:
    return {
        "max_attempts": policy.max_attempts,
        "first_interval": seconds_of(policy.first_interval),
        "backoff": policy.backoff,
        "max_interval": seconds_of(policy.max_interval),
        "total_timeout": None if policy.total_timeout is None else seconds_of(policy.total_timeout),
        "jitter": policy.jitter,
        "non_retriable": [kind if isinstance(kind, str) else type_name(kind) for kind in policy.non_retriable],
    }


def _read_policy(written: dict[str, Any]) -> RetryPolicy:
    total = written["total_timeout"]
    return RetryPolicy(
        max_attempts=written["max_attempts"],
        first_interval=timedelta(seconds=written["first_interval"]),
        backoff=written["backoff"],
        max_interval=timedelta(seconds=written["max_interval"]),
        total_timeout=None if total is None else timedelta(seconds=total),
        jitter=written["jitter"],
        non_retriable=written["non_retriable"],
    )
