"""The commits that this process knows to be dispatched, also of instances that do not stay warm.

Only the next commit of an instance can store this; until then only this process knows it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterable

from ...hub.instance_row import Instance
from .redispatch import Known

EXECUTIONS_KEPT = 10_000
SINGLES_KEPT = 256  # commits of one execution: two windows of 128 calls


class DispatchedCommits:
    """Dispatched commits by execution. If an execution is dropped from it, its commits are dispatched again at
    worst."""

    def __init__(self) -> None:
        self._up_to: OrderedDict[tuple[str, str], int] = OrderedDict()  # oldest first
        self._singles: OrderedDict[tuple[str, str], set[int]] = OrderedDict()

    def of(self, instance: Instance) -> Known:
        key = (instance.instance_id, instance.execution_id)
        up_to = max(instance.dispatched, self._up_to.get(key, -1))
        return Known(up_to, self._singles.get(key, ()))

    def up_to(self, instance: Instance) -> int:
        """The commit up to which all are dispatched; -1: this process knows of none."""
        return self._up_to.get((instance.instance_id, instance.execution_id), -1)

    def note(self, instance: Instance, up_to: int, commits: Iterable[int], under_way: Collection[int]) -> None:
        """Record that all commits up to that one are dispatched, and these, except those with inline work
        ``under_way``."""
        key = (instance.instance_id, instance.execution_id)
        up_to = max(up_to, self._up_to.pop(key, -1))
        self._up_to[key] = up_to
        if len(self._up_to) > EXECUTIONS_KEPT:
            self._up_to.popitem(last=False)
        singles = set(commits).difference(under_way)
        if not singles and key not in self._singles:
            return
        singles = {seq for seq in (*singles, *self._singles.pop(key, ())) if seq > up_to}
        if len(singles) > SINGLES_KEPT:
            singles = set(sorted(singles)[-SINGLES_KEPT // 2 :])
        if singles:
            self._singles[key] = singles
            if len(self._singles) > EXECUTIONS_KEPT:
                self._singles.popitem(last=False)
