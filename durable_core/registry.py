"""The orchestrators and activities of an app: the decorators that mark them, and the registry that collects them.

``@orchestrator`` and ``@activity`` only mark a function and return it unchanged; a ``Registry`` collects the marked
functions of the modules given to it. There is no global list, so that two apps in one process stay separate.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from types import ModuleType
from typing import Any, TypeVar, cast, overload

from .errors import RegistrationError, UnknownActivityError, UnknownOrchestratorError
from .marks import MARK, mark_as, marked_in
from .models import JSON, RetryPolicy
from .moments import problem_of_time
from .orchestrator_versions import in_order, newest, problem_of_version
from .signatures import function_in, location_of, parameters_of

F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[^\W\d][\w.\-]{0,127}")
_QUEUE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
MAX_QUEUE_NAME = 20  # characters; the name of a storage queue holds this name and that of the hub
RESERVED = "durable."

NO_INPUT = inspect.Parameter.empty


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorDefinition:
    """A registered orchestrator. ``input_type`` is ``NO_INPUT`` for the shape ``def orch(ctx)``.

    default: the default value of its input parameter; ``NO_INPUT`` if it has none.
    is_default: whether a start that names no version takes this version.
    """

    name: str
    version: str
    fn: Callable[..., Any]
    input_type: Any
    location: str
    default: Any = NO_INPUT
    is_default: bool = False

    def takes(self, data: JSON) -> bool:
        """Whether the function is called with this input. Without an input, the parameter's default is used."""
        return _takes(self, data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDefinition:
    """A registered activity, with the options of its decorator."""

    name: str
    fn: Callable[..., Any]
    input_type: Any
    takes_context: bool
    is_async: bool
    location: str
    default: Any = NO_INPUT
    retry: RetryPolicy | None = None
    inline: bool | None = None
    short: bool = False
    timeout: timedelta | None = None
    schedule_to_close: timedelta | None = None
    heartbeat_timeout: timedelta | None = None
    queue: str = ""
    max_concurrency: int | None = None
    rate: float | None = None

    def takes(self, data: JSON) -> bool:
        """Whether the function is called with this input. Without an input, the parameter's default is used."""
        return _takes(self, data)


def _takes(definition: OrchestratorDefinition | ActivityDefinition, data: JSON) -> bool:
    return definition.input_type is not NO_INPUT and (data is not None or definition.default is NO_INPUT)


@overload
def orchestrator(fn: F, /) -> F: ...
@overload
def orchestrator(*, name: str | None = None, version: str = "", default: bool = False) -> Callable[[F], F]: ...
def orchestrator(fn: Any = None, /, *, name: str | None = None, version: str = "", default: bool = False) -> Any:
    """Mark a generator function as an orchestrator: ``def orch(ctx)`` or ``def orch(ctx, order: Order)``.

    A start without an input, or with None, takes the default of the parameter if it has one. A decorator above this one
    must be a generator function itself: ``return (yield from fn(ctx, order))``.

    name: the name by which it is called and stored; None takes the function's name.
    version: tells several orchestrators of one name apart; an instance keeps the version with which it was started.
    default: whether a start that names no version takes this one; if no version is the default, the newest is taken.

    Raises RegistrationError, with the file and line, if the function is not a generator function or has other
    parameters.
    """

    def mark(function: F) -> F:
        return mark_as(function, replace(_define_orchestrator(function, name, version), is_default=default))

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
) -> Any:
    """Mark a function, plain or async, as an activity: ``f()``, ``f(input)``, ``f(ctx: ActivityContext, input)``.

    A call without an input, or with None, takes the default of the parameter if it has one. A ``functools.partial``
    and an object with ``__call__`` may be activities, with a ``name``. A decorator above this one, made with
    ``functools.wraps``, belongs to the activity: the framework runs the object that the name refers to in its module.

    name: the name by which it is called and stored; None takes the function's name.
    retry: the retry policy of calls that give none.
    inline: False: never run it in the turn that scheduled it. True: run it there even if the app's default is not to.
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
    Raises RegistrationError, with the file and line, for a function or an option that does not fit.
    """

    def mark(function: F) -> F:
        if isinstance(function, staticmethod):
            mark(cast("Any", function).__func__)
            return cast("F", function)
        definition = replace(
            _define_activity(function, name),
            retry=retry,
            inline=inline,
            short=short,
            timeout=timeout,
            schedule_to_close=schedule_to_close,
            heartbeat_timeout=heartbeat_timeout,
            queue=queue,
            max_concurrency=max_concurrency,
            rate=rate,
        )
        _check_options(definition)
        return mark_as(function, definition)

    return mark if fn is None else mark(fn)


