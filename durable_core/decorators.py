"""``@orchestrator`` and ``@activity``: they mark a function with its definition, and return it unchanged.

What is wrong with the function, or with an option, is said here, with the line of the function.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any, TypeVar, cast, overload

from .definitions import NO_INPUT, ActivityDefinition, OrchestratorDefinition
from .errors import RegistrationError
from .limits import Limit
from .marks import RESERVED, mark_as
from .models import RetryPolicy
from .moments import problem_of_time
from .orchestrator_versions import problem_of_version
from .signatures import function_in, location_of, parameters_of

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[^\W\d][\w.\-]{0,127}")
_QUEUE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CONTEXTS = frozenset({"ActivityContext", "JournalContext"})
MAX_QUEUE_NAME = 20  # characters; the name of a storage queue holds this name and that of the hub


@overload
def orchestrator(fn: F, /) -> F: ...
@overload
def orchestrator(
    *, name: str | None = None, version: str = "", default: bool = False, limit: Limit | None = None
) -> Callable[[F], F]: ...
def orchestrator(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    version: str = "",
    default: bool = False,
    limit: Limit | None = None,
) -> Any:
    """Mark a generator function as an orchestrator: ``def orch(ctx)`` or ``def orch(ctx, order: Order)``.

    An ``async def`` is an orchestrator, too: it awaits tasks where the generator function has ``yield from``. Both have
    the same history. A start without an input, or with None, takes the default of the parameter if it has one. A
    decorator above this one must be a generator function itself, ``return (yield from fn(ctx, order))``, or an ``async
    def``.

    name: the name by which it is called and stored; None takes the function's name.
    version: tells several orchestrators of one name apart; an instance keeps the version with which it was started.
    default: whether a start that names no version takes this one; if no version is the default, the newest is taken.
    limit: over all hosts of the hub: an instance waits for a slot of this ``Limit`` before its code begins, without a
        message or a thread, and holds it until it has ended, through continue-as-new.

    Raises RegistrationError, with the file and line, if the function is neither a generator function nor
    async, or has other parameters.
    """

    def mark(function: F) -> F:
        definition = _define_orchestrator(function, name, version)
        _check_limit(limit, definition.location)
        return mark_as(function, replace(definition, is_default=default, limit=limit))

    return mark if fn is None else mark(fn)


@overload
def activity(fn: F, /) -> F: ...
@overload
def activity(
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    inline: bool | None = None,
    short: bool = False,
    timeout: timedelta | None = None,
    schedule_to_close: timedelta | None = None,
    heartbeat_timeout: timedelta | None = None,
    queue: str = "",
    max_concurrency: int | None = None,
    rate: float | None = None,
    limit: Limit | None = None,
    journal: bool = False,
) -> Callable[[F], F]: ...
def activity(
    fn: Any = None,
    /,
    *,
    name: str | None = None,
    retry: RetryPolicy | None = None,
    inline: bool | None = None,
    short: bool = False,
    timeout: timedelta | None = None,
    schedule_to_close: timedelta | None = None,
    heartbeat_timeout: timedelta | None = None,
    queue: str = "",
    max_concurrency: int | None = None,
    rate: float | None = None,
    limit: Limit | None = None,
    journal: bool = False,
) -> Any:
    """Mark a function, plain or async, as an activity: ``f()``, ``f(input)``, ``f(ctx: ActivityContext, input)``.

    A call without an input, or with None, takes the default of the parameter if it has one. A ``functools.partial``
    and an object with ``__call__`` may be activities, with a ``name``. A decorator above this one, made with
    ``functools.wraps``, belongs to the activity: the framework runs the object that the name refers to in its module.

    name: the name by which it is called and stored; None takes the function's name.
    retry: the retry policy of calls that give none.
    inline: False: only run it in a host that has received a call from its work queue. True: run it in the turn that
        scheduled it, even if the app's default is not to.
    short: whether it takes only milliseconds; the calls of many short activities are sent in one message.
    timeout: time limit of one attempt, from its start to its end. An attempt that exceeds it fails with a
        TaskTimeoutError, and the retry policy applies. An async function is cancelled; a plain function cannot be
        stopped: it continues in its thread until it returns (``ctx.is_cancelled`` is True), and its result is ignored.
    schedule_to_close: time limit from the call to the final result, including the time in queues, all attempts and
        the delays between them. No attempt starts after it; it applies even if no host ever receives the call.
    heartbeat_timeout: the longest time that an attempt may go without ``ctx.heartbeat()``. Requires an ActivityContext.
    queue: name of a separate work queue with a function of its own (``durable_work_{queue}``), so that the activity
        can run on other machines: at most 20 lower-case letters, digits and single hyphens.
    max_concurrency: how many attempts run at once in one host process. Further calls wait there without a thread, and
        return to the queue if the wait is long.
    rate: how many attempts start per second in one host process, evenly spaced.
    limit: over all hosts of the hub: a call waits for a slot of this ``Limit``, without a message or a thread, and
        holds it until it has ended, with all its attempts.
    journal: whether its steps are recorded (``JournalContext.step``), so that an activity that is taken up again after
        a crash, or tried again, does not repeat them. It is an async function, and its first parameter is annotated
        JournalContext. Its ``timeout`` is that of one run; ``schedule_to_close`` holds for all of them together.
    Raises RegistrationError, with the file and line, for a function or an option that does not fit.
    """

    def mark(function: F) -> F:
        if isinstance(function, staticmethod):
            mark(cast("Any", function).__func__)
            return cast("F", function)
        found = _define_activity(function, name)
        _check_journal(found, journal)
        definition = replace(
            found,
            retry=retry,
            inline=inline,
            short=short,
            timeout=timeout,
            schedule_to_close=schedule_to_close,
            heartbeat_timeout=heartbeat_timeout,
            queue=queue,
            max_concurrency=max_concurrency,
            rate=rate,
            limit=limit,
        )
        _check_options(definition)
        return mark_as(function, definition)

    return mark if fn is None else mark(fn)


def as_it_is_now(
    fn: Callable[..., Any], marked: OrchestratorDefinition | ActivityDefinition | None
) -> OrchestratorDefinition | ActivityDefinition | None:
    """The definition of a function. For a wrapper around a marked function: its mark, with the wrapper's parameters."""
    if marked is None or marked.fn is fn:
        return marked
    if isinstance(marked, OrchestratorDefinition):
        if not inspect.isgeneratorfunction(fn) and not inspect.iscoroutinefunction(fn):
            raise RegistrationError(
                f"{marked.location}: a decorator above @orchestrator turns '{marked.name}' into a function without "
                "yield; put @orchestrator above it, and let its wrapper 'return (yield from function(ctx, input))', or "
                "be an 'async def' that awaits it"
            )
        new = _define_orchestrator(fn, marked.name, marked.version)
        return replace(marked, fn=fn, input_type=new.input_type, default=new.default)
    now = _define_activity(fn, marked.name)
    _check_journal(now, marked.journal)
    around = replace(
        marked,
        fn=fn,
        input_type=now.input_type,
        default=now.default,
        takes_context=now.takes_context,
        is_async=now.is_async,
    )
    _check_options(around)
    return around


