"""What the processes that share an embedded store tell each other: short texts on a topic."""

from __future__ import annotations

from collections.abc import Callable

from ..storage.ports import Storage


class Topic:
    """One topic of one process, which hears of it from the first ``listen`` until ``close``.

    storage: by which the processes tell each other; None: there are no others.
    """

    __slots__ = ("_has_asked", "_name", "_storage", "_unhear")

    def __init__(self, storage: Storage | None, name: str) -> None:
        self._storage, self._name = storage, name
        self._unhear: Callable[[], None] | None = None
        self._has_asked = False

    @property
    def is_heard(self) -> bool:
        """Whether what other processes tell comes to this one."""
        return self._unhear is not None

    def listen(self, heard: Callable[[str], None]) -> bool:
        """Call ``heard`` with each text that another process tells from now on, if the store can do that. False if it
        is so already, or is impossible."""
        if self._has_asked or self._storage is None:
            return False
        self._has_asked = True
        self._unhear = self._storage.hear(self._name, heard)
        return self.is_heard

    def tell(self, text: str) -> None:
        """Tell the other processes."""
        if self._storage is not None:
            self._storage.tell(self._name, text)

    def close(self) -> None:
        """Hear no more."""
        if self._unhear is not None:
            self._unhear()
            self._unhear = None
