"""A cause that was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import IntEnum

from ...lazy_dataclass import dataclass
from ...models import JSON
from .facts import Facts

NOTHING = "Nothing to do: "
RECOVER = (
    "Run recover, which sends every message again: `durable_core recover`, or POST …/recover; look at the hosts' logs."
)


ASK_ITS_WRITER = "Ask a host of the version, and with the codec, that wrote them."
ENDS_BY_ITSELF = (
    f"{NOTHING}it ends by itself, and its message comes again if its host dies. If it takes too long, look at the "
    "hosts' logs, and give it a timeout."
)
GOES_ON = f"{NOTHING}it goes on by itself."


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


def under_way(cause: str, sentence: str, details: Mapping[str, JSON], action: str = ENDS_BY_ITSELF) -> Finding:
    """Work that ends by itself."""
    return Finding(cause=cause, sentence=sentence, action=action, details=details, rank=Rank.WORK)


def in_need(cause: str, sentence: str, details: Mapping[str, JSON], action: str = RECOVER) -> Finding:
    """It does not go on, or not as it should: somebody must do something."""
    return Finding(cause=cause, sentence=sentence, action=action, details=details, rank=Rank.NEEDS_SOMEBODY)


def patient(cause: str, sentence: str, details: Mapping[str, JSON], action: str = GOES_ON) -> Finding:
    """It only waits for its time, or for what others send."""
    return Finding(cause=cause, sentence=sentence, action=action, details=details)
