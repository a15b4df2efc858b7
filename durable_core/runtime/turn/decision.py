"""The decisions of a commit, as the dispatcher takes them, and an instance as the catalogue shows it. Plain data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from datetime import datetime
from typing import NamedTuple

from ...engine.events import ContinueAsNew, ExecutionCompleted, Outgoing, PatchMarked, TimerCanceled
from ...hub.catalog import Entry, Summary
from ...hub.instance_row import Instance, RetryState
from ...hub.messages import ControlMessage
from ...lazy_dataclass import dataclass
from ...models import FailureDetails

CARRIED_OUT_BY_NOBODY = frozenset({ContinueAsNew, ExecutionCompleted, PatchMarked, TimerCanceled})
"""Decisions that the commit itself carries out: nothing is sent for them."""


class Decision(NamedTuple):
    """An outgoing event and the time of the commit that holds it.

    call: for a request to a sub-orchestration, the decision that called it.
    seq: the number of that commit, for decisions for entities. previous: of one that an earlier generation has made,
    see ``Carried``; None: that of this generation, see ``EntityCalled.after``.
    """

    event: Outgoing
    decided: datetime
    call: Decision | None = None
    seq: int = -1
    previous: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """The decisions to carry out for an instance.

    retries: states of tasks whose next attempt is to be sent. again: tasks that may have been sent before. after: see
    ``ControlMessage.after``; None for a first dispatch.
    undone: tasks that are done again after a rewind, each with the number of that rewind.
    is_lone: whether the only one is a call of an activity that is all that a short instance waits for.
    generation: the one that the decisions belong to. first: the number of its first commit; None: that of the
        instance's present generation.
    """

    decisions: Sequence[Decision]
    retries: Mapping[int, RetryState]
    generation: int
    after: int | None = None
    first: int | None = None
    is_lone: bool = False
    undone: Mapping[int, int] = field(default_factory=lambda: {})


def entry_of(instance: Instance, failure: FailureDetails | None = None) -> Entry:
    """The instance as the catalogue shows it. ``failure``: why it failed."""
    return Entry(
        instance_id=instance.instance_id,
        execution_id=instance.execution_id,
        name=instance.name,
        version=instance.version,
        status=instance.status,
        created=instance.created,
        updated=instance.updated,
        stuck=instance.stuck,
        tags=dict(instance.tags),
        start_at=instance.start_at,
        rewinds=instance.rewinds,
        failure=None if failure is None else Summary.of(failure),
        operations=instance.operations,
        is_retrying=instance.retrying > 0,
    )


def bare_wake_up(instance: Instance) -> ControlMessage:
    """A control message without content: the instance is to read its inbox."""
    return ControlMessage(
        instance_id=instance.instance_id, execution_id=instance.execution_id, rewinds=instance.rewinds
    )
