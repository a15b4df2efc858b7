"""Interceptors: code of an app around the calls of its clients, its orchestrators, activities and entities.

``Interceptor`` is what users derive from; ``Interceptors`` is what the framework keeps of them, by what they wrap, so
that an app pays for the methods that it has.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import field
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from .errors import InterceptorError, RegistrationError
from .lazy_dataclass import dataclass
from .models import JSON
from .signatures import location_of

if TYPE_CHECKING:
    from .activity_context import ActivityContext
    from .engine.context import OrchestrationContext
    from .engine.tasks import Branch, Steps
    from .entities import EntityContext

S = TypeVar("S")

Proceed: TypeAlias = Callable[[], Awaitable[Any]]
"""Goes on with what is intercepted, once: ``result = await proceed()``."""

CallKind = Literal["activity", "sub_orchestration", "orchestration", "entity", "signal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientCall:
    """A call of a method of ``DurableClient``.

    method: its name, such as ``start_new`` or ``terminate``. Those that change something are intercepted, and
        ``query``.
    instance_id: of the instance, or the schedule; of an entity ``@name@key``; '' if there is none.
    name: of the orchestrator, activity, event, update, query or operation; '' if there is none.
    arguments: all arguments, by the names of the method's parameters. Not to be changed.
    headers: those that the caller has given. An interceptor may change them; they go with an instance that is started
        and an operation that is signaled, and are ignored for other methods.
    request: the headers of the HTTP request that has led to the call, with names in lower case; empty if the call was
        not made over the management API.
    """

    method: str
    instance_id: str = ""
    name: str = ""
    arguments: Mapping[str, object]
    headers: dict[str, JSON] = field(default_factory=lambda: {}, repr=False)
    request: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingCall:
    """A call that orchestrator code makes.

    kind: ``orchestration`` is one that is started without waiting for it, ``signal`` one of an entity.
    name: of the activity or orchestrator; of an entity ``@name@key``, and ``operation`` names the operation.
    headers: at first those of the calling instance; what ``before_call`` makes of them goes with the call.
    """

    kind: CallKind
    name: str
    operation: str = ""
    headers: dict[str, JSON] = field(repr=False)


class Interceptor:
    """Base of interceptors: code around the calls of an app. Override the methods that are needed.

    ``Registry.intercept`` registers one. Of several the first is outermost. Each ``proceed`` may be called once; an
    interceptor that does not call it takes the place of what it wraps. What it raises is raised to the caller, or is
    the failure of the activity, operation or orchestration. One object serves all calls of a process, at the same time:
    what belongs to a call stays in local variables. As Temporal's ``Interceptor``, with fewer classes.
    """

    async def around_client_call(self, call: ClientCall, proceed: Proceed) -> Any:
        """Around a method of ``DurableClient`` that changes something, or asks an orchestrator (``query``).

        Raise ``CallRefusedError`` to refuse the call: over HTTP it is answered with 403.
        """
        return await proceed()

    def around_orchestrator(self, ctx: OrchestrationContext, proceed: Callable[[], Steps[Any]]) -> Branch[Any]:
        """Around the code of an orchestrator, from its beginning to its end in each generation.

        A generator function, ``result = yield from proceed()``, or an ``async def``, ``result = await proceed()``. It
        is orchestrator code: it is replayed, must be deterministic, and is watched by the guard and the code limit. A
        call that it makes of its own (an activity, a timer) is part of the history; use ``ctx.patched`` to add one
        while instances run.
        """
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        """Before orchestrator code calls an activity, a sub-orchestration or an entity, signals an entity, or starts an
        orchestration: change ``call.headers``, or raise.

        Orchestrator code, as ``around_orchestrator``; makes no calls. In a replay the headers of the history are used.
        """

    async def around_activity(self, ctx: ActivityContext, proceed: Proceed) -> Any:
        """Around an attempt at an activity, plain or async, on the event loop: it must not block.

        Its time counts for the time limits of the attempt. Context variables that it sets are seen by the activity.
        """
        return await proceed()

    async def around_operation(self, ctx: EntityContext, proceed: Proceed) -> Any:
        """Around an operation of an entity, on the event loop. The result of the operation is what it returns."""
        return await proceed()


@dataclass(frozen=True, slots=True, kw_only=True)
class Interceptors:
    """The methods of an app's interceptors that do something, the outermost first."""

    all: tuple[Interceptor, ...] = ()
    clients: tuple[Callable[[ClientCall, Proceed], Awaitable[Any]], ...] = ()
    orchestrators: tuple[Callable[[OrchestrationContext, Callable[[], Any]], Any], ...] = ()
    calls: tuple[Callable[[OrchestrationContext, OutgoingCall], None], ...] = ()
    activities: tuple[Callable[[ActivityContext, Proceed], Awaitable[Any]], ...] = ()
    operations: tuple[Callable[[EntityContext, Proceed], Awaitable[Any]], ...] = ()

    @classmethod
    def of(cls, interceptors: Sequence[Interceptor]) -> Interceptors:
        """RegistrationError for what is no interceptor, or has a method of another kind."""
        for each in interceptors:
            _check(each)

        def methods(name: str) -> tuple[Any, ...]:
            default = getattr(Interceptor, name)
            return tuple(getattr(each, name) for each in interceptors if getattr(type(each), name) is not default)

        return cls(
            all=tuple(interceptors),
            clients=methods("around_client_call"),
            orchestrators=methods("around_orchestrator"),
            calls=methods("before_call"),
            activities=methods("around_activity"),
            operations=methods("around_operation"),
        )

    @property
    def of_code(self) -> tuple[Callable[..., Any], ...]:
        """The functions that are orchestrator code."""
        return tuple(getattr(method, "__func__", method) for method in (*self.orchestrators, *self.calls))

    @property
    def files(self) -> set[str]:
        """The source files of their classes."""
        found: set[str] = set()
        for each in self.all:
            with suppress(TypeError):  # typed into a prompt
                found.add(inspect.getsourcefile(type(each)) or "")
        return found


