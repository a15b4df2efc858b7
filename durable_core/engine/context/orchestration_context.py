"""The orchestration context: calls, time and random numbers that are the same at every replay.

This is the user's side only. Every call is recorded in ``ExecutionState``; nothing here runs the generator or reads
history. Signatures and reference texts stand here, a module for each kind of call; what is longer stands in
``combinators``, ``saga`` and ``http``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TypeVar

from ...models import RetryPolicy
from ..http import DurableHttpResponse, call_http
from ..saga import Saga, run_saga
from ..tasks import Branch, Steps, Task
from ..values import write
from .activities import ActivityCalls
from .children import ChildCalls
from .composition import Compositions
from .entities import EntityCalls
from .generations import Generations
from .waits import Waits

T = TypeVar("T")


class OrchestrationContext(ActivityCalls, ChildCalls, Waits, EntityCalls, Compositions, Generations):
    """First parameter of an orchestrator.

    Its methods return tasks, for which the orchestrator waits with ``yield from`` (or ``yield``), or, in an ``async
    def``, with ``await``. Orchestrator code is replayed from its beginning, so it takes time, ids and random numbers
    from the context, and does all other work in activities.
    """

    __slots__ = ()
    __durable_no_value__ = "the orchestration context cannot be stored; pass the values that are needed of it"

    # ------------------------------------------------------------ sagas

    def saga(self) -> Saga:
        """An empty list of compensations, to be run in reverse order after a failure: see ``Saga``."""
        return Saga(self)

    def run_saga(self, body: Callable[[Saga], Branch[T]]) -> Steps[T]:
        """Run ``body(saga)``. When it raises, its compensations run before the error is raised.

        ``result = yield from ctx.run_saga(body)``, or with ``await``. Raises the error of ``body`` after the
        compensations; if some of them failed, a CompensationError with that error as its cause.
        """
        return run_saga(self, body)

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
        token_resource: str | None = None,
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
        token_resource: the request gets ``Authorization: Bearer`` with a token of the app's managed identity for this
            resource, such as ``https://management.core.windows.net``. The token is made where the request is made,
            sent only to the origin of ``uri``, and not stored.

        Requests go only to the hosts of ``Settings.http_allow`` (``DURABLE_HTTP_ALLOW``); if it is empty, to every
        host.

        Raises OrchestratorCodeError if the address is neither http nor https. The task fails with ActivityFailedError
        (no answer; a response that is too large; a host that is not allowed; a refusal, with ``retry``) or with
        TaskTimeoutError.
        """
        return call_http(
            self,
            self._decisions,
            method,
            uri,
            write(self._converter, content, "the content of an HTTP request"),
            headers or {},
            retry=retry,
            timeout=timeout,
            poll=poll,
            token_resource=token_resource,
        )
