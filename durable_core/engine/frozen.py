"""Makes instances of frozen dataclasses as fast as those of ordinary ones.

The ``__init__`` of a frozen dataclass has to go round its own ``__setattr__`` for every field, which takes three times
as long as setting them. A history has thousands of events, so what is made once per event is made as an instance of a
twin: a class with the same slots that is not frozen. Before anybody sees it, it becomes one of the real class, by
assignment to ``__class__``. Knows no event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, InitVar, field, fields, make_dataclass
from typing import Any, TypeVar, TypeVarTuple, cast

Ts = TypeVarTuple("Ts")
T = TypeVar("T")


def twin_of(kind: type[Any], *passed_over: str) -> type[Any]:
    """The twin of a frozen dataclass with slots, each of whose fields has a plain default or none.

    passed_over: names of arguments that it takes before the fields, and leaves out.
    TypeError for another class, whose instances cannot be made so.
    """
    unused = [(name, InitVar) for name in passed_over]
    twin = make_dataclass(kind.__name__, [*unused, *((f.name, Any, _like(f)) for f in fields(kind))], slots=True)
    twin(*(None,) * (len(unused) + len(fields(kind)))).__class__ = kind  # better here than at the first event
    return twin


def maker(kind: Callable[[*Ts], T]) -> Callable[[*Ts], T]:
    """A function that does what calling a frozen dataclass does. Arguments go by position. TypeError as above."""
    frozen = cast("Any", kind)
    twin: Any = twin_of(frozen)

    def make(*values: *Ts) -> T:
        made = twin(*values)
        made.__class__ = frozen
        return made

    return make


def _like(original: Field[Any]) -> Any:
    return field() if original.default is MISSING else field(default=original.default)
