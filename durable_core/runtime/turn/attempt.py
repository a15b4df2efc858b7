"""What one turn has learned so far. It is kept while the turn is tried again."""

from __future__ import annotations

from ...lazy_dataclass import dataclass
from ..observer import Committed
from .delivery import Delivery
from .inline_activity import InlineStep


@dataclass(slots=True)
class Attempt:
    """A turn that is under way.

    batch: the deliveries that it deals with.
    conflicts: how often a commit met another host's.
    moved: how often the history was rolled between two reads of it.
    outage: whether the last commit got no answer because storage was unavailable.
    redispatch_after: commits of this host later than this one were found, and their dispatch may not have begun.
    unconfirmed_commit: sequence number and id of a commit of which it is unknown whether it was written.
    untold: what the observer is to be told if that commit was written.
    step: the inline activity that this turn called, to be run after it.
    terminate_pending: a termination waits for a host that can read which sub-orchestrations must be notified.
    """

    batch: list[Delivery]
    conflicts: int = 0
    moved: int = 0
    outage: bool = False
    redispatch_after: int | None = None
    unconfirmed_commit: tuple[int, str] | None = None
    untold: Committed | None = None
    step: InlineStep | None = None
    terminate_pending: bool = False
