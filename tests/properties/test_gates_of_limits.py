"""A gate grants no more than its limit permits, forgets nobody, takes turns between groups, and ends empty."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.entities import HeldState
from durable_core.errors import InvalidInputError
from durable_core.hub.entities.operations import Asker, Operation, OperationKind
from durable_core.limits import ACQUIRE, RELEASE, TICK, Limit
from durable_core.runtime.entities.gate import PASSED_OVER, Gate

START = datetime(2030, 1, 1, tzinfo=UTC)


class Keeper:
    """A gate as batches move it, with its own clock: each step reads the state, applies, grants and stores."""

    def __init__(self, limit: Limit) -> None:
        self.limit, self.state, self.now = limit, HeldState(), START
        self.granted: list[tuple[str, datetime]] = []
        self.inside: set[str] = set()
        self.look: datetime | None = None
        self.asked = 0

    def ask(self, group: str = "", priority: int = 0) -> str:
        self.asked += 1
        slot = f"e.0.{self.asked}"
        self._batch(ACQUIRE, self.limit.request(slot, group, priority), Asker("i", "e", 0, self.asked))
        return slot

    def give_back(self, slot: str) -> None:
        self.inside.discard(slot)
        self._batch(RELEASE, slot, None)

    def wait(self, seconds: float) -> None:
        """Time passes; what the gate has sent to itself comes when it is due."""
        until = self.now + timedelta(seconds=seconds)
        while self.look is not None and self.look <= until:
            self.now, self.look = max(self.now, self.look), None
            self._batch(TICK, None, None)
        self.now = until

    def _batch(self, name: str, data: Any, asker: Asker | None) -> None:
        gate = Gate.of(self.state)
        kind = OperationKind.SIGNAL if asker is None else OperationKind.CALL
        gate.apply(Operation(kind=kind, name=name, input=data, asker=asker), self.now)
        for place in gate.grant(self.now):
            assert place.slot not in dict(self.granted), "granted once"
            self.granted.append((place.slot, self.now))
            self.inside.add(place.slot)
        look = gate.next_look(self.now)
        if look is not None:
            self.look = look if self.look is None else min(look, self.look)
        gate.keep(self.state)


def _limit(concurrency: int | None, rate: int | None, each: int, per: float) -> Limit:
    return Limit(name="l", concurrency=concurrency, rate=rate, each=each, per=timedelta(seconds=per))


limits = st.builds(
    _limit,
    st.none() | st.integers(1, 4),
    st.none() | st.integers(1, 4),
    st.just(5) | st.integers(1, 2),
    st.sampled_from([0.5, 1.0, 7.0]),
)
moves = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), st.sampled_from("abc"), st.integers(-2, 2)),
        st.tuples(st.just("give"), st.integers(0, 50), st.just(0)),
        st.tuples(st.just("wait"), st.floats(0, 3), st.just(0)),
    ),
    max_size=60,
)


@given(limits, moves)
def test_a_gate_keeps_its_limit_and_forgets_nobody(limit: Limit, made: list[tuple[str, Any, int]]) -> None:
    keeper, groups = Keeper(limit), dict[str, str]()
    slots: list[str] = []
    given_back: set[str] = set()
    for what, which, priority in made:
        if what == "ask":
            slots.append(keeper.ask(which, priority))
            groups[slots[-1]] = which
        elif what == "give" and slots:
            slot = slots[int(which) % len(slots)]  # one that holds, that waits, or that is over
            given_back.add(slot)
            keeper.give_back(slot)
        elif what == "wait":
            keeper.wait(which)
        held = Counter(groups[slot] for slot in keeper.inside)
        assert limit.concurrency is None or len(keeper.inside) <= limit.concurrency
        assert limit.each is None or max(held.values(), default=0) <= limit.each
    for _ in range(200):  # whoever holds gives back: then all are granted, and nothing is left
        for slot in list(keeper.inside):
            keeper.give_back(slot)
        keeper.wait(limit.per.total_seconds())
    assert {slot for slot, _ in keeper.granted} | given_back == set(slots)
    assert not keeper.state.exists, keeper.state.value
    if limit.rate is not None:
        times = [at for _, at in keeper.granted]
        for first, last in zip(times, times[limit.rate :], strict=False):
            assert last - first >= limit.per - timedelta(milliseconds=1)


def test_groups_take_turns_and_in_a_group_the_highest_priority_goes_first() -> None:
    keeper = Keeper(Limit(name="l", concurrency=1))
    first = keeper.ask("big")
    big = [keeper.ask("big", priority) for priority in (0, 0, 5)]
    small = [keeper.ask("small") for _ in range(2)]
    order: list[str] = []
    for _ in range(6):
        [inside] = keeper.inside
        order.append(inside)
        keeper.give_back(inside)
    assert order == [first, small[0], big[2], small[1], big[0], big[1]]


@given(
    st.integers(1, 3),
    st.lists(st.tuples(st.sampled_from("ab"), st.integers(-5, 10**9)), min_size=1, max_size=30),
    st.integers(0, 40),
)
def test_a_steady_stream_of_high_priorities_keeps_nobody_waiting_for_ever(
    concurrency: int, asked: list[tuple[str, int]], more: int
) -> None:
    """Each time that somebody gives back, another one asks with the highest priority. Who has n others of its group
    before it is served within four grants of the group for each of them and itself."""
    keeper = Keeper(Limit(name="l", concurrency=concurrency))
    groups: dict[str, str] = {}
    before: dict[str, int] = {}
    for group, priority in asked:
        waiting = [slot for slot, name in groups.items() if name == group and slot not in dict(keeper.granted)]
        slot = keeper.ask(group, priority)
        groups[slot], before[slot] = group, len(waiting)
    first = len(keeper.granted)
    mine = list(groups)
    while not set(mine) <= set(dict(keeper.granted)):
        inside = sorted(keeper.inside)[0]
        for group in "ab":
            groups[keeper.ask(group, 10**9)] = group
        keeper.give_back(inside)
        assert len(keeper.granted) < 10 * 4 * (len(asked) + 1), "somebody starves"
    for slot in mine:
        so_far = [each for each, _ in keeper.granted[first:] if groups[each] == groups[slot]]
        if slot in so_far:
            assert so_far.index(slot) < (PASSED_OVER + 1) * (before[slot] + 1)


def test_of_four_grants_of_a_group_one_is_for_who_waits_longest() -> None:
    keeper = Keeper(Limit(name="l", concurrency=1))
    inside = keeper.ask()
    low = [keeper.ask(priority=0) for _ in range(2)]
    high = [keeper.ask(priority=9) for _ in range(8)]
    for _ in range(10):
        keeper.give_back(inside)
        inside = keeper.granted[-1][0]
    assert [slot for slot, _ in keeper.granted[1:]] == [*high[:3], low[0], *high[3:6], low[1], *high[6:]]


def test_a_gate_of_an_earlier_version_is_read() -> None:
    keeper = Keeper(Limit(name="l", concurrency=1))
    held = keeper.ask()
    waits = keeper.ask()
    assert "passed" not in keeper.state.value
    assert Gate.of(keeper.state).passed == {}
    keeper.give_back(held)
    assert keeper.inside == {waits}


def test_a_group_that_has_all_it_may_lets_the_others_pass() -> None:
    keeper = Keeper(Limit(name="l", concurrency=3, each=2))
    big = [keeper.ask("big") for _ in range(4)]
    small = keeper.ask("small")
    assert keeper.inside == {*big[:2], small}


def test_the_last_request_says_what_the_limit_is() -> None:
    keeper = Keeper(Limit(name="l", concurrency=1))
    asked = [keeper.ask() for _ in range(3)]
    keeper.limit = Limit(name="l", concurrency=3)
    asked.append(keeper.ask())
    assert keeper.inside == set(asked[:3])


def test_what_is_no_operation_of_a_gate_changes_nothing() -> None:
    keeper = Keeper(Limit(name="l", concurrency=1))
    slot = keeper.ask()
    before = keeper.state.value
    for name, data in (("acquire", {"slot": "x"}), ("acquire", None), ("release", 5), ("reset", None), ("", "")):
        gate = Gate.of(keeper.state)
        gate.apply(Operation(kind=OperationKind.SIGNAL, name=name, input=data), START)
        assert gate.to_json() == before
    assert keeper.inside == {slot}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"concurrency": 0},
        {"concurrency": True},
        {"concurrency": 1.5},
        {"rate": -1},
        {"rate": 1001},
        {"rate": 1, "per": timedelta(0)},
        {"rate": 1, "per": 5},
        {"each": 0},
        {"concurrency": 1, "key": "tenant"},
        {"concurrency": 1, "name": ""},
        {"concurrency": 1, "name": "a/b"},
        {"concurrency": 1, "name": None},
    ],
)
def test_a_limit_that_cannot_be_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        Limit(**cast("Any", {"name": "l", **wrong}))


@pytest.mark.parametrize("key", ["", "acme", "a/b", "ü" * 300, "\ud800", "x" * 5000, "a\nb", "@"])
def test_every_key_has_a_gate_of_its_own(key: str) -> None:
    limit = Limit(name="l", concurrency=1)
    gate = limit.gate_of(key)
    assert gate == limit.gate_of(key)
    assert key in ("",) or gate != limit.gate_of("")
    assert gate != limit.gate_of(key + "x")