NO_INTERCEPTORS = Interceptors()


def around(methods: Sequence[Callable[[S, Proceed], Awaitable[Any]]], subject: S, last: Proceed) -> Proceed:
    """A function that runs ``last`` inside of all these methods."""
    following = last
    for method in reversed(methods):
        following = partial(method, subject, once(method, following))
    return following


def once(method: Callable[..., Any], proceed: Callable[[], S]) -> Callable[[], S]:
    """``proceed`` for an interceptor's method: InterceptorError for a second call."""
    is_used = False

    def go_on() -> S:
        nonlocal is_used
        if is_used:
            raise InterceptorError(
                f"{name_of_method(method)} has called proceed() twice; what it wraps runs once: a retry policy repeats "
                "an activity, and a caller repeats a call"
            )
        is_used = True
        return proceed()

    return go_on


def name_of_method(method: Callable[..., Any]) -> str:
    """An interceptor's method for people: its name and its ``file:line``."""
    return f"{getattr(method, '__qualname__', method)} ({location_of(method)})"


_METHODS = ("around_client_call", "around_orchestrator", "before_call", "around_activity", "around_operation")


def _check(interceptor: object) -> None:
    if isinstance(interceptor, type) or not isinstance(interceptor, Interceptor):
        hint = "an object is needed, not the class" if isinstance(interceptor, type) else "derive it from Interceptor"
        raise RegistrationError(f"{interceptor!r} is no interceptor: {hint}")
    for name in dir(type(interceptor)):
        own = name.startswith(("around_", "before_")) and not hasattr(Interceptor, name)
        if own and inspect.isfunction(getattr(type(interceptor), name)):
            raise RegistrationError(
                f"{name_of_method(getattr(interceptor, name))} would never be called; an interceptor has "
                f"{', '.join(_METHODS)}. Begin the name of a method of your own with an underscore"
            )
    for name in ("around_client_call", "around_activity", "around_operation"):
        method = getattr(interceptor, name)
        if not inspect.iscoroutinefunction(method):
            raise RegistrationError(f"{name_of_method(method)} is awaited: write 'async def {name}'")
    code = cast("Any", interceptor).around_orchestrator
    if not inspect.isgeneratorfunction(code) and not inspect.iscoroutinefunction(code):
        raise RegistrationError(
            f"{name_of_method(code)} has no yield: write 'return (yield from proceed())', or an 'async def' with "
            "'return await proceed()'"
        )
    before = interceptor.before_call
    if inspect.iscoroutinefunction(before) or inspect.isgeneratorfunction(before):
        raise RegistrationError(f"{name_of_method(before)} is called as a plain function: it neither awaits nor yields")