def definition_of(fn: object) -> OrchestratorDefinition | ActivityDefinition | None:
    """The definition with which a decorator has marked this function; None if it is not marked."""
    return getattr(fn, MARK, None)


def name_of(fn_or_name: object) -> str:
    """The registered name of a function; a name is returned as it is. TypeError for any other object."""
    if isinstance(fn_or_name, str):
        return fn_or_name
    definition = definition_of(fn_or_name)
    if definition is not None:
        return definition.name
    if callable(fn_or_name):
        return getattr(fn_or_name, "__name__", repr(fn_or_name))
    raise TypeError(f"expected a function or its registered name, not {fn_or_name!r}")


class Registry:
    """The orchestrators and activities of one app."""

    def __init__(self) -> None:
        self._orchestrators: dict[str, dict[str, OrchestratorDefinition]] = {}
        self._activities: dict[str, ActivityDefinition] = {}

    @classmethod
    def scan(cls, *modules: ModuleType) -> Registry:
        """Collect every marked function of these modules; of a package, also those of all modules in it.

        Raises RegistrationError for two functions of one name, and for a marked function that a decorator hides.
        """
        registry = cls()
        for module in modules:
            registry.add(*marked_in(module))
        return registry

    def add(self, *functions: Callable[..., Any]) -> Registry:
        """Register marked functions; to register the same function again changes nothing.

        A wrapper around a marked function (made by a decorator above the mark, with ``functools.wraps``) is registered
        in its place. Raises RegistrationError if the wrapper does not fit, and for two functions of one name.
        """
        for fn in functions:
            definition = _as_it_is_now(fn, definition_of(fn))
            match definition:
                case OrchestratorDefinition():
                    versions = self._orchestrators.setdefault(definition.name, {})
                    _refuse_twin(versions.get(definition.version), definition)
                    _refuse_second_default(versions.values(), definition)
                    versions[definition.version] = definition
                case ActivityDefinition():
                    _refuse_twin(self._activities.get(definition.name), definition)
                    self._activities[definition.name] = definition
                case None:
                    raise RegistrationError(
                        f"{getattr(fn, '__qualname__', fn)} is marked neither @orchestrator nor @activity"
                    )
        return self

    def with_built_in(self, *definitions: ActivityDefinition | OrchestratorDefinition) -> Registry:
        """A copy of this registry with the framework's own functions added. Later additions do not reach the copy."""
        registry = Registry()
        registry._orchestrators = {name: dict(versions) for name, versions in self._orchestrators.items()}
        registry._activities = dict(self._activities)
        for definition in definitions:
            if isinstance(definition, ActivityDefinition):
                registry._activities[definition.name] = definition
            else:
                registry._orchestrators[definition.name] = {definition.version: definition}
        return registry

    def orchestrator(self, name: str, version: str | None = None) -> OrchestratorDefinition:
        """The orchestrator of this name and version. With version None: the default one, or else the newest.

        Raises UnknownOrchestratorError if it is not registered.
        """
        versions = self._orchestrators.get(name)
        if not versions:
            raise UnknownOrchestratorError(name, self.orchestrator_names)
        if version is None:
            default = next((definition for definition in versions.values() if definition.is_default), None)
            return versions[newest(versions)] if default is None else default
        if version not in versions:
            raise UnknownOrchestratorError(name, self.orchestrator_names, version, in_order(versions))
        return versions[version]

    def versions(self, name: str) -> list[str]:
        """Versions of an orchestrator, oldest first; [] if no orchestrator has this name."""
        return in_order(self._orchestrators.get(name, {}))

    def activity(self, name: str) -> ActivityDefinition:
        """The activity of this name. Raises UnknownActivityError if it is not registered."""
        try:
            return self._activities[name]
        except KeyError:
            raise UnknownActivityError(name, self.activity_names) from None

    @property
    def orchestrator_names(self) -> list[str]:
        """Names of the app's orchestrators, sorted."""
        return sorted(name for name in self._orchestrators if not name.startswith(RESERVED))

    @property
    def orchestrator_functions(self) -> list[Callable[..., Any]]:
        """The app's orchestrators, in all their versions."""
        return [self.orchestrator(name, v).fn for name in self.orchestrator_names for v in self.versions(name)]

    @property
    def activity_names(self) -> list[str]:
        """Names of the activities, sorted."""
        return sorted(self._activities)

    @property
    def queues(self) -> list[str]:
        """Names of the separate work queues of activities, sorted."""
        return sorted({definition.queue for definition in self._activities.values() if definition.queue})

    def build_id(self) -> str:
        """A hash of the source files of the registered functions; it differs between deployments of different code."""
        files: set[str] = set()
        for d in [*(v for vs in self._orchestrators.values() for v in vs.values()), *self._activities.values()]:
            for fn in (d.fn, function_in(d.fn)):
                code = getattr(fn, "__code__", None)
                if code is not None:
                    files.add(inspect.getsourcefile(code) or "")
        digest = hashlib.sha256()
        for file in sorted(files - {""}):
            try:
                with open(file, "rb") as source:
                    digest.update(hashlib.sha256(source.read()).digest())
            except OSError:  # a function typed into a prompt has no file; the files of the others still differ
                digest.update(file.encode())
        return digest.hexdigest()[:12]


