"""Maps in a user's tests: batches run, activities are replaced in them, and what fails says so."""

from __future__ import annotations

import pytest

from durable_core.errors import OrchestrationFailedError
from durable_core.testing import TestEnvironment

from . import map_programs
from .map_programs import lengths, measured, strict


@pytest.fixture(params=[False, True], ids=["warm", "cold"])
def env(request: pytest.FixtureRequest) -> TestEnvironment:
    made = TestEnvironment(map_programs, replay_every_step=request.param)
    request.addfinalizer(made.close)
    return made


def test_a_map_of_more_items_than_a_history_holds_gives_them_in_order(env: TestEnvironment) -> None:
    texts = ["x" * (number % 7) for number in range(1_100)]
    one = env.start(lengths, texts)
    *values, failed = env.result(one)
    assert values == [len(text) for text in texts if text] and failed == -texts.count("")
    assert env.query(one, "ended") == 1_100


def test_an_activity_that_is_replaced_is_so_in_batches(env: TestEnvironment) -> None:
    def five(text: str) -> int:
        return 5

    env.replace(measured, five)
    assert env.result(env.start(strict, ["a", "b", "c"])) == [5, 5, 5]


def test_the_failure_of_an_item_of_a_batch_is_that_of_the_orchestration(env: TestEnvironment) -> None:
    with pytest.raises(OrchestrationFailedError, match="nothing to measure"):
        env.result(env.start(strict, ["a", "b", ""]))
