"""The orchestrators, activities and entities of an app: the decorators that mark functions, and the registry.

``@orchestrator`` and ``@activity`` only mark a function and return it unchanged; a ``Registry`` collects the marked
functions of the modules given to it. There is no global list, so that two apps in one process stay separate.
"""

from __future__ import annotations

import hashlib
import inspect
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from types import ModuleType
from typing import Any, TypeVar, cast, overload

from .entities import EntityDefinition
from .errors import RegistrationError, UnknownActivityError, UnknownEntityError, UnknownOrchestratorError
from .interceptors import NO_INTERCEPTORS, Interceptor, Interceptors
from .lazy_dataclass import dataclass
from .limits import Limit
from .marks import MARK, RESERVED, mark_as, marked_in
from .models import JSON, FailureDetails, RetryPolicy
from .moments import problem_of_time
from .orchestrator_versions import in_order, newest, problem_of_version
from .scanning import modules_in
from .signatures import function_in, location_of, parameters_of

F = TypeVar("F", bound=Callable[..., Any])

_AN_ACTIVITY = (
    "an activity: an orchestrator calls it with ctx.call_activity(...), and a client runs it with enqueue(...)"
)

_AN_ENTITY = "an entity, which is not started: signal it"

_NAME = re.compile(r"[^\W\d][\w.\-]{0,127}")
_QUEUE = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_CONTEXTS = frozenset({"ActivityContext", "JournalContext"})
MAX_QUEUE_NAME = 20  # characters; the name of a storage queue holds this name and that of the hub

NO_INPUT = inspect.Parameter.empty
MAP_NAME = "durable.map"
"""The name of the built-in orchestrator that makes the calls for a batch of the items of a map."""
SCHEDULE_NAME = "durable.schedule"
"""The name of the built-in orchestrator behind every schedule."""

REGISTRY_OF = "__durable_registry__"
"""The property of an app that has a registry of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter:
    """Lets an orchestrator run that was written for another framework.

    Such code may yield objects with ``__durable_task__`` (see ``look``), need not be a generator function, and ends
    where it waits after ``continue_as_new``.

    argument: makes the argument of the function from the orchestration context.
    result: makes of the function's result the value that is stored.
    output_of_failure: makes of the orchestrator's name and its failure the output that a failed instance shows.
    """

    argument: Callable[[Any], Any]
    result: Callable[[Any], Any]
    output_of_failure: Callable[[str, FailureDetails], JSON]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrchestratorDefinition:
    """A registered orchestrator. ``input_type`` is ``NO_INPUT`` for the shape ``def orch(ctx)``.

    default: the default value of its input parameter; ``NO_INPUT`` if it has none.
    is_default: whether a start that names no version takes this version.
    adapter: for code that was written for another framework; None for our own.
    limit: each instance waits for a slot of it before its code begins, and holds it until its end.
    interceptors: those of its app; none of the framework's own orchestrators.
    any_version: whether it runs instances of every version of its name, unless another definition has the version.
    """

    name: str
    version: str
    fn: Callable[..., Any]
    input_type: Any
    location: str
    default: Any = NO_INPUT
    is_default: bool = False
    adapter: Adapter | None = None
    any_version: bool = False
    limit: Limit | None = None
    interceptors: Interceptors = NO_INTERCEPTORS

    def takes(self, data: JSON) -> bool:
        """Whether the function is called with this input. Without an input, the parameter's default is used."""
        return self.input_type is not NO_INPUT and (data is not None or self.default is NO_INPUT)


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivityDefinition:
    """A registered activity, with the options of its decorator. interceptors: those of its app."""

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
    limit: Limit | None = None
    journal: bool = False
    interceptors: Interceptors = NO_INTERCEPTORS

    def takes(self, data: JSON) -> bool:
        """Whether the function is called with this input. Without an input, the parameter's default is used."""
        return self.input_type is not NO_INPUT and (data is not None or self.default is NO_INPUT)


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