def _as_it_is_now(
    fn: Callable[..., Any], marked: OrchestratorDefinition | ActivityDefinition | None
) -> OrchestratorDefinition | ActivityDefinition | None:
    """The definition of a function. For a wrapper around a marked function: its mark, with the wrapper's parameters."""
    if marked is None or marked.fn is fn:
        return marked
    if isinstance(marked, OrchestratorDefinition):
        if not inspect.isgeneratorfunction(fn):
            raise RegistrationError(
                f"{marked.location}: a decorator above @orchestrator turns '{marked.name}' into a function without "
                "yield; put @orchestrator above it, and let its wrapper 'return (yield from function(ctx, input))'"
            )
        new = _define_orchestrator(fn, marked.name, marked.version)
        return replace(marked, fn=fn, input_type=new.input_type, default=new.default)
    now = _define_activity(fn, marked.name)
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


def _refuse_second_default(present: Iterable[OrchestratorDefinition], new: OrchestratorDefinition) -> None:
    for other in present:
        if new.is_default and other.is_default and other.fn is not new.fn:
            raise RegistrationError(
                f"two versions of orchestrator '{new.name}' are the default: '{other.version}' ({other.location}) and "
                f"'{new.version}' ({new.location}); remove default=True from one of them"
            )


def _refuse_twin(
    present: OrchestratorDefinition | ActivityDefinition | None, new: OrchestratorDefinition | ActivityDefinition
) -> None:
    if present is not None and present.fn is not new.fn:
        kind = "orchestrators" if isinstance(new, OrchestratorDefinition) else "activities"
        raise RegistrationError(
            f"two {kind} are named '{new.name}': {present.location} and {new.location}; "
            "rename one, or give it another name=" + (" or version=" if kind == "orchestrators" else "")
        )


def _checked_name(fn: Callable[..., Any], name: str | None, kind: str) -> str:
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
    if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{where}: an orchestrator is a plain generator function; remove 'async'")
    if not inspect.isfunction(fn) or not inspect.isgeneratorfunction(fn):
        if inspect.isgeneratorfunction(function_in(fn)):
            raise RegistrationError(
                f"{where}: the wrapper of the generator function '{getattr(fn, '__name__', fn)}' is not a generator "
                "function; let the decorator's wrapper 'return (yield from function(ctx, input))'"
            )
        raise RegistrationError(
            f"{where}: '{getattr(fn, '__name__', fn)}' has no yield, so it cannot be an orchestrator; "
            "wait for its tasks with 'yield from'"
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
        name=_checked_name(fn, name, "orchestrator"),
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
    takes_context = bool(parameters) and getattr(parameters[0].annotation, "__name__", "") == "ActivityContext"
    inputs = parameters[1:] if takes_context else parameters
    if len(inputs) > 1:
        raise RegistrationError(
            f"{where}: an activity takes one input (and an ActivityContext before it), not {len(inputs)}; "
            "combine them in a model or a dict"
        )
    annotation, default = _input_of(inputs)
    return ActivityDefinition(
        name=_checked_name(fn, name, "activity"),
        fn=fn,
        input_type=annotation,
        takes_context=takes_context,
        is_async=any(inspect.iscoroutinefunction(each) for each in (fn, cast("Any", type(fn)).__call__)),
        location=where,
        default=default,
    )


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
