"""``@schedule``: schedules that are declared beside the orchestrator that they start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar, overload

from ...definitions import OrchestratorDefinition
from ...errors import DurableError, RegistrationError
from ...lazy_dataclass import dataclass
from ...marks import MARK
from ...registry import Registry
from ...signatures import location_of
from .orchestrator import Overlap
from .plan import ScheduleTiming

if TYPE_CHECKING:
    from ...engine.context import OrchestrationContext
    from ...engine.tasks import Branch

SCHEDULES_OF = "__durable_schedules__"
"""The property of a function that holds its declared schedules."""

F = TypeVar("F", bound="Callable[[OrchestrationContext], Branch[Any]]")
R = TypeVar("R", bound="Branch[Any]")
X = TypeVar("X")


@dataclass(frozen=True, slots=True)
class Declared:
    """A schedule as the code declares it. ``location``: the file and line of its orchestrator."""

    id: str
    orchestrator: str
    input: object
    timing: ScheduleTiming = field(hash=False)
    location: str = field(compare=False)


@overload
def schedule(
    *,
    id: str | None = None,
    cron: str | None = None,
    every: timedelta | None = None,
    time_zone: str = "UTC",
    overlap: Overlap = "skip",
    version: str | None = None,
    jitter: timedelta | None = None,
    catch_up: timedelta | None = None,
) -> Callable[[F], F]: ...
@overload
def schedule(
    *,
    input: X,
    id: str | None = None,
    cron: str | None = None,
    every: timedelta | None = None,
    time_zone: str = "UTC",
    overlap: Overlap = "skip",
    version: str | None = None,
    jitter: timedelta | None = None,
    catch_up: timedelta | None = None,
) -> Callable[[Callable[[OrchestrationContext, X], R]], Callable[[OrchestrationContext, X], R]]: ...
def schedule(
    *,
    input: object = None,
    id: str | None = None,
    cron: str | None = None,
    every: timedelta | None = None,
    time_zone: str = "UTC",
    overlap: Overlap = "skip",
    version: str | None = None,
    jitter: timedelta | None = None,
    catch_up: timedelta | None = None,
) -> Callable[[Any], Any]:
    """Declare a schedule of the orchestrator below, which is marked with ``@orchestrator``. Several may be declared.

    A host synchronises the schedules of its registry with the hub when it starts: it creates those that are missing,
    changes those that differ, and pauses those of its orchestrators that the code no longer declares; these go on when
    they are declared again. Schedules that a client has created are left alone. A test environment starts none.

    id: of the schedule; None takes the name of the orchestrator. Each schedule of a hub has an id of its own.
    every: as ``interval`` of ``create_schedule``; the other options, and the units, are those of ``create_schedule``.
    input: the input of every run.

    Raises RegistrationError if the function is not marked with ``@orchestrator``. What the schedule is given is checked
    when the host starts, which then raises RegistrationError with the file and line.
    """

    def declare(fn: Any) -> Any:
        definition = getattr(fn, MARK, None)
        if not isinstance(definition, OrchestratorDefinition):
            raise RegistrationError(
                f"{location_of(fn)}: @schedule stands above @orchestrator: "
                f"'{getattr(fn, '__name__', fn)}' is not marked as an orchestrator yet"
            )
        timing = ScheduleTiming(
            cron=cron,
            interval=every,
            time_zone=time_zone,
            overlap=overlap,
            version=version,
            jitter=jitter,
            catch_up=catch_up,
        )
        schedule_id = definition.name if id is None else id
        declared = Declared(schedule_id, definition.name, input, timing, definition.location)
        setattr(fn, SCHEDULES_OF, (*getattr(fn, SCHEDULES_OF, ()), declared))
        return fn

    return declare


def declared_in(registry: Registry) -> list[Declared]:
    """The schedules that the orchestrators of a registry declare. RegistrationError for two of one id."""
    found: dict[str, Declared] = {}
    for definition in registry.definitions:
        if not isinstance(definition, OrchestratorDefinition):
            continue
        for each in getattr(definition.fn, SCHEDULES_OF, ()):
            other = found.setdefault(each.id, each)
            if other != each:  # two versions of an orchestrator may declare the same
                raise RegistrationError(
                    f"two schedules have the id '{each.id}': of '{other.orchestrator}' ({other.location}) and of "
                    f"'{each.orchestrator}' ({each.location}); give one of them another id="
                )
    return list(found.values())


def refused(declared: Declared, error: DurableError) -> RegistrationError:
    """The error of a host that starts with a schedule that cannot work."""
    return RegistrationError(f"{declared.location}: the schedule '{declared.id}' cannot work: {error}")