def checked_name(fn: Callable[..., Any], name: str | None, kind: str) -> str:
    """The name of a function, or the given one. RegistrationError for a name that is not valid."""
    chosen = getattr(fn, "__name__", None) if name is None else name
    if chosen is None:
        raise RegistrationError(f"{location_of(fn)}: {fn!r} has no __name__; name it: @{kind}(name='...')")
    if not isinstance(chosen, str) or not _NAME.fullmatch(chosen):
        raise RegistrationError(
            f"{chosen!r} cannot name an {kind} ({location_of(fn)}): a name must begin with a letter and have at most "
            "128 letters, digits and . _ -"
        )
    if chosen.startswith(RESERVED):
        raise RegistrationError(
            f"'{chosen}' ({location_of(fn)}): names that begin with '{RESERVED}' are reserved for the framework; "
            "choose another name"
        )
    return chosen


def _define_orchestrator(fn: Callable[..., Any], name: str | None, version: str) -> OrchestratorDefinition:
    where = location_of(fn)
    if inspect.isasyncgenfunction(fn):
        raise RegistrationError(
            f"{where}: an 'async def' with 'yield' cannot be an orchestrator; wait with 'await', or remove 'async' and "
            "wait with 'yield from'"
        )
    if not inspect.isfunction(fn) or not (inspect.isgeneratorfunction(fn) or inspect.iscoroutinefunction(fn)):
        if inspect.iscoroutinefunction(function_in(fn)):
            raise RegistrationError(
                f"{where}: the wrapper of the async function '{getattr(fn, '__name__', fn)}' is not async; let the "
                "decorator's wrapper be an 'async def' with 'return await function(ctx, input)'"
            )
        if inspect.isgeneratorfunction(function_in(fn)):
            raise RegistrationError(
                f"{where}: the wrapper of the generator function '{getattr(fn, '__name__', fn)}' is not a generator "
                "function; let the decorator's wrapper 'return (yield from function(ctx, input))'"
            )
        raise RegistrationError(
            f"{where}: '{getattr(fn, '__name__', fn)}' has no yield, so it cannot be an orchestrator; "
            "wait for its tasks with 'yield from', or with 'await' in an 'async def'"
        )
    if (problem := problem_of_version(version)) is not None:
        raise RegistrationError(f"{where}: the version of an orchestrator {problem}, not {version!r}")
    parameters = parameters_of(fn, "orchestrator")
    if len(parameters) not in (1, 2):
        raise RegistrationError(
            f"{where}: an orchestrator takes (ctx) or (ctx, input), not {len(parameters)} parameters"
        )
    annotation, default = _input_of(parameters[1:])
    return OrchestratorDefinition(
        name=checked_name(fn, name, "orchestrator"),
        version=version,
        fn=fn,
        input_type=annotation,
        location=where,
        default=default,
    )


