"""The data classes of the linter: findings, and the intermediate results for one function body."""

from __future__ import annotations

from pathlib import Path

from ..lazy_dataclass import dataclass
from .scopes import Function
from .sources import SourceFile


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place that breaks a rule.

    line, column: from 1.
    orchestrator: the registered name of the orchestrator that runs this code; '' if none does.
    through: the functions that are called between the orchestrator and this place; empty for its own body.
    expression: the forbidden expression; replacement: what to write instead, in a few words.
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
        """The message, with the functions through which the orchestrator calls this code."""
        if not self.through:
            return self.message
        way = " and ".join(f"'{name}'" for name in self.through)
        return f"{self.message} (called from orchestrator '{self.orchestrator}' through {way})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A finding within one body, before the calling orchestrator is known. through: further functions, if any."""

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
    """A function of the project that a body calls or passes on.

    waits: whether it runs as a part of the orchestrator's generator, so that its ``yield`` waits for tasks.
    read_only: whether it is a query handler or a condition, which must change nothing.
    """

    function: Function
    name: str
    waits: bool = False
    read_only: bool = False
