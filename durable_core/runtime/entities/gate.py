"""The gate of a limit: who holds its slots, who waits for one, and who is next. Pure: the time is always given.

A gate is an entity of the framework, so its operations are applied one after another, each once, and those of one
orchestration in their order. A request is answered when it is granted, by whatever batch grants it. The gate does
nothing while all wait: what gives a slot back grants the next, and a signal to itself comes when the rate permits one.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, cast

from ...entities import HeldState
from ...hub.entities.operations import Answer, Asker, Operation
from ...lazy_dataclass import dataclass
from ...limits import ACQUIRE, RELEASE, TICK
from ...models import JSON
from ...moments import from_epoch

PASSED_OVER = 3
"""So many grants of a group may go past the one that waits longest in it; the next is for that one."""


@dataclass(slots=True)
class Place:
    """A request. since: when it came, or (of a holder) when the slot was granted, in seconds since 1970."""

    slot: str
    asker: Asker
    group: str
    priority: int
    number: int
    since: float

    def to_json(self) -> JSON:
        return [self.slot, list(self.asker), self.group, self.priority, self.number, self.since]

    @classmethod
    def from_json(cls, data: JSON) -> Place:
        slot, asker, *rest = data
        return cls(slot, Asker(*asker), *rest)


@dataclass(slots=True)
class Gate:
    """limit: as the last request has given it. grants: when slots were granted in the last period, in seconds since
    1970. turns: for each group that holds or waits, the number of its last grant. passed: for each group that waits,
    how many grants in a row have gone past the one that waits longest. count: of requests and grants. tick: when the
    gate is to look again; 0 for not."""

    limit: dict[str, Any] = field(default_factory=dict[str, Any])
    holders: list[Place] = field(default_factory=list[Place])
    waiting: list[Place] = field(default_factory=list[Place])
    grants: list[float] = field(default_factory=list[float])
    turns: dict[str, int] = field(default_factory=dict[str, int])
    passed: dict[str, int] = field(default_factory=dict[str, int])
    count: int = 0
    tick: float = 0.0

    @classmethod
    def of(cls, state: HeldState) -> Gate:
        """The gate that this state holds; a new one if there is none."""
        data: Any = state.value
        if not state.exists:
            return cls()
        return cls(
            limit=dict(data["limit"]),
            holders=[Place.from_json(each) for each in data["holders"]],
            waiting=[Place.from_json(each) for each in data["waiting"]],
            grants=list(data["grants"]),
            turns=dict(data["turns"]),
            passed=dict(data.get("passed", {})),  # an earlier version has none
            count=data["count"],
            tick=data["tick"],
        )

    def keep(self, state: HeldState) -> None:
        """Store the gate; a gate that nobody uses, and that remembers nothing, is no more."""
        is_idle = not (self.holders or self.waiting or self.grants or self.tick)
        state.exists, state.live = not is_idle, None
        state.value = None if is_idle else self.to_json()

    def to_json(self) -> JSON:
        return {
            "limit": self.limit,
            "holders": [each.to_json() for each in self.holders],
            "waiting": [each.to_json() for each in self.waiting],
            "grants": self.grants,
            "turns": self.turns,
            "count": self.count,
            "tick": self.tick,
            **({"passed": self.passed} if self.passed else {}),
        }

    def apply(self, operation: Operation, now: datetime) -> None:
        """One operation. What is none of a gate's is ignored: everybody who may signal entities may send it."""
        data: Any = operation.input
        name = operation.name
        if name == ACQUIRE and operation.asker is not None and isinstance(data, dict):
            self._request(cast("dict[str, Any]", data), operation.asker, now)
        elif name == RELEASE and isinstance(data, str):
            self.holders = [each for each in self.holders if each.slot != data]
            self.waiting = [each for each in self.waiting if each.slot != data]
        elif name == TICK:
            self.tick = 0.0

    def _request(self, data: dict[str, Any], asker: Asker, now: datetime) -> None:
        self.limit = {name: data[name] for name in ("concurrency", "rate", "per", "each") if name in data}
        self.count += 1
        group, priority = str(data.get("group", "")), int(data.get("priority", 0))
        self.waiting.append(Place(str(data["slot"]), asker, group, priority, self.count, now.timestamp()))

    def grant(self, now: datetime) -> list[Place]:
        """Grant what may be granted now, in turn: the groups one after another, in each the highest priority first and
        then who came first; but after some grants in a row past the one that waits longest, that one."""
        at, per = now.timestamp(), float(self.limit.get("per", 0.0))
        self.grants = [each for each in self.grants if each > at - per] if "rate" in self.limit else []
        granted: list[Place] = []
        lines = self._lines()
        held = Counter(each.group for each in self.holders)
        each, most, rate = (self.limit.get(name) for name in ("each", "concurrency", "rate"))
        while lines and (most is None or len(self.holders) < most) and (rate is None or len(self.grants) < rate):
            open_ones = [group for group in lines if each is None or held[group] < each]
            if not open_ones:
                break
            group = min(open_ones, key=lambda name: (self.turns.get(name, 0), self._next_of(lines, name).number))
            place = self._next_of(lines, group)
            is_past = place is not lines[group].oldest
            lines[group].take(place)
            if lines[group].is_empty:
                del lines[group]
            if is_past:
                self.passed[group] = self.passed.get(group, 0) + 1
            else:
                self.passed.pop(group, None)
            self.count += 1
            self.turns[group] = self.count
            held[group] += 1
            place.since = at
            self.holders.append(place)
            granted.append(place)
            if rate is not None:
                self.grants.append(at)
        if granted:
            names = {place.slot for place in granted}
            self.waiting = [place for place in self.waiting if place.slot not in names]
        known = {place.group for place in (*self.holders, *self.waiting)}
        self.turns = {group: turn for group, turn in self.turns.items() if group in known}
        if self.passed:
            waiting = {place.group for place in self.waiting}
            self.passed = {group: times for group, times in self.passed.items() if group in waiting}
        return granted

    def _lines(self) -> dict[str, _Line]:
        """Who waits, by group."""
        lines: dict[str, list[Place]] = {}
        for place in self.waiting:
            lines.setdefault(place.group, []).append(place)
        return {group: _Line(places) for group, places in lines.items()}

    def _next_of(self, lines: dict[str, _Line], group: str) -> Place:
        line = lines[group]
        return line.oldest if self.passed.get(group, 0) >= PASSED_OVER else line.first

    def next_look(self, now: datetime) -> datetime | None:
        """When the gate has to look again without being told, if it is not to already: when the rate permits the next
        grant, or when the last grant need no longer be remembered. None: not."""
        if not self.grants:
            return None
        is_last = bool(self.waiting)
        per = timedelta(seconds=float(self.limit["per"]))
        due = from_epoch(self.grants[0] if is_last else self.grants[-1]) + per
        due = max(due, now + timedelta(milliseconds=1))
        if self.tick and self.tick <= due.timestamp():
            return None
        self.tick = due.timestamp()
        return due


class _Line:
    """Who waits of one group; not empty when it is made. first: the highest priority, of equal ones who came first."""

    __slots__ = ("_by_age", "_by_priority", "_taken")

    def __init__(self, places: Sequence[Place]) -> None:
        self._by_priority = sorted(places, key=lambda place: (place.priority, -place.number))  # the next is the last
        self._by_age = deque(sorted(places, key=lambda place: place.number))
        self._taken: set[int] = set()

    @property
    def is_empty(self) -> bool:
        return not self._by_age

    @property
    def first(self) -> Place:
        return self._by_priority[-1]

    @property
    def oldest(self) -> Place:
        return self._by_age[0]

    def take(self, place: Place) -> None:
        self._taken.add(place.number)
        while self._by_age and self._by_age[0].number in self._taken:
            self._by_age.popleft()
        while self._by_priority and self._by_priority[-1].number in self._taken:
            self._by_priority.pop()


def grants_of(gate: Gate, execution_id: str) -> list[Answer]:
    """The answers to this execution for the slots that it holds, which it may have lost (rule N33): a request is
    answered by a later batch than that which has applied it, so its answer is not kept with the cursor."""
    return [Answer(place.asker) for place in gate.holders if place.asker.execution_id == execution_id]
