"""Instances whose code hangs: how they are marked, so that no host runs into the same code again.

The mark is the reason for which the instance is stuck, with the build of the code that hung. Another thread writes it
while the code still hangs. A host that finds the mark does not run the instance, unless the host has another build.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from ..errors import CodeHangsError
from ..hang_watch import Code
from ..hub.instance_row import Instance
from ..hub.messages import REDISPATCH_ALL
from ..hub.stuck_reasons import HANGS
from .turn.delivery import Delivery

Remember = Callable[[str, str], None]
"""Shows the instance of this id as stuck for this reason; called in a thread that is not the event loop's."""


class Hangs:
    """``build``: of the code here. ``remember``: None where nothing outlives the process."""

    def __init__(self, build: str, remember: Remember | None = None) -> None:
        self._mark = f"{HANGS}{build} hangs: "
        self._remember = remember

    def code_of(self, instance: Instance) -> Code:
        """The orchestrator of an instance, as the hang watch names it."""
        what = f"orchestrator '{instance.name}' (instance '{instance.instance_id}')"
        return Code(what, None if self._remember is None else partial(self._write_down, instance.instance_id))

    def reason(self, error: Exception) -> str:
        """The reason for which the instance is stuck. For a CodeHangsError it is the mark."""
        if not isinstance(error, CodeHangsError):
            return str(error)
        return f"{self._mark}{error}. It is tried again when the code has changed, or when recover is run on demand"

    def must_be_left_alone(self, instance: Instance, batch: Iterable[Delivery]) -> bool:
        """Whether the code of this host has hung in this instance, and recovery was not run on demand since."""
        if not instance.stuck.startswith(self._mark):
            return False
        return not any(delivery.message.after == REDISPATCH_ALL for delivery in batch)

    def _write_down(self, instance_id: str, error: CodeHangsError) -> None:
        if self._remember is not None:
            self._remember(instance_id, self.reason(error))
