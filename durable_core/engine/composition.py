"""The part of the orchestration context that combines tasks, and makes calls that consist of several tasks.

Holds signatures and reference texts; the implementations are in ``combinators``, ``saga`` and ``http``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast, get_args, overload

from ..converter import Converter
from ..errors import InvalidInstanceIdError, OrchestratorCodeError, TaskFailedError
from ..instance_ids import check_instance_id
from ..models import RetryPolicy
from ..orchestrator_versions import problem_of_version
from ..registry import name_of
from .combinators import Completions, GatherPolicy, GatherTask, NextTask, PulledTask
from .events import OrchestrationStarted
from .http import DurableHttpResponse, call_http
from .saga import Saga, run_saga
from .state import ExecutionState, InstanceInfo
from .tasks import AllTask, AnyTask, Orchestration, Task
from .user_frames import caller
from .values import write

if TYPE_CHECKING:
    from .context import OrchestrationContext

T = TypeVar("T")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
X = TypeVar("X")

Outcome: TypeAlias = T | TaskFailedError
Failing: TypeAlias = Literal["fail_fast", "first_error_after_all"]
Settled: TypeAlias = Literal["all_settled"]

_NAMESPACE = uuid.UUID("a5bd7b5c-5a35-5f0c-8a3e-6f2f0a5e7d11")
"""Namespace of the ids of detached instances; any fixed value would do."""


class Composition:
    """Base class of ``OrchestrationContext``, which has the fields."""

    __slots__ = ()

    _decisions: ExecutionState
    _converter: Converter
    _info: InstanceInfo

    # ------------------------------------------------------------ several tasks

    def task_all(self, tasks: Iterable[Task[T]], max_concurrency: int | None = None) -> Task[list[T]]:
        """A task with the results of all tasks, in the order given; [] without tasks.

        Fails as soon as one task fails. The other tasks continue, and their results are dropped; ``gather`` has other
        policies.

        max_concurrency: the highest number of tasks that are under way at a time. ``tasks`` must then be lazy, such as
            a generator: the next task is taken from it when one has ended, and none after a failure. An exception of
            the iterable is raised where the orchestrator waits for this task.
        Raises OrchestratorCodeError for objects that are not tasks of this context, or for a list with
        max_concurrency.
        """
        if max_concurrency is not None:
            return PulledTask(self._decisions, tasks, max_concurrency, self._decisions.watch)
        return AllTask(self._decisions, tasks, "task_all", list)

    def task_any(self, tasks: Iterable[Task[T]]) -> Task[Task[T]]:
        """The task that ends first, with a result or an error: read its ``result``. The others continue."""
        return AnyTask(self._decisions, tasks)

    when_all = task_all
    when_any = task_any

    def as_completed(self, tasks: Iterable[Task[T]]) -> Iterator[NextTask[T]]:
        """The tasks in the order in which they end: ``for task in ctx.as_completed(tasks): x = yield from task``.

        Each iteration returns a task that ends with the result or failure of the next given task to end; its
        ``origin`` is that task. The loop may be left early; the remaining tasks continue.
        """
        return Completions(self._decisions, tasks).in_order()

    @overload
    def gather(self, *, policy: GatherPolicy = "fail_fast") -> Task[tuple[()]]: ...
    @overload
    def gather(self, t1: Task[T1], /, *, policy: Failing = "fail_fast") -> Task[tuple[T1]]: ...
    @overload
    def gather(self, t1: Task[T1], t2: Task[T2], /, *, policy: Failing = "fail_fast") -> Task[tuple[T1, T2]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3, T4]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], t5: Task[T5], /, *, policy: Failing = "fail_fast"
    ) -> Task[tuple[T1, T2, T3, T4, T5]]: ...
    @overload
    def gather(self, *tasks: Task[T], policy: Failing = "fail_fast") -> Task[tuple[T, ...]]: ...
    @overload
    def gather(self, t1: Task[T1], /, *, policy: Settled) -> Task[tuple[Outcome[T1]]]: ...
    @overload
    def gather(self, t1: Task[T1], t2: Task[T2], /, *, policy: Settled) -> Task[tuple[Outcome[T1], Outcome[T2]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4]]]: ...
    @overload
    def gather(
        self, t1: Task[T1], t2: Task[T2], t3: Task[T3], t4: Task[T4], t5: Task[T5], /, *, policy: Settled
    ) -> Task[tuple[Outcome[T1], Outcome[T2], Outcome[T3], Outcome[T4], Outcome[T5]]]: ...
    @overload
    def gather(self, *tasks: Task[T], policy: Settled) -> Task[tuple[Outcome[T], ...]]: ...
    @overload
    def gather(self, *tasks: Task[T], return_exceptions: Literal[True]) -> Task[tuple[Outcome[T], ...]]: ...
    def gather(
        self, *tasks: Task[Any], return_exceptions: bool = False, policy: GatherPolicy = "fail_fast"
    ) -> Task[Any]:
        """A task with the results of several tasks as a tuple: ``order, customer = yield from ctx.gather(a, b)``.

        Each result has the type of its task.

        policy: ``fail_fast`` fails as soon as one task fails, and drops the results of the others, which continue;
            ``all_settled`` waits for all tasks, and has a TaskFailedError in the place of the result of a failed task;
            ``first_error_after_all`` waits for all tasks, then fails with the first failure.
        return_exceptions: True is ``all_settled``, by its name in asyncio.
        Raises OrchestratorCodeError for another policy.
        """
        if policy not in get_args(GatherPolicy):
            raise OrchestratorCodeError(f"gather has the policies {get_args(GatherPolicy)}, not {policy!r}", caller())
        if policy == "fail_fast" and not return_exceptions:
            return AllTask(self._decisions, tasks, "gather", tuple)
        return GatherTask(self._decisions, tasks, collects=return_exceptions or policy == "all_settled")

    # ------------------------------------------------------------ detached orchestrations

    @overload
    def start_orchestration(
        self, fn_or_name: str, input_: object = None, instance_id: str | None = None, version: str | None = None
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext], Orchestration[Any]],
        input_: object = None,
        instance_id: str | None = None,
        version: str | None = None,
    ) -> str: ...
    @overload
    def start_orchestration(
        self,
        fn_or_name: Callable[[OrchestrationContext, X], Orchestration[Any]],
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
        name = name_of(fn_or_name)
        data = write(self._converter, input_, "the input of orchestrator", name)
        line = caller()
        check_version(version)
        task_id = decisions.next_id()
        if instance_id is None:
            info = self._info
            seed = f"{info.instance_id}/{info.execution_id}/{info.generation}/{task_id}"
            instance_id = uuid.uuid5(_NAMESPACE, seed).hex
        check_child_id(instance_id)
        decisions.record(OrchestrationStarted(task_id, name, instance_id, version, data, line))
        return instance_id

    # ------------------------------------------------------------ sagas

    def saga(self) -> Saga:
        """An empty list of compensations, to be run in reverse order after a failure: see ``Saga``."""
        return Saga(self._context)

    def run_saga(self, body: Callable[[Saga], Generator[Task[Any], Any, T]]) -> Orchestration[T]:
        """Run ``body(saga)``. When it raises, its compensations run before the error is raised.

        ``result = yield from ctx.run_saga(body)``. Raises the error of ``body`` after the compensations; if some of
        them failed, a CompensationError with that error as its cause.
        """
        return run_saga(self._context, body)

    # ------------------------------------------------------------ HTTP

    def call_http(
        self,
        method: str,
        uri: str,
        content: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        retry: RetryPolicy | None = None,
        timeout: timedelta | None = None,
        poll: bool = True,
    ) -> Task[DurableHttpResponse]:
        """Make an HTTP request; the result of the task is the response, with any status code.

        The request is made by an activity, so it may be made twice if the host crashes meanwhile. Method, address,
        headers and content are stored in the history, secrets included: make a request with a secret in an activity of
        your own, which reads the secret from its settings.

        content: a str is sent as it is, None sends no content, any other value is sent as JSON.
        retry: None makes one attempt. With a policy, a failed connection and the statuses 429 and 5xx are failures,
            which are tried again.
        timeout: time limit of the whole call, with all attempts and polls; a single request may take 100 s at most.
        poll: whether to poll after an answer 202 with a ``Location``, as in Durable Functions: the orchestrator
            requests that address after ``Retry-After`` (default 30 s, at most 30 days), by durable timers, until the
            status is another one. Headers are sent only to the origin of ``uri``. If the ``Location`` is not an http or
            https address, the response is the result.

        Requests go only to the hosts of ``Settings.http_allow`` (``DURABLE_HTTP_ALLOW``); if it is empty, to every
        host.

        Raises OrchestratorCodeError if the address is neither http nor https. The task fails with ActivityFailedError
        (no answer; a response that is too large; a host that is not allowed; a refusal, with ``retry``) or with
        TaskTimeoutError.
        """
        return call_http(
            self._context,
            self._decisions,
            method,
            uri,
            write(self._converter, content, "the content of an HTTP request"),
            headers or {},
            retry=retry,
            timeout=timeout,
            poll=poll,
        )

    @property
    def _context(self) -> OrchestrationContext:
        return cast("OrchestrationContext", self)


def check_version(version: str | None) -> None:
    """OrchestratorCodeError, with the line, for a version that is not valid."""
    if version is not None and (problem := problem_of_version(version)) is not None:
        raise OrchestratorCodeError(f"the version of an orchestrator {problem}, not {version!r}", caller())


def check_child_id(instance_id: str, retry: RetryPolicy | None = None) -> None:
    """OrchestratorCodeError, with the line, for an instance id that is not valid, or too long with a retry's suffix."""
    try:
        check_instance_id(instance_id)
        if retry is not None:
            check_instance_id(f"{instance_id}.{retry.max_attempts}")
    except InvalidInstanceIdError as error:
        raise OrchestratorCodeError(str(error), caller()) from error
