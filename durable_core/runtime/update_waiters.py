"""Senders of updates that wait for their answers; the turn of this process that answers an update notifies them.

On the embedded store the other processes are told of the answer, too, and their senders look at the row.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..engine.updates import UpdateAnswer
from ..hub.instance_row import Instance
from ..hub.keys import update_key
from ..storage.ports import Storage
from .topic import Topic
from .watches import Watch, Watches


class UpdateWaiters:
    """One per process; part of ``Completions``. ``topic``: what other processes of the hub tell of answers under."""

    def __init__(self, storage: Storage | None = None, topic: str = "answered") -> None:
        self._topic = Topic(storage, topic)
        self._waiters: Watches[tuple[str, str], UpdateAnswer] = Watches()

    @property
    def waiting(self) -> int:
        """The number of updates for which senders wait."""
        return len(self._waiters)

    def waiter(self, instance_id: str, key: str) -> Watch[UpdateAnswer]:
        """A waiter for the update of this row; pass it to ``done`` afterwards."""
        self._topic.listen(self._heard)
        return self._waiters.add((instance_id, key))

    def done(self, instance_id: str, key: str, waiter: Watch[UpdateAnswer]) -> None:
        self._waiters.drop((instance_id, key), waiter)

    def told(self, instance: Instance, answers: Sequence[UpdateAnswer]) -> None:
        """A commit with these answers is durable."""
        for answer in answers:
            key = update_key(instance.execution_id, answer.update_id)
            for waiter in self._waiters.of((instance.instance_id, key)):
                waiter.tell(answer)
            self._topic.tell(f"{instance.instance_id}/{key}")

    def close(self) -> None:
        """Hear no more."""
        self._topic.close()

    def _heard(self, text: str) -> None:
        instance_id, _, key = text.rpartition("/")  # neither may contain a slash
        for waiter in self._waiters.of((instance_id, key)):
            waiter.hint()