def _input_of(parameters: list[inspect.Parameter]) -> tuple[Any, Any]:
    """Type and default of the input."""
    if not parameters:
        return NO_INPUT, NO_INPUT
    parameter = parameters[0]
    return Any if parameter.annotation is NO_INPUT else parameter.annotation, parameter.default


def _define_activity(fn: Callable[..., Any], name: str | None) -> ActivityDefinition:
    where = location_of(fn)
    inner = function_in(fn)
    if inspect.isclass(fn) or not callable(fn):
        raise RegistrationError(f"{where}: an activity is a function, not {fn!r}")
    if any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in (fn, inner)):
        raise RegistrationError(f"{where}: an activity returns its result; it does not yield")
    parameters = parameters_of(fn, "activity")
    context = getattr(parameters[0].annotation, "__name__", "") if parameters else ""
    takes_context = context in _CONTEXTS
    inputs = parameters[1:] if takes_context else parameters
    if len(inputs) > 1:
        raise RegistrationError(
            f"{where}: an activity takes one input (and an ActivityContext before it), not {len(inputs)}; "
            "combine them in a model or a dict"
        )
    annotation, default = _input_of(inputs)
    return ActivityDefinition(
        name=checked_name(fn, name, "activity"),
        fn=fn,
        input_type=annotation,
        takes_context=takes_context,
        is_async=any(inspect.iscoroutinefunction(each) for each in (fn, cast("Any", type(fn)).__call__)),
        location=where,
        default=default,
        journal=context == "JournalContext",
    )


def _check_journal(definition: ActivityDefinition, journal: bool) -> None:
    """RegistrationError unless the function takes a JournalContext exactly if its steps are to be recorded."""
    where = f"activity '{definition.name}' ({definition.location})"
    if not isinstance(journal, bool):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RegistrationError(f"{where}: journal={journal!r} must be True or False")
    if journal and not (definition.journal and definition.is_async):
        raise RegistrationError(
            f"{where}: an activity with journal=True is an async function with a first parameter that is annotated "
            "JournalContext, whose step() records what it returns"
        )
    if definition.journal and not journal:
        raise RegistrationError(
            f"{where}: only an activity with journal=True gets a JournalContext: write @activity(journal=True), or "
            "take an ActivityContext"
        )


def _check_limit(limit: Limit | None, where: str) -> None:
    if limit is not None and not isinstance(limit, Limit):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RegistrationError(f"{where}: limit={limit!r} must be a Limit")


def _check_options(definition: ActivityDefinition) -> None:
    """RegistrationError for an option of the wrong type or out of its range."""
    where = f"activity '{definition.name}' ({definition.location})"
    for name in ("timeout", "schedule_to_close", "heartbeat_timeout"):
        if (problem := problem_of_time(getattr(definition, name))) is not None:
            raise RegistrationError(f"{where}: {name}={getattr(definition, name)!r} {problem}")
    if definition.retry is not None and not isinstance(definition.retry, RetryPolicy):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RegistrationError(f"{where}: retry={definition.retry!r} must be a RetryPolicy")
    for name in ("inline", "short"):
        if not isinstance(value := getattr(definition, name), bool | None):
            raise RegistrationError(f"{where}: {name}={value!r} must be True or False")
    if definition.heartbeat_timeout is not None and not definition.takes_context:
        raise RegistrationError(
            f"{where}: an activity with a heartbeat_timeout must call heartbeat() on its first parameter, annotated "
            "ActivityContext; it has no such parameter"
        )
    _check_limit(definition.limit, where)
    most, rate, queue = definition.max_concurrency, definition.rate, definition.queue
    if most is not None and (type(most) is not int or most < 1):
        raise RegistrationError(f"{where}: max_concurrency={most!r} must be a whole number, at least 1")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < math.inf):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise RegistrationError(f"{where}: rate={rate!r} must be a number of calls per second, above 0")
    if queue and (
        not isinstance(queue, str)  # pyright: ignore[reportUnnecessaryIsInstance]
        or len(queue) > MAX_QUEUE_NAME
        or not _QUEUE.fullmatch(queue)
        or queue.split("-")[-1] == "poison"
    ):
        raise RegistrationError(
            f"{where}: queue={queue!r} cannot name a queue: a name must begin with a letter, have at most "
            f"{MAX_QUEUE_NAME} lower-case letters, digits and single hyphens, and not end in 'poison'"
        )
