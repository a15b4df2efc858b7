"""How ``@orchestrator``, ``@activity`` and ``@entity`` mark objects, and how marked objects are found in modules."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Protocol, TypeVar

from .errors import RegistrationError

F = TypeVar("F", bound=Callable[..., Any])

MARK = "__durable_definition__"

RESERVED = "durable."
"""Names of orchestrators, activities and entities that begin so belong to the framework."""


class Definition(Protocol):
    """The definition that is attached to a marked function."""

    @property
    def location(self) -> str: ...


def mark_as(function: F, definition: Definition) -> F:
    """Mark a function and return it. RegistrationError for a callable that cannot have attributes."""
    try:
        setattr(function, MARK, definition)
    except AttributeError as error:
        problem = (
            f"{definition.location}: {function!r} cannot have attributes; write a function that calls it, and mark that"
        )
        raise RegistrationError(problem) from error
    return function


def marked_in(modules: Iterable[ModuleType]) -> Iterator[Callable[..., Any]]:
    """The marked objects in the namespaces of these modules.

    RegistrationError if a decorator hides the mark.
    """
    for found in modules:
        for name, value in list(vars(found).items()):
            if _is_marked(value):
                yield value
            else:
                _refuse_hidden(found, name, value)


def _is_marked(value: object) -> bool:
    """Whether a decorator has marked this very object. A proxy's ``__getattr__`` is not called."""
    return MARK in _own_dict(value)


def _own_dict(value: object) -> Mapping[str, Any]:
    try:
        return object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}


def _refuse_hidden(module: ModuleType, name: str, value: object) -> None:
    """RegistrationError if a name refers to an unmarked wrapper around the marked function of that name."""
    held = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else _own_dict(value)
    for inner in list(held.values()):
        if not inspect.isfunction(inner) or not _is_marked(inner):
            continue
        if (inner.__module__, inner.__name__) == (module.__name__, name):
            raise RegistrationError(
                f"{getattr(inner, MARK).location}: a decorator hides '{name}', so it would not be registered: let the "
                "decorator use functools.wraps, or let @activity or @orchestrator stand above it"
            )
