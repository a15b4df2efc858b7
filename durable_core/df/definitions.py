"""Makes of a decorated function what the runtime runs: the definition of an orchestrator, an activity or an entity."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from functools import wraps
from typing import Any

from azure.functions.decorators.function_app import FunctionBuilder

from ..decorators import checked_name
from ..definitions import NO_INPUT, ActivityDefinition, Adapter, OrchestratorDefinition
from ..engine.context import OrchestrationContext
from ..entities import EntityDefinition
from ..errors import RegistrationError
from ..host_json import app_folder, default_version
from ..orchestrator_versions import problem_of_version
from ..signatures import location_of
from .context import DurableOrchestrationContext, FunctionContext
from .entities import entity_definition
from .failures import orchestrator_failed
from .names import name_of
from .serialization import KnownClasses, encode
from .triggers import ActivityTrigger, EntityTrigger, OrchestrationTrigger


def definition_of(
    builder: FunctionBuilder, classes: KnownClasses
) -> OrchestratorDefinition | ActivityDefinition | EntityDefinition | None:
    """The definition of a decorated function; None if it is not a durable function.

    classes: receives the classes that the function names. Raises RegistrationError, with the ``file:line``, for a
    function that does not fit.
    """
    function = builder._function  # pyright: ignore[reportPrivateUsage]  it has no public reader before it is built
    match function.get_trigger():
        case OrchestrationTrigger() as trigger:
            made: Any = function.get_user_function()
            return _orchestrator(builder, made.orchestrator_function, trigger, classes)
        case ActivityTrigger() as trigger:
            return _activity(builder, function.get_user_function(), trigger, classes)
        case EntityTrigger() as trigger:
            made = function.get_user_function()
            _check_parameters(made.entity_function, trigger.name, "entity")
            _check_bindings(builder, "entity")
            return entity_definition(name_of(builder), made.entity_function, trigger.name, classes)
        case _:
            return None


def _orchestrator(
    builder: FunctionBuilder, fn: Callable[..., Any], trigger: OrchestrationTrigger, classes: KnownClasses
) -> OrchestratorDefinition:
    where = location_of(fn)
    if inspect.iscoroutinefunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{where}: an orchestrator is a plain generator function; remove 'async'")
    _check_parameters(fn, trigger.name, "orchestrator")
    _check_bindings(builder, "orchestrator")
    classes.add_of(fn)
    classes.add(trigger.input_type)
    input_type = trigger.input_type

    def context_of(ctx: OrchestrationContext) -> DurableOrchestrationContext:
        return DurableOrchestrationContext(ctx, classes, input_type)

    return OrchestratorDefinition(
        name=checked_name(fn, name_of(builder), "orchestrator"),
        version=_default_version(where),
        fn=fn,
        input_type=NO_INPUT,
        location=where,
        adapter=Adapter(argument=context_of, result=encode, output_of_failure=orchestrator_failed),
        any_version=True,
    )


def _default_version(where: str) -> str:
    """The version of instances whose start names none. RegistrationError if host.json has one that is not valid."""
    version = default_version(app_folder(os.environ), os.environ) or ""
    if (problem := problem_of_version(version)) is not None:
        raise RegistrationError(f"{where}: defaultVersion of host.json {problem}, not {version!r}")
    return version


def _activity(
    builder: FunctionBuilder, fn: Callable[..., Any], trigger: ActivityTrigger, classes: KnownClasses
) -> ActivityDefinition:
    where = location_of(fn)
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise RegistrationError(f"{where}: an activity returns its result; it does not yield")
    _check_parameters(fn, trigger.name, "activity")
    _check_bindings(builder, "activity")
    classes.add_of(fn)
    classes.add(trigger.input_type)
    is_async = inspect.iscoroutinefunction(fn)
    return ActivityDefinition(
        name=checked_name(fn, name_of(builder), "activity"),
        fn=_with_values(fn, trigger, classes, is_async=is_async),
        input_type=Any,
        takes_context=False,
        is_async=is_async,
        location=where,
    )


def _with_values(
    fn: Callable[..., Any], trigger: ActivityTrigger, classes: KnownClasses, *, is_async: bool
) -> Callable[[Any], Any]:
    """The activity with its input and result as they are stored."""
    extra = {"context": FunctionContext(function_name=fn.__name__)} if _takes_context(fn, trigger.name) else {}

    def arguments(data: Any) -> dict[str, Any]:
        return {trigger.name: classes.decode(data, trigger.input_type), **extra}

    if is_async:

        @wraps(fn)
        async def run_async(data: Any = None) -> Any:
            return encode(await fn(**arguments(data)))

        return run_async

    @wraps(fn)
    def run(data: Any = None) -> Any:
        return encode(fn(**arguments(data)))

    return run


def _takes_context(fn: Callable[..., Any], name: str) -> bool:
    return name != "context" and "context" in inspect.signature(fn).parameters


def _check_parameters(fn: Callable[..., Any], name: str, kind: str) -> None:
    """RegistrationError unless the function has the parameter that its decorator names, and needs no other."""
    parameters = inspect.signature(fn).parameters
    if name not in parameters:
        raise RegistrationError(
            f"{location_of(fn)}: the {kind} '{fn.__name__}' has no parameter '{name}', which its decorator names"
        )
    needed = [
        each.name
        for each in parameters.values()
        if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    other = next((each for each in needed if each not in (name, "context")), None)
    if other is not None or (kind != "activity" and "context" in needed and name != "context"):
        raise RegistrationError(
            f"{location_of(fn)}: no binding provides the parameter '{other or 'context'}' of the {kind} "
            f"'{fn.__name__}'; pass what it needs in its input"
        )


def _check_bindings(builder: FunctionBuilder, kind: str) -> None:
    """RegistrationError for a binding beside the trigger: the runtime calls the function, not the Functions host."""
    function = builder._function  # pyright: ignore[reportPrivateUsage]
    others = [each for each in function.get_bindings() if each is not function.get_trigger()]
    if others:
        raise RegistrationError(
            f"the {kind} '{name_of(builder)}' has a binding of type '{others[0].type}', which durable_core does not "
            "serve: use the SDK of the service in an activity, or in a function with another trigger"
        )
