"""What a warm orchestrator weighs: bytes that its history and the locals of its code hold, as far as Python can tell.

A walk over what the garbage collector says that an object refers to, which runs no code of the user's. It is bounded:
it looks at 256 objects, of a large container at a few of its items, and takes the rest to be like them. What the C
code of a library holds is known where its types say it (``__sizeof__``, as NumPy's do). What the module of the code
holds by a name is not counted: it would stay.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from functools import lru_cache
from itertools import islice
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any, cast

from ..engine.executor import OrchestrationExecutor

MOST_OBJECTS = 256
SAMPLE = 32  # items of a container that are looked at
ENGINE_BYTES = 10_000  # of the objects that every orchestrator has: row, actor, generator, tasks

_ATOMS = frozenset({type(None), bool, int, float, complex})  # shared, or as good as nothing
_CODE = (type, ModuleType, FunctionType, BuiltinFunctionType, CodeType)
_LEAVES = frozenset({str, bytes, bytearray, datetime})
_SIZED = frozenset({list, tuple, set, frozenset, deque})


@lru_cache(maxsize=1024)
def _is_code(kind: type) -> bool:
    return issubclass(kind, _CODE)


@lru_cache(maxsize=1024)
def _is_engine(kind: type) -> bool:
    """Tasks and the context lead to all of the instance, and from there to what instances share."""
    return _is_code(kind) or str(kind.__module__).startswith("durable_core.")


class Weight:
    """Of one live orchestrator. History is looked at once, as it comes; the locals each time."""

    __slots__ = ("_history", "_segments")

    def __init__(self) -> None:
        self._history, self._segments = 0, 0

    def of(self, live: OrchestrationExecutor) -> int:
        """Bytes of memory that would be free without it, roughly."""
        history = live.history
        if len(history) > self._segments:
            self._history += _held_by([history[self._segments :]], set())
            self._segments = len(history)
        return ENGINE_BYTES + self._history + _of_locals(live.generator)


def _of_locals(generator: object) -> int:
    frame = getattr(generator, "gi_frame", None)
    return 0 if frame is None else _held_by([generator], set(map(id, frame.f_globals.values())), apart=_is_engine)


def _held_by(roots: Iterable[object], seen: set[int], apart: Callable[[type], bool] = _is_code) -> int:
    """Bytes of all that the roots lead to, but for ``seen`` (ids) and for types that are ``apart``."""
    queue: deque[tuple[object, float]] = deque((root, 1.0) for root in roots)
    total, looked = 0.0, 0
    while queue and looked < MOST_OBJECTS:
        held, times = queue.popleft()
        if id(held) in seen or apart(type(held)):
            continue
        seen.add(id(held))
        looked += 1
        total += times * _size_of(held)
        if type(held) in _LEAVES:
            continue
        referents, factor = _referents(held)
        queue.extend((each, times * factor) for each in referents if type(each) not in _ATOMS)
    return int(total + sum(times * _size_of(held) for held, times in islice(queue, MOST_OBJECTS)))


def _size_of(held: object) -> int:
    kind = type(held)
    # A __sizeof__ written in Python is the user's code, which may do anything.
    sizeof = object.__sizeof__ if type(kind.__sizeof__) is FunctionType else kind.__sizeof__
    return sizeof(held)


def _referents(held: object) -> tuple[Iterable[Any], float]:
    """What it refers to, or some of it; and for how many each of these stands."""
    if type(held) in _SIZED and len(sized := cast("list[Any]", held)) > SAMPLE:
        return list(islice(sized, SAMPLE)), len(sized) / SAMPLE
    if type(held) is dict and len(entries := cast("dict[Any, Any]", held)) > SAMPLE:
        return [*islice(entries, SAMPLE), *islice(entries.values(), SAMPLE)], len(entries) / SAMPLE
    return gc.get_referents(held), 1.0
