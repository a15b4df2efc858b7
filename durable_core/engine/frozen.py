"""Makes instances of frozen dataclasses as fast as instances of ordinary ones.

The ``__init__`` of a frozen dataclass must bypass its own ``__setattr__`` for every field, which takes three times as
long as setting the fields. A history has thousands of events, so each event is made as an instance of a twin: a class
with the same slots that is not frozen. It becomes an instance of the real class by assignment to ``__class__``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, TypeVarTuple, cast

from ..lazy_dataclass import MadeAtUse, fields_of, init_of

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def twin_of(kind: type[Any], *passed_over: str) -> type[Any]:
    """The twin of a frozen dataclass with slots. Its ``__init__`` is compiled when the first instance is made.

    passed_over: names of arguments before the fields that the twin accepts and ignores.
    TypeError for a class of another kind.
    """
    fields = fields_of(kind)

    def init(twin: type[Any]) -> Callable[..., None]:
        return init_of(fields, kind.__module__, passed_over=passed_over)

    twin: Any = type(kind.__name__, (), {"__slots__": tuple(fields), "__init__": MadeAtUse(init)})
    object.__new__(twin).__class__ = kind  # raises for an unsuitable class here, and not at the first event
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
