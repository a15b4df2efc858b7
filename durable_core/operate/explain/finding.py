"""A cause that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

from ...models import JSON
from .facts import Facts

NOTHING = "Nothing to do: "
RECOVER = (
    "Run recover, which sends every message again: `durable_core recover`, or POST …/recover; look at the hosts' logs."
)


class Rank(IntEnum):
    """Of several causes the first is told in full."""

    NEEDS_SOMEBODY = 0
    WORK = 1
    PATIENCE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One cause. below: the sub-orchestration to which it leads, whose own cause is then looked for."""

    cause: str
    sentence: str
    action: str
    details: Mapping[str, JSON] = field(default_factory=dict[str, JSON])
    rank: Rank = Rank.PATIENCE
    below: Facts | None = None
