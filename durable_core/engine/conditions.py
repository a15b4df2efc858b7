"""Conditions for which orchestrator code waits (``ctx.wait_condition``): predicates over its own variables.

Conditions are checked when they are made and after every applied event, in the order in which they were made, until
none of them changes. So they become true at the same events in a cold generator as in a warm one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import datetime

from ..errors import OrchestratorCodeError
from ..guard import Watch
from ..user_code import raise_unless_failure
from .tasks import ConditionTask, Task, fail, has_ended, is_wanted, settle
from .user_frames import caller


class Conditions:
    """The conditions of one generation. ``open``: those that are not true yet, in the order in which they were made."""

    __slots__ = ("_made", "_watch", "open")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.open: list[ConditionTask] = []
        self._made = 0

    def wait(
        self, owner: object, predicate: Callable[[], object], *, is_running: bool, since: datetime | None = None
    ) -> ConditionTask:
        """A task that ends with True when the predicate is true; it has ended already if the predicate is true now.

        is_running: False while the generator is being closed; the condition is not checked then.
        since: the time of the call.
        """
        if not callable(predicate) or inspect.iscoroutinefunction(predicate) or inspect.isgeneratorfunction(predicate):
            raise OrchestratorCodeError(
                "a condition is a plain function without parameters that reads variables of the orchestrator, "
                f"such as lambda: approved, not {predicate!r}",
                caller(),
            )
        self._made += 1
        task = ConditionTask(owner, predicate, self._claim if is_running else None, self._made, caller(), since)
        if is_running:
            self._claim(task)
        return task

    def check(self, run_on: Callable[[Task[bool]], None]) -> None:
        """Check all conditions. ``run_on`` is called for each that is true, and may change variables of the others."""
        while (task := self._next()) is not None:
            run_on(task)

    def _next(self) -> ConditionTask | None:
        for task in tuple(self.open):
            if has_ended(task) or not is_wanted(task):
                self.open.remove(task)  # it is added again when the code waits for it again
            elif self._ended(task):
                self.open.remove(task)
                return task
        return None

    def _claim(self, task: ConditionTask) -> None:
        if not self._ended(task) and task not in self.open:
            self.open.append(task)
            self.open.sort(key=lambda other: other.order)

    def _ended(self, task: ConditionTask) -> bool:
        try:
            holds = bool(self._watch(task.predicate))
        except BaseException as error:  # noqa: BLE001  any error of the code is raised where it waits
            raise_unless_failure(error)
            fail(task, error)
            return True
        if holds:
            settle(task, True)
        return holds
