"""What ``explain`` may ask of the app's code, where that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol

from ...definitions import ActivityDefinition
from ...engine.events import Segment
from ...hub.instance_row import Instance
from ...lazy_dataclass import dataclass
from ...models import RetryPolicy, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What a replay of the history shows.

    problem: why code and history do not fit, in one line; '' if they fit; the rest is then known.
    problem_at: the ``file:line`` of the difference in the code, or in the history.
    waits, waits_at: what the code waits for, and the line of the ``yield``.
    kept_events: names of the external events that came and that the code has not received, oldest first.
    can_change: whether a call, an awaited event or a handler can still change the code's variables.
    retries: the retry policy given at a call, by task id.
    """

    problem: str = ""
    problem_at: str = ""
    waits: tuple[Wait, ...] = ()
    waits_at: str = ""
    kept_events: tuple[str, ...] = ()
    can_change: bool = True
    retries: dict[int, RetryPolicy]


@dataclass(frozen=True, slots=True)
class StepInHand:
    """A step of a journaled activity that this process runs.

    name: as messages name it. failed: how many tries have failed so far; error: the last of them, '' if there is none.
    """

    name: str
    line: str
    failed: int
    error: str


@dataclass(frozen=True, slots=True)
class CallInHand:
    """A call that this process has taken. started: when its attempt began; None: it waits for a slot. steps: those that
    run, of a journaled activity."""

    started: datetime | None
    steps: tuple[StepInHand, ...] = ()


class SlotUse(NamedTuple):
    """How many calls of an activity with limits run in this process, and how many wait for a slot."""

    taken: int
    waiting: int


class CodeHere(Protocol):
    """The code of an app, and what its process is doing."""

    @property
    def host(self) -> str:
        """The id of this process."""
        ...

    @property
    def build(self) -> str:
        """The build of the code."""
        ...

    def activity(self, name: str) -> ActivityDefinition | None:
        """The activity of this name; None if this app does not have it."""
        ...

    def in_hand(self, instance: Instance, task_id: int) -> CallInHand | None:
        """What this process does with the call of an activity; None if it has none of it."""
        ...

    def slots(self, activity: str) -> SlotUse | None:
        """How the slots of an activity with limits are used in this process; None if it has not been called here."""
        ...

    def has(self, instance: Instance) -> bool:
        """Whether this app has the orchestrator of the instance, in its version."""
        ...

    async def replay(self, instance: Instance, segments: Sequence[Segment]) -> Replayed | None:
        """What a replay shows; None if the code cannot be run: it hangs, or needs a codec."""
        ...
