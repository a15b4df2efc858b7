"""What the linter finds, and what a look at one function's body hands to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .scopes import Function
from .sources import SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place that breaks a rule.

    line, column: from 1.
    orchestrator: whose code it is, as registered; '' where it is no orchestrator's.
    through: the functions that lead from the orchestrator to this place; none where it is in the orchestrator itself.
    expression: what is written there; replacement: what to write, in a few words.
    """

    path: Path
    line: int
    column: int
    code: str
    message: str
    orchestrator: str = ""
    through: tuple[str, ...] = ()
    expression: str = ""
    replacement: str = ""
    is_hint: bool = False

    @property
    def text(self) -> str:
        """The message, and how the place is reached."""
        if not self.through:
            return self.message
        way = " and ".join(f"'{name}'" for name in self.through)
        return f"{self.message} (called from orchestrator '{self.orchestrator}' through {way})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A finding within one body, before it is known how the body is reached. through: more of the way, if any."""

    file: SourceFile
    line: int
    column: int
    code: str
    message: str
    expression: str = ""
    replacement: str = ""
    through: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """A function of the project that a body calls or hands on.

    waits: it runs as a part of the orchestrator's generator, so its ``yield`` waits for tasks.
    only_looks: it answers a query or a condition.
    """

    function: Function
    name: str
    waits: bool = False
    only_looks: bool = False
