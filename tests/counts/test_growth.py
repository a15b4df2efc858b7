"""Cost grows in proportion to size, of chains, fan-outs and instances: operations, bytes and Python calls, counted."""

from __future__ import annotations

import pytest

from benchmarks.scale.growth import GROWTHS, Cost, Growth, Point, curve, exponent, measure, per_unit

MOST: dict[Cost, float] = {"operations": 1.05, "written": 1.05, "calls": 1.1}
STEEPER = 1.15  # what the last unit of size may cost, of what the first did: no curve turns upwards late


@pytest.fixture(scope="module", autouse=True)
def nothing_is_done_for_the_first_time() -> None:
    measure(GROWTHS[0], 2)


@pytest.mark.parametrize("growth", GROWTHS, ids=lambda growth: growth.name)
def test_cost_grows_no_faster_than_size(growth: Growth) -> None:
    points = [measure(growth, size) for size in growth.fewer]
    for cost, most in MOST.items():
        values = curve(points, cost)
        assert len({value for _, value in values}) > 1, "nothing was counted that depends on the size"
        assert exponent(values) <= most, f"{cost}: {values}"
        if cost != "written":  # how well a text packs jumps with its length, and says nothing between two sizes
            first, last = per_unit(points, cost)
            assert last <= STEEPER * first, f"{cost}, one more at first: {first:.1f}, at last: {last:.1f}"


def test_the_same_run_counts_the_same() -> None:
    growth = GROWTHS[-1]
    first, second = measure(growth, 20), measure(growth, 20)
    assert (first.operations, first.written) == (second.operations, second.written)
    assert second.calls == pytest.approx(first.calls, rel=0.01)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize("power", [0.5, 1.0, 1.05, 2.0])
def test_an_exponent_is_found_as_it_is(power: float) -> None:
    assert exponent([(size, 3 * size**power) for size in (10, 30, 100)]) == pytest.approx(power)  # pyright: ignore[reportUnknownMemberType]


def test_what_is_quadratic_only_at_the_end_is_not_taken_for_linear() -> None:
    points = [Point(size=n, operations=n + n * n // 200, written=1, calls=1) for n in (50, 100, 200, 400)]
    first, last = per_unit(points, "operations")
    assert last > STEEPER * first


@pytest.mark.parametrize("values", [[], [(10, 5)], [(10, 5), (10, 6)], [(10, 5), (20, 0)]])
def test_no_line_is_drawn_through_less_than_two_sizes(values: list[tuple[float, float]]) -> None:
    with pytest.raises(ValueError, match="two sizes"):
        exponent(values)
