"""What ``explain`` may ask of the app's code, where that is at hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...engine.events import Segment
from ...hub.instance_row import Instance
from ...models import RetryPolicy, Wait
from ...registry import ActivityDefinition


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


class CodeHere(Protocol):
    """The code of an app."""

    @property
    def build(self) -> str:
        """The build of the code."""
        ...

    def activity(self, name: str) -> ActivityDefinition | None:
        """The activity of this name; None if this app does not have it."""
        ...

    def has(self, instance: Instance) -> bool:
        """Whether this app has the orchestrator of the instance, in its version."""
        ...

    async def replay(self, instance: Instance, segments: Sequence[Segment]) -> Replayed | None:
        """What a replay shows; None if the code cannot be run: it hangs, or needs a codec."""
        ...
