"""Tasks for an adapter: a task whose result is read, and whose error is replaced, by functions of the adapter.

With these, code that was written for another framework receives the values and exceptions of that framework.
"""

# pyright: reportPrivateUsage=false
# A friend of Task and of the context, as the functions of ``tasks`` are.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..user_code import raise_unless_failure
from .context import OrchestrationContext
from .tasks import Combination, Task, fail, look, outcome
from .user_frames import on_behalf_of

Read = Callable[[Any], Any]
Translate = Callable[[BaseException], BaseException]


class AdaptedTask(Combination[Any]):
    """Ends as another task does, with the value of ``read(result)``, or with the error ``translate(error)``."""

    __slots__ = ("_read", "_translate")

    def __init__(self, task: Task[Any], read: Read, translate: Translate) -> None:
        self._read, self._translate = read, translate
        super().__init__(task._owner, (task,), "an adapter")
        if task._done:
            self.child_ended(task)

    def child_ended(self, child: Task[Any]) -> None:
        if self._done:
            return
        value, error = outcome(child)
        if error is not None:
            self._decide(None, self._translate(error))
            return
        try:
            value = self._read(value)
        except BaseException as raised:  # noqa: BLE001  a converter of the user's own, which may raise any exception
            raise_unless_failure(raised)
            self._decide(None, raised)
        else:
            self._decide(value)


def call_now(ctx: OrchestrationContext, call: Callable[[], Task[Any]], line: str) -> Task[Any]:
    """The task that ``call`` returns, called on behalf of the code at ``line``; a failed task if ``call`` raises."""
    token = on_behalf_of.set(line)
    try:
        return call()
    except BaseException as error:  # noqa: BLE001  it is raised where the code waits for the task
        raise_unless_failure(error)
        failed: Task[Any] = Task(ctx._decisions)
        fail(failed, error)
        return failed
    finally:
        on_behalf_of.reset(token)


def has_ended_by_now(task: Task[Any]) -> bool:
    """Whether a task has ended. A wait for an event takes an event that was kept, as if the code waited for it."""
    look(task, task._owner)
    return task._done
