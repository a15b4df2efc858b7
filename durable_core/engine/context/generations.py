"""The next generation, and changes of the code inside a version."""

from __future__ import annotations

from ...errors import OrchestratorCodeError
from ..call_options import check_version
from ..events import ContinueAsNew
from ..user_frames import caller
from ..values import write
from .base import ContextBase


class Generations(ContextBase):
    """``continue_as_new`` and patches."""

    __slots__ = ()

    # ------------------------------------------------------------ the next generation

    def continue_as_new(
        self, input_: object = None, keep_events: bool = True, *, version: str | None = None, upgrade: bool = False
    ) -> None:
        """When the orchestrator returns, start its next generation, with this input and an empty history.

        keep_events: whether the next generation receives the external events that this one has not received.
        version: the version of the next generation; None keeps the version. If no host has it, the instance is stuck
            until a host has it.
        upgrade: take the version that a new start takes, on the host that commits this turn: Temporal's upgrade on
            continue-as-new.
        Raises SerializationError if the input cannot be written as JSON, OrchestratorCodeError for a version that is
        not valid, or for a version together with upgrade.
        """
        check_version(version)
        if version is not None and upgrade:
            raise OrchestratorCodeError("continue_as_new takes version= or upgrade=True, not both", caller())
        data = write(self._converter, input_, "the new input")
        self._decisions.continue_as_new(ContinueAsNew(data, keep_events, version, upgrade, caller()))

    @property
    def will_continue_as_new(self) -> bool:
        """Whether ``continue_as_new`` was called."""
        return self._decisions.continuation is not None

    # ------------------------------------------------------------ changes inside a version

    def patched(self, patch_id: str) -> bool:
        """Whether to take a change: ``if ctx.patched("send-receipt"): ... (new) else: ... (old)``. As in Temporal.

        False for an instance that passed this place before the change; True, and recorded in the history, for an
        instance that reaches it now. The result of the first call with an id holds until ``continue_as_new``. Use a new
        id for each change. Raises OrchestratorCodeError outside of the orchestrator's own code.
        """
        return self._decisions.patch(patch_id)

    def deprecate_patch(self, patch_id: str) -> None:
        """The second stage of a patch, once no open instance needs the old code: put this in the place of ``patched``.

        Only the new code remains. Instances that start from now on can be replayed by code with ``patched``, with
        ``deprecate_patch``, or with neither. Once all instances that started earlier have ended, remove this call, too.
        """
        self._decisions.patch(patch_id, deprecated=True)
