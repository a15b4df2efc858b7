"""Conditions that orchestrator code waits for (``ctx.wait_condition``): predicates over its own variables.

They are looked at when they are made and after every event that was applied, in the order in which they were made,
until none of them changes: so a cold generator finds the same ones true at the same events as a warm one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable

from ..errors import OrchestratorCodeError
from ..guard import Watch
from ..user_code import raise_unless_failure
from .tasks import ConditionTask, Task, fail, has_ended, is_wanted, settle
from .user_frames import caller


class Conditions:
    """Those of one generation. ``open``: what waits, in the order in which it was made."""

    __slots__ = ("_made", "_watch", "open")

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.open: list[ConditionTask] = []
        self._made = 0

    def wait(self, owner: object, predicate: Callable[[], object], *, is_running: bool) -> ConditionTask:
        """A task that ends with True when the predicate holds, and has ended already where it does.

        is_running: False while the caller's generator is being dropped: nobody looks at it then.
        """
        if not callable(predicate) or inspect.iscoroutinefunction(predicate) or inspect.isgeneratorfunction(predicate):
            raise OrchestratorCodeError(
                "a condition is a plain function without parameters that looks at variables of the orchestrator, "
                f"such as lambda: approved, not {predicate!r}",
                caller(),
            )
        self._made += 1
        task = ConditionTask(owner, predicate, self._claim if is_running else None, self._made, caller())
        if is_running:
            self._claim(task)
        return task

    def check(self, run_on: Callable[[Task[bool]], None]) -> None:
        """Look at all; ``run_on`` lets the code see each that has come true, and may change what others see."""
        while (task := self._next()) is not None:
            run_on(task)

    def _next(self) -> ConditionTask | None:
        for task in tuple(self.open):
            if has_ended(task) or not is_wanted(task):
                self.open.remove(task)  # it is back when somebody waits for it again
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
        except BaseException as error:  # noqa: BLE001  the code's own error is raised where it waits
            raise_unless_failure(error)
            fail(task, error)
            return True
        if holds:
            settle(task, True)
        return holds
