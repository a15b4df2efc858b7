"""The dict that an instance has in the place of each of its own that is still empty, as most of them stay: it saves a
kilobyte of each instance in memory.

Whoever adds an entry makes a dict first: ``self.timers = self.timers or {}``. To forget that is a TypeError, so that no
instance ever sees the entries of another.
"""

from __future__ import annotations

from typing import Any, NoReturn


class _NoEntries(dict[Any, Any]):
    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("this dict is shared by all instances: make one of your own")

    __setitem__ = setdefault = update = __ior__ = _refuse  # pyright: ignore[reportAssignmentType]


NO_ENTRIES: dict[Any, Any] = _NoEntries()
