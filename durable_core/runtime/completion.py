"""Callers that wait for the end of an instance; the turn of this process that ends the instance notifies them.

A waiter receives the instance as its last commit left it, and need not read its row. On the embedded store the other
processes are told of the end, too, and their waiters look at the row. Also remembers the executions that
this process has started and whose end it has not seen: a caller that waits for one of them need not read its row
first.
"""

from __future__ import annotations

from collections import OrderedDict

from ..hub.instance_row import Instance
from ..storage.ports import Storage
from .topic import Topic
from .update_waiters import UpdateWaiters
from .watches import Watch, Watches

FIRST_POLL = 0.1  # seconds until a caller that waits looks at the store by itself; the pause doubles up to the longest
LONGEST_POLL = 2.0
POLLS_PER_SECOND = 100  # of all callers of this process together that wait for ends, and of those that wait for answers
REMEMBERED = 10_000  # starts; for an older one, a waiter reads the row once


class Completions:
    """One per process; every app of it may share one. ``hub``: its name; other processes of it tell of their ends.
    updates: those who wait for the answers of updates."""

    def __init__(self, storage: Storage | None = None, hub: str = "") -> None:
        self.updates = UpdateWaiters(storage, f"answered/{hub}")
        self._topic = Topic(storage, f"ended/{hub}")
        self._watches: Watches[str, Instance] = Watches()
        self._open: OrderedDict[tuple[str, str], None] = OrderedDict()  # (instance, execution), oldest first

    def started(self, instance_id: str, execution_id: str) -> None:
        """Remember a new execution that this process has started."""
        self._open[instance_id, execution_id] = None
        if len(self._open) > REMEMBERED:
            self._open.popitem(last=False)

    def is_open(self, instance_id: str, execution_id: str) -> bool:
        """Whether this process has started the execution, and has not seen it end."""
        return (instance_id, execution_id) in self._open

    @property
    def hears(self) -> bool:
        """Whether ends in other processes are told to this one. A waiter polls seldom then."""
        return self._topic.is_heard

    def listen(self) -> bool:
        """Hear of ends in other processes from now on, if the store can tell them. False if that is so already, or is
        impossible."""
        return self._topic.listen(self._heard)

    @property
    def waiting(self) -> int:
        """The number of instances that callers wait for."""
        return len(self._watches)

    def watch(self, instance_id: str) -> Watch[Instance]:
        """A watch that is notified when an app of this process ends the instance; pass it to ``unwatch`` afterwards."""
        return self._watches.add(instance_id)

    def unwatch(self, instance_id: str, watch: Watch[Instance]) -> None:
        self._watches.drop(instance_id, watch)

    def ended(self, instance: Instance) -> None:
        """Notify the waiters. ``instance``: as its last commit left it; the commit is durable and dispatched."""
        self._open.pop((instance.instance_id, instance.execution_id), None)
        for watch in self._watches.of(instance.instance_id):
            watch.tell(instance)
        self._topic.tell(instance.instance_id)

    def close(self) -> None:
        """Hear no more."""
        self.updates.close()
        self._topic.close()

    def _heard(self, instance_id: str) -> None:
        for watch in self._watches.of(instance_id):
            watch.hint()
