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
from typing import Any

from ..engine.executor import OrchestrationExecutor
from ..engine.user_frames import frame_of
from ..storage.ports import Value

MOST_OBJECTS = 256
TURNS = 16  # of an instance that is under way, between two looks
SAMPLE = 32  # items of a container that are looked at
ENGINE_BYTES = 4_500  # of the objects that every orchestrator has: row, actor, generator, tasks

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

    __slots__ = ("_history", "_latest", "_segments", "_turns")

    def __init__(self) -> None:
        self._history, self._segments, self._latest, self._turns = 0, 0, ENGINE_BYTES, 0

    def of(self, live: OrchestrationExecutor) -> int:
        """Bytes of memory that would be free without it, roughly."""
        self._turns = 0
        history = live.history
        if len(history) > self._segments:
            self._history += _held_by([history[self._segments :]], set())
            self._segments = len(history)
        self._latest = ENGINE_BYTES + self._history + sum(map(_of_locals, live.generators))
        return self._latest

    def under_way(self, live: OrchestrationExecutor, commit: Value) -> int:
        """The same after a turn that called an inline activity, so that the next turn follows soon.

        The estimate takes as long as the rest of such a turn: it is made every ``TURNS`` turns, and after a commit that
        holds much. commit: the segment as the row stores it.
        """
        self._turns += 1
        is_small = type(commit) is str and commit[:1] == "["  # neither compressed nor in rows of its own
        return self._latest if is_small and self._turns < TURNS else self.of(live)


def _of_locals(generator: object) -> int:
    frame = frame_of(generator)
    return 0 if frame is None else _held_by([generator], set(map(id, frame.f_globals.values())), apart=_is_engine)


def _held_by(roots: Iterable[object], seen: set[int], apart: Callable[[type], bool] = _is_code) -> int:
    """Bytes of all that the roots lead to, but for ``seen`` (ids) and for types that are ``apart``.

    It is one loop, as a function for each object would take longer than the rest.
    """
    queue: deque[tuple[Any, float]] = deque()
    for root in roots:
        queue.append((root, 1.0))
    total, looked = 0.0, 0
    while queue:
        held, times = queue.popleft()
        kind: Any = type(held)  # pyright: ignore[reportUnknownVariableType]
        if looked < MOST_OBJECTS:
            if id(held) in seen or apart(kind):
                continue
            seen.add(id(held))
        elif looked == 2 * MOST_OBJECTS:  # of those that are found and not looked into, the first count as they are
            break
        looked += 1
        # A __sizeof__ written in Python is the user's code, which may do anything.
        sizeof: Any = object.__sizeof__ if type(kind.__sizeof__) is FunctionType else kind.__sizeof__
        total += times * sizeof(held)
        if kind in _LEAVES or looked > MOST_OBJECTS:
            continue
        # What it refers to, or some of it; and for how many each of these stands.
        if kind in _SIZED and len(held) > SAMPLE:
            referents: Iterable[Any] = islice(held, SAMPLE)
            times *= len(held) / SAMPLE
        elif kind is dict and len(held) > SAMPLE:
            referents = [*islice(held, SAMPLE), *islice(held.values(), SAMPLE)]
            times *= len(held) / SAMPLE
        else:
            referents = gc.get_referents(held)
        for each in referents:
            if type(each) not in _ATOMS:
                queue.append((each, times))
    return int(total)