def definition_of(fn: object) -> OrchestratorDefinition | ActivityDefinition | None:
    """The definition with which ``@orchestrator`` or ``@activity`` has marked this function; None if none has."""
    found = getattr(fn, MARK, None)
    return None if isinstance(found, EntityDefinition) else found


def entity_definition_of(target: object) -> EntityDefinition | None:
    """The definition with which ``@entity`` has marked this very class or function; None if it is not marked."""
    found = getattr(target, MARK, None)
    return found if isinstance(found, EntityDefinition) and found.target is target else None


def is_internal(name: str) -> bool:
    """Whether an orchestrator of this name is the framework's own, whose instances a list shows only if asked for them.

    Batches of maps are shown: as other sub-orchestrations they can be stuck, and a purge by a filter has to find them.
    """
    return name.startswith(RESERVED) and name != MAP_NAME


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
    """The orchestrators, activities and entities of one app."""

    def __init__(self) -> None:
        self._orchestrators: dict[str, dict[str, OrchestratorDefinition]] = {}
        self._activities: dict[str, ActivityDefinition] = {}
        self._entities: dict[str, EntityDefinition] = {}
        self._interceptors = NO_INTERCEPTORS

    @classmethod
    def scan(cls, *modules: ModuleType) -> Registry:
        """Collect every marked function and class of these modules; of a package, also those of all modules in it.

        Modules of a package are read first, and imported only if their source imports ``orchestrator``, ``activity``
        or ``entity``, or decorates with a function from a module that does: not a web application, say. Never imported
        are ``__main__`` modules and tests. A module whose source does not show it is passed to ``scan`` itself.

        Raises RegistrationError, with file and line, if such a module cannot be imported or is being imported and not
        complete; for two functions of one name; and for a marked function that a decorator hides.
        """
        registry, scanned = cls(), list(modules_in(*modules))
        registry.add(*marked_in(scanned))
        for module in scanned:
            for value in list(vars(module).values()):
                if hasattr(cast("Any", type(value)), REGISTRY_OF):
                    registry.define(*getattr(value, REGISTRY_OF).definitions)
                    registry.intercept(*getattr(value, REGISTRY_OF).interceptors.all)
        return registry

    def add(self, *functions: Callable[..., Any]) -> Registry:
        """Register marked functions and classes; to register the same one again changes nothing.

        A wrapper around a marked function (made by a decorator above the mark, with ``functools.wraps``) is registered
        in its place. Raises RegistrationError if the wrapper does not fit, and for two functions of one name.
        """
        for fn in functions:
            if (entity := entity_definition_of(fn)) is not None:
                self.define(entity)
                continue
            definition = _as_it_is_now(fn, definition_of(fn))
            if definition is None:
                raise RegistrationError(
                    f"{getattr(fn, '__qualname__', fn)} is marked neither @orchestrator nor @activity nor @entity"
                )
            self.define(definition)
        return self

    def define(self, *definitions: OrchestratorDefinition | ActivityDefinition | EntityDefinition) -> Registry:
        """Register definitions as they are. RegistrationError for two functions, or two entities, of one name."""
        for each in definitions:
            definition = replace(each, interceptors=self._interceptors) if self._interceptors.all else each
            if isinstance(definition, EntityDefinition):
                self._add_entity(definition)
            elif isinstance(definition, OrchestratorDefinition):
                versions = self._orchestrators.setdefault(definition.name, {})
                _refuse_twin(versions.get(definition.version), definition)
                _refuse_second_default(versions.values(), definition)
                versions[definition.version] = definition
            else:
                _refuse_twin(self._activities.get(definition.name), definition)
                self._activities[definition.name] = definition
        return self

    def intercept(self, *interceptors: Interceptor) -> Registry:
        """Register interceptors, behind those that are registered: of several the first is outermost. They wrap the
        calls of the app's clients, and all its orchestrators, activities and entities, also those that are added later.

        An object that is registered already is not registered again. Raises RegistrationError for what is no
        ``Interceptor``, and for a method of the wrong kind.
        """
        each_once = list(self._interceptors.all)
        for new in interceptors:
            if all(new is not known for known in each_once):  # not by ==, which may be the user's code
                each_once.append(new)
        if len(each_once) == len(self._interceptors.all):
            return self
        self._interceptors = wrapped = Interceptors.of(each_once)
        for versions in self._orchestrators.values():
            for version, orchestrated in versions.items():
                versions[version] = replace(orchestrated, interceptors=wrapped)
        for name, called in self._activities.items():
            self._activities[name] = replace(called, interceptors=wrapped)
        for name, kept in self._entities.items():
            self._entities[name] = replace(kept, interceptors=wrapped)
        return self

    @property
    def interceptors(self) -> Interceptors:
        """The interceptors that are registered, the outermost first (``.all``)."""
        return self._interceptors

    def _add_entity(self, definition: EntityDefinition) -> None:
        present = self._entities.get(definition.name)
        if present is not None and present.target is not definition.target:
            raise RegistrationError(
                f"two entities are named '{definition.name}': {present.location} and {definition.location}; "
                "rename one, or give it another name="
            )
        self._entities[definition.name] = definition

    @property
    def has_journals(self) -> bool:
        """Whether any activity is journaled."""
        return any(definition.journal for definition in self._activities.values())

    def with_built_in(self, *definitions: ActivityDefinition | OrchestratorDefinition) -> Registry:
        """A copy of this registry with the framework's own functions added. Later additions do not reach the copy."""
        registry = Registry()
        registry._orchestrators = {name: dict(versions) for name, versions in self._orchestrators.items()}
        registry._activities = dict(self._activities)
        registry._entities = dict(self._entities)
        registry._interceptors = self._interceptors
        for definition in definitions:
            if isinstance(definition, ActivityDefinition):
                registry._activities[definition.name] = definition
            else:
                registry._orchestrators.setdefault(definition.name, {})[definition.version] = definition
        return registry

    def orchestrator(self, name: str, version: str | None = None) -> OrchestratorDefinition:
        """The orchestrator of this name and version. With version None: the default one, or else the newest.

        Raises UnknownOrchestratorError if it is not registered.
        """
        versions = self._orchestrators.get(name)
        if not versions:
            if (job := self._job(name, version)) is not None:
                return job
            raise UnknownOrchestratorError(name, self.orchestrator_names, hint=self._other_kind(name))
        if version is None:
            default = next((definition for definition in versions.values() if definition.is_default), None)
            return versions[newest(versions)] if default is None else default
        if version not in versions:
            found = next((each for each in versions.values() if each.any_version), None)
            if found is not None and problem_of_version(version) is None:
                return replace(found, version=version)
            raise UnknownOrchestratorError(name, self.orchestrator_names, version, in_order(versions))
        return versions[version]

    def orchestrator_called(self, fn_or_name: Callable[..., Any] | str, version: str | None) -> OrchestratorDefinition:
        """``orchestrator`` for what a caller outside of orchestrators passes: a function, or its name.

        Raises UnknownOrchestratorError, whose text says what is wrong with a function that cannot be started.
        """
        definition = definition_of(fn_or_name)
        name = name_of(fn_or_name)
        if isinstance(definition, ActivityDefinition):
            raise UnknownOrchestratorError(name, self.orchestrator_names, hint=f"'{name}' is {_AN_ACTIVITY}")
        try:
            return self.orchestrator(name, version)
        except UnknownOrchestratorError as error:
            if isinstance(fn_or_name, str) or error.versions or self._other_kind(name):
                raise
            hint = f"{name} ({location_of(fn_or_name)}) is not marked with @orchestrator"
            if definition is not None:
                hint = f"'{name}' ({definition.location}) is marked, but not registered in this app"
            elif entity_definition_of(fn_or_name) is not None:
                hint = f"'{name}' is {_AN_ENTITY}"
            raise UnknownOrchestratorError(name, self.orchestrator_names, version, hint=hint) from None

    def job_called(self, activity: Callable[..., Any] | str) -> str:
        """The name of the job that runs an activity, which a caller outside of orchestrators passes.

        UnknownOrchestratorError, whose text says what is wrong, for a function that is no activity.
        """
        from .jobs import JOB_PREFIX  # most apps have no job

        definition, name = definition_of(activity), name_of(activity)
        if not isinstance(activity, str) and not isinstance(definition, ActivityDefinition):
            what = f"{name} ({location_of(activity)}) is not marked with @activity"
            if definition is not None:
                what = f"'{name}' is an orchestrator: start it with start_new"
            elif entity_definition_of(activity) is not None:
                what = f"'{name}' is an entity, which is not enqueued: signal it"
            raise UnknownOrchestratorError(JOB_PREFIX + name, self.orchestrator_names, hint=what)
        return JOB_PREFIX + name

    def _job(self, name: str, version: str | None) -> OrchestratorDefinition | None:
        """The orchestrator of a job; None if this is not the name of one, or its activity is not registered."""
        from .jobs import activity_of_job, code_of_job

        activity = self._activities.get(activity_of_job(name) or "")
        if activity is None or version:
            return None
        return OrchestratorDefinition(
            name=name,
            version="",
            fn=code_of_job(activity),
            input_type=activity.input_type,
            default=activity.default,
            location=activity.location,
            interceptors=activity.interceptors,
        )

    def _other_kind(self, name: str) -> str:
        """What else has this name, which is no orchestrator's; '' if nothing has."""
        from .jobs import activity_of_job

        if (activity := activity_of_job(name)) is not None:
            if activity in self.orchestrator_names:
                return f"'{activity}' is an orchestrator: start it with start_new"
            listed = ", ".join(name for name in self.activity_names if not name.startswith(RESERVED)) or "none"
            return f"a job runs an activity, and no activity '{activity}' is registered on this host ({listed})"
        if name in self._activities:
            return f"'{name}' is {_AN_ACTIVITY}"
        return f"'{name}' is {_AN_ENTITY}" if name.lower() in self._entities else ""

    def versions(self, name: str) -> list[str]:
        """Versions of an orchestrator, oldest first; [] if no orchestrator has this name."""
        return in_order(self._orchestrators.get(name, {}))

    def activity(self, name: str) -> ActivityDefinition:
        """The activity of this name. Raises UnknownActivityError if it is not registered."""
        try:
            return self._activities[name]
        except KeyError:
            raise UnknownActivityError(name, self.activity_names) from None

    def entity(self, name: str) -> EntityDefinition:
        """The entity of this name, in any letter case. Raises UnknownEntityError if it is not registered."""
        try:
            return self._entities[name.lower()]
        except KeyError:
            raise UnknownEntityError(name, sorted(self._entities)) from None

    @property
    def entities(self) -> dict[str, EntityDefinition]:
        """The entities of the app, by name in lower case."""
        return dict(self._entities)

    @property
    def definitions(self) -> list[OrchestratorDefinition | ActivityDefinition | EntityDefinition]:
        """All that is registered."""
        orchestrators = [each for versions in self._orchestrators.values() for each in versions.values()]
        return [*orchestrators, *self._activities.values(), *self._entities.values()]

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

    @property
    def limits(self) -> dict[str, Limit] | None:
        """The limits of the activities, by their names; None if none has one."""
        return {name: each.limit for name, each in self._activities.items() if each.limit is not None} or None

    def build_id(self) -> str:
        """A hash of the source files of the registered functions; it differs between deployments of different code."""
        files: set[str] = set()
        definitions = self.definitions
        functions = [f for d in definitions for f in (d.functions if isinstance(d, EntityDefinition) else (d.fn,))]
        for each in functions:
            for fn in (each, function_in(each)):
                code = getattr(fn, "__code__", None)
                if code is not None:
                    files.add(inspect.getsourcefile(code) or "")
        files.update(self._interceptors.files)
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
