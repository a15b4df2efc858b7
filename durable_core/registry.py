"""The orchestrators, activities and entities of an app.

A ``Registry`` collects the marked functions of the modules given to it. There is no global list, so that two apps in
one process stay separate.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable, Iterable
from dataclasses import replace
from types import ModuleType
from typing import Any, cast

from .decorators import as_it_is_now
from .definitions import (
    ActivityDefinition,
    OrchestratorDefinition,
    definition_of,
    entity_definition_of,
    name_of,
)
from .entities import EntityDefinition
from .errors import RegistrationError, UnknownActivityError, UnknownEntityError, UnknownOrchestratorError
from .interceptors import NO_INTERCEPTORS, Interceptor, Interceptors
from .limits import Limit
from .marks import RESERVED, marked_in
from .orchestrator_versions import in_order, newest, problem_of_version
from .scanning import modules_in
from .signatures import function_in, location_of

_AN_ACTIVITY = (
    "an activity: an orchestrator calls it with ctx.call_activity(...), and a client runs it with enqueue(...)"
)

_AN_ENTITY = "an entity, which is not started: signal it"

REGISTRY_OF = "__durable_registry__"
"""The property of an app that has a registry of its own."""


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
            definition = as_it_is_now(fn, definition_of(fn))
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
