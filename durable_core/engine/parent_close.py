"""What becomes of open sub-orchestrations when the generation that called them ends: the option ``parent_close``.

The requests are decisions of the turn that ends the generation, in one commit with its end: a host that dies right
after that commit has not lost them, and no other host sends them a second time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from ..errors import OrchestratorCodeError
from .events import RequestSent, SubOrchestrationCreated
from .user_frames import caller

if TYPE_CHECKING:
    from .state import ExecutionState

ParentClose: TypeAlias = Literal["abandon", "cancel", "terminate"]

REASON = "its parent has ended"


def check_parent_close(given: object) -> None:
    """OrchestratorCodeError, with the line of the call, for a policy that there is not."""
    if given not in get_args(ParentClose):
        known = ", ".join(repr(each) for each in get_args(ParentClose))
        raise OrchestratorCodeError(
            f"parent_close={given!r:.200} of a sub-orchestration must be one of {known}", caller()
        )


def policy_of(call: SubOrchestrationCreated) -> str | None:
    """The request that the child of this call gets when its parent ends; None for none."""
    policy = None if call.options is None else call.option("parent_close")
    return policy if policy in ("cancel", "terminate") else None


def children_asked(decisions: ExecutionState) -> set[tuple[int, str]]:
    """The calls whose children this commit asks to end so far, each with the request."""
    return {(event.child, event.kind) for event in decisions.made if type(event) is RequestSent}


def ask_child_to_end(decisions: ExecutionState, task_id: int) -> None:
    """Record a request to cancel the child of this call, of a map that is over; nothing if it has ended."""
    if decisions.is_running and task_id in decisions.pending:
        decisions.record(RequestSent(task_id, "cancel", "the map that has called it was over"))


def close_children(decisions: ExecutionState) -> None:
    """Record the requests to the open children of a generation that ends (rule R33)."""
    told: set[tuple[int, str]] | None = None
    for task_id, pending in decisions.pending.items():
        if type(pending.event) is not SubOrchestrationCreated or (kind := policy_of(pending.event)) is None:
            continue
        if told is None:  # what the cause of the end has sent already: a termination also does what a cancellation does
            told = children_asked(decisions)
        if not told & {(task_id, kind), (task_id, "terminate")}:
            decisions.record(RequestSent(task_id, kind, REASON))
