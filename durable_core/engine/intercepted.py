"""The interceptors of orchestrator code: around the code of a generation, and before each of its calls."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from contextvars import ContextVar
from functools import partial
from typing import TYPE_CHECKING, Any

from ..coroutine_code import Proceeding, steps_of
from ..errors import InvalidInputError, OrchestratorCodeError, SerializationError
from ..headers import checked_headers
from ..interceptors import CallKind, OutgoingCall, name_of_method, once
from ..models import JSON
from .user_frames import caller

if TYPE_CHECKING:
    from .context import OrchestrationContext

_deciding: ContextVar[bool] = ContextVar("durable_core_before_call", default=False)
"""Whether ``before_call`` of an interceptor runs."""


def begun(
    around: Sequence[Callable[..., Any]],
    context: OrchestrationContext,
    begin: Callable[[], Any],
) -> Any:
    """The code of the outermost interceptor, in which runs what ``begin`` makes: a generator, a coroutine, a value."""

    def innermost() -> Generator[Any, Any, Any]:
        made = begin()
        return steps_of(made) if isinstance(made, Generator | Coroutine) else _value(made)

    code: Callable[[], Any] = innermost
    for method in reversed(around):
        code = partial(method, context, once(method, partial(_proceeding, code)))
    return code()


def _proceeding(following: Callable[[], Any]) -> Proceeding:
    return Proceeding(steps_of(following()))


def _value(value: Any) -> Generator[Any, Any, Any]:
    """A generator that ends at once with this value."""
    return value
    yield


def headers_of_call(
    before: Sequence[Callable[[OrchestrationContext, OutgoingCall], None]],
    context: OrchestrationContext,
    kind: CallKind,
    name: str,
    operation: str = "",
) -> JSON:
    """The headers that the interceptors have given a call; None if they are those of the instance.

    OrchestratorCodeError for headers that cannot be sent, and if an interceptor makes a call itself.
    """
    if _deciding.get():
        raise OrchestratorCodeError(
            f"before_call of an interceptor makes a call itself ({kind} '{name}'); make it in around_orchestrator",
            caller(),
        )
    headers: dict[str, JSON] = dict(context.headers)
    call = OutgoingCall(kind=kind, name=name, operation=operation, headers=headers)
    for method in before:
        token = _deciding.set(True)
        try:
            method(context, call)
        finally:
            _deciding.reset(token)
        try:
            headers = checked_headers(call.headers, f"the call of {kind} '{name}'")
        except (InvalidInputError, SerializationError) as error:
            raise OrchestratorCodeError(f"{name_of_method(method)}: {error}", caller()) from error
    return None if headers == context.headers else headers
