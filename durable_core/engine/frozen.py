"""Makes instances of frozen dataclasses as fast as those of ordinary ones.

The ``__init__`` of a frozen dataclass has to go round its own ``__setattr__`` for every field, which takes three times
as long as setting them. A history has thousands of events, so what is made once per event is made by a ``maker``: as
an instance of a twin class, which has the same slots and is not frozen, and which then becomes one of the real class.
Nobody sees it before that. Knows no event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, field, fields, make_dataclass
from typing import Any, TypeVar, TypeVarTuple, cast

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def maker(kind: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """A function that does what calling ``kind``, a frozen dataclass with slots, does. Arguments go by position.

    TypeError if the class is none of that kind, so that it has no twin.
    """
    frozen = cast("Any", kind)
    twin: Any = make_dataclass(frozen.__name__, [(f.name, Any, _like(f)) for f in fields(frozen)], slots=True)

    def make(*values: *Ts) -> T:
        made = twin(*values)
        made.__class__ = frozen
        return made

    make(*cast("tuple[*Ts]", (None,) * len(fields(frozen))))  # better here than at the first event
    return make


def _like(original: Field[Any]) -> Any:
    return field() if original.default is MISSING else field(default=original.default)
