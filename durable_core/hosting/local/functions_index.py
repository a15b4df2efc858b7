"""Reads an app's ``function_app.py``: which functions it has, and what triggers each.

Refuses at start what Azure would refuse when it indexes the app, because there one bad function takes the whole app
down with nothing but a log line. Knows no storage and no server.
"""

from __future__ import annotations

import importlib.util
import inspect
import os
import re
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from ...errors import ConfigurationError
from ...host_json import resolve_settings
from ...lazy_dataclass import dataclass

if TYPE_CHECKING:
    import azure.functions as func

SCRIPT = "function_app.py"
STORAGE_CONNECTION = "AzureWebJobsStorage"
OF_DURABLE_FUNCTIONS = (
    "it is a function of Durable Functions; to run the app on durable_core, write 'import durable_core.df as df' in "
    "the place of 'import azure.durable_functions as df' (docs/guide/durable-functions.md)"
)
_FUNCTION_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_\-]{0,127}")
_BINDING_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTrigger:
    """``methods`` is empty when all are served; ``auth_level`` is anonymous, function or admin."""

    route: str
    methods: frozenset[str]
    auth_level: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueTrigger:
    queue: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerTrigger:
    schedule: str
    run_on_startup: bool


Trigger: TypeAlias = HttpTrigger | QueueTrigger | TimerTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexedFunction:
    """One function of the app. ``parameter`` takes the trigger's value; ``wants_context`` asks for a Context too."""

    name: str
    call: Callable[..., Any]
    trigger: Trigger
    parameter: str
    wants_context: bool
    is_async: bool


def load_functions(folder: Path, environ: Mapping[str, str] | None = None) -> list[IndexedFunction]:
    """Import the app and index its functions. ConfigurationError says which function does not fit, and why.

    An exception raised by the app's own code at import is passed through: its stack says more than we could.
    """
    env = os.environ if environ is None else environ
    app = find_app(import_script(folder))
    try:
        functions = app.get_functions()
    except (ValueError, TypeError) as error:
        raise ConfigurationError(f"{SCRIPT} cannot be indexed: {error}") from error
    if not functions:
        raise ConfigurationError(f"{SCRIPT} has no functions")
    return [_index(function, env) for function in functions]


def import_script(folder: Path) -> ModuleType:
    """Run the folder's ``function_app.py``. ConfigurationError if it is not there; what its code raises passes on."""
    script = folder / SCRIPT
    if not script.is_file():
        raise ConfigurationError(f"there is no {SCRIPT} in {folder}; name the app's folder with --app")
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    spec = importlib.util.spec_from_file_location("function_app", script)
    assert spec is not None and spec.loader is not None  # a .py path always has both
    module = importlib.util.module_from_spec(spec)
    sys.modules["function_app"] = module
    spec.loader.exec_module(module)
    return module


def find_app(module: ModuleType) -> func.FunctionRegister:
    """The one FunctionApp, or other FunctionRegister, of a module: what Azure would index. ConfigurationError."""
    import azure.functions as func

    apps = {id(value): value for value in vars(module).values() if isinstance(value, func.FunctionRegister)}
    if len(apps) != 1:
        raise ConfigurationError(
            f"{SCRIPT} must hold exactly one azure.functions.FunctionApp, or durable_core.df.DFApp; it holds "
            f"{len(apps)}"
        )
    return next(iter(apps.values()))


def _index(function: Any, environ: Mapping[str, str]) -> IndexedFunction:
    name: str = function.get_function_name()
    if not _FUNCTION_NAME.fullmatch(name):
        raise ConfigurationError(
            f"function '{name}': its name must be a letter followed by up to 127 letters, digits, '_' or '-'"
        )
    settings = cast("dict[str, Any]", function.get_trigger().get_dict_repr())
    trigger = _trigger(name, settings, environ)
    for binding in cast("list[dict[str, Any]]", function.get_bindings_dict()["bindings"]):
        kind = str(binding["type"])
        if binding == settings or (kind == "http" and isinstance(trigger, HttpTrigger)):
            continue
        raise ConfigurationError(
            f"function '{name}': the local host has no '{kind}' binding; "
            + (OF_DURABLE_FUNCTIONS if kind == "durableClient" else "use the service's SDK")
        )

    call = cast("Callable[..., Any]", function.get_user_function())
    parameter = str(settings["name"])
    parameters = inspect.signature(call).parameters
    if not _BINDING_NAME.fullmatch(parameter):
        raise ConfigurationError(f"function '{name}': binding name '{parameter}' must be letters and digits only")
    if parameter not in parameters:
        raise ConfigurationError(f"function '{name}' has no parameter '{parameter}', the name of its trigger's binding")
    unbound = [other for other, p in parameters.items() if other not in (parameter, "context") and p.default is p.empty]
    if unbound:
        raise ConfigurationError(f"function '{name}': no binding provides its parameter '{unbound[0]}'")
    _check_annotation(name, call, parameter, trigger)
    return IndexedFunction(
        name=name,
        call=call,
        trigger=trigger,
        parameter=parameter,
        wants_context="context" in parameters,
        is_async=inspect.iscoroutinefunction(call),
    )


def _trigger(name: str, settings: Mapping[str, Any], environ: Mapping[str, str]) -> Trigger:
    match settings["type"]:
        case "httpTrigger":
            methods = settings.get("methods") or ()
            return HttpTrigger(
                route=str(settings["route"]),
                methods=frozenset(str(getattr(method, "value", method)).upper() for method in methods),
                auth_level=str(getattr(settings.get("authLevel"), "value", settings.get("authLevel") or "function")),
            )
        case "queueTrigger":
            if settings.get("connection") not in (STORAGE_CONNECTION, "Storage", "", None):
                raise ConfigurationError(
                    f"function '{name}': the local host serves queues of {STORAGE_CONNECTION} only, "
                    f"not of '{settings['connection']}'"
                )
            return QueueTrigger(queue=resolve_settings(str(settings["queueName"]), environ).lower())
        case "timerTrigger":
            return TimerTrigger(
                schedule=resolve_settings(str(settings["schedule"]), environ),
                run_on_startup=bool(settings.get("runOnStartup")),
            )
        case "orchestrationTrigger" | "activityTrigger" | "entityTrigger":
            raise ConfigurationError(f"function '{name}': {OF_DURABLE_FUNCTIONS}")
        case other:
            raise ConfigurationError(f"function '{name}': the local host does not serve the trigger '{other}'")


def _check_annotation(name: str, call: Callable[..., Any], parameter: str, trigger: Trigger) -> None:
    """The worker refuses an annotation that its converter of that trigger cannot make."""
    import azure.functions as func

    match trigger:
        case HttpTrigger():
            wanted = func.HttpRequest
        case QueueTrigger():
            wanted = func.QueueMessage
        case TimerTrigger():
            wanted = func.TimerRequest
    try:
        annotation = typing.get_type_hints(call).get(parameter)
    except (NameError, TypeError) as error:
        raise ConfigurationError(f"function '{name}': its annotations cannot be resolved: {error}") from error
    # The public classes derive from abstract ones of the same name, which an app may use as well.
    accepted = wanted.__mro__[:-1]
    if annotation is not None and annotation is not Any and annotation not in accepted:
        raise ConfigurationError(
            f"function '{name}': parameter '{parameter}' must be annotated azure.functions.{wanted.__name__}, "
            f"not {annotation!r}"
        )
