"""What an app knows of an orchestrator or an activity: its definition, and the name under which it is called."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from .entities import EntityDefinition
from .interceptors import NO_INTERCEPTORS, Interceptors
from .lazy_dataclass import dataclass
from .limits import Limit
from .marks import MARK, RESERVED
from .models import JSON, FailureDetails, RetryPolicy

NO_INPUT = inspect.Parameter.empty
MAP_NAME = "durable.map"
"""The name of the built-in orchestrator that makes the calls for a batch of the items of a map."""
SCHEDULE_NAME = "durable.schedule"
"""The name of the built-in orchestrator behind every schedule."""


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
