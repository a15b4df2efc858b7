"""Makes instances of frozen dataclasses as fast as instances of ordinary ones.

The ``__init__`` of a frozen dataclass must bypass its own ``__setattr__`` for every field, which takes three times as
long as setting the fields. A history has thousands of events, so each event is made as an instance of a twin: a class
with the same slots that is not frozen. It becomes an instance of the real class by assignment to ``__class__``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, InitVar, field, fields, make_dataclass
from typing import Any, TypeVar, TypeVarTuple, cast

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def twin_of(kind: type[Any], *passed_over: str) -> type[Any]:
    """The twin of a frozen dataclass with slots, each of whose fields has a plain default or none.

    passed_over: names of arguments before the fields that the twin accepts and ignores.
    TypeError for a class of another kind.
    """
    unused = [(name, InitVar) for name in passed_over]
    twin = make_dataclass(kind.__name__, [*unused, *((f.name, Any, _like(f)) for f in fields(kind))], slots=True)
    twin(
        *(None,) * (len(unused) + len(fields(kind)))
    ).__class__ = kind  # raises for an unsuitable class here, and not at the first event
    return twin


def maker(kind: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """A faster function in the place of a frozen dataclass, with positional arguments. TypeError as ``twin_of``."""
    frozen = cast("Any", kind)
    twin: Any = twin_of(frozen)

    def make(*values: *Ts) -> T:
        made = twin(*values)
        made.__class__ = frozen
        return made

    return make


def _like(original: Field[Any]) -> Any:
    return field() if original.default is MISSING else field(default=original.default)
