"""When a map is over before all of its items are: the policies, and the count that decides. Pure."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

from ...errors import InvalidInputError
from ...lazy_dataclass import dataclass

ROUNDING = 1e-9  # 0.29 * 100 is a little less than 29 in floating point


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A map ends when this many items have succeeded; it fails as soon as that is no longer possible.

    Raises InvalidInputError unless ``successes`` is a whole number, at least 1.
    """

    successes: int

    def __post_init__(self) -> None:
        if type(self.successes) is not int or self.successes < 1:
            raise InvalidInputError(f"AtLeast({self.successes!r}) must have a whole number, at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tolerate:
    """A map goes on after failures, and fails as soon as more items have failed than these bounds allow.

    count: how many items may fail. share: how many of all items may fail, from 0 to 1: 0.05 is one of twenty. If both
    are given, both hold. The names and the meaning are those of ToleratedFailureCount and ToleratedFailurePercentage
    of Step Functions.
    Raises InvalidInputError without a bound, and for a bound out of its range.
    """

    count: int | None = None
    share: float | None = None

    def __post_init__(self) -> None:
        if self.count is None and self.share is None:
            raise InvalidInputError("Tolerate needs a count or a share; to go on whatever fails, write 'all_settled'")
        if self.count is not None and (type(self.count) is not int or self.count < 0):
            raise InvalidInputError(f"count={self.count!r} of Tolerate must be a whole number that is not negative")
        if self.share is not None and (type(self.share) not in (int, float) or not 0 <= self.share <= 1):
            raise InvalidInputError(f"share={self.share!r} of Tolerate must be a number from 0 to 1: 0.05 is 5 percent")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The policy of a batch, which its map has computed. enough: successes that end it. tolerated: failures that do
    not. None: there is no such bound."""

    enough: int | None
    tolerated: int | None


MapPolicy: TypeAlias = Literal["all", "all_settled"] | AtLeast | Tolerate
"""all: the first failure fails the map. all_settled: no failure does."""

Verdict: TypeAlias = Literal["goes on", "enough", "failed"]


class Tally:
    """Counts the items of a map that have ended, by its policy.

    total: the number of all items, once it is known: at once for a list, else when the iterable has ended.
    """

    __slots__ = ("_policy", "enough", "failed", "succeeded", "tolerated", "total")

    def __init__(self, policy: MapPolicy | Bounds, total: int | None) -> None:
        self._policy = policy
        self.succeeded = self.failed = 0
        self.total: int | None = None
        self.enough: int | None = None
        self.tolerated: int | None = None
        match policy:
            case Bounds():
                self.enough, self.tolerated = policy.enough, policy.tolerated
            case AtLeast():
                self.enough = policy.successes
            case Tolerate():
                self.tolerated = policy.count
            case "all":
                self.tolerated = 0
            case _:
                pass
        if total is not None:
            self.know(total)

    def know(self, total: int) -> None:
        """Note the number of all items."""
        self.total = total
        match self._policy:
            case AtLeast(successes):
                self.tolerated = total - successes
            case Tolerate(share=share, count=count) if share is not None:
                allowed = math.floor(share * total + ROUNDING)
                self.tolerated = allowed if count is None else min(count, allowed)
            case _:
                pass

    @property
    def verdict(self) -> Verdict:
        """Whether the policy has decided. The order matters: at the last item, both bounds may be reached."""
        if self.enough is not None and self.succeeded >= self.enough:
            return "enough"
        return "failed" if self.tolerated is not None and self.failed > self.tolerated else "goes on"

    @property
    def left(self) -> Bounds:
        """What a batch that begins now needs to know, so that it ends early where the map would."""
        return Bounds(
            enough=None if self.enough is None else self.enough - self.succeeded,
            tolerated=None if self.tolerated is None else self.tolerated - self.failed,
        )

    def reason(self) -> str:
        """Why the map has failed, in a sentence without its end."""
        count = f"{self.failed} items" if self.failed != 1 else "1 item"
        of = "" if self.total is None else f" of {self.total}"
        if isinstance(self._policy, Bounds):
            return "more items failed than the policy allows"
        if self.enough is not None:
            possible = 0 if self.total is None else max(self.total - self.failed, 0)
            return f"{count}{of} failed, so only {possible} can succeed, and {self.enough} must"
        return f"{count}{of} failed, and the policy tolerates {self.tolerated}"
