"""What a retry policy says, without any runtime."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import pytest

from durable_core import FailureDetails, RetryOptions, RetryPolicy
from durable_core.runtime.turn.retries import may_retry

BUSY = FailureDetails("OSError", "busy", bases=())
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"first_interval": -SECOND}, "intervals"),
        ({"max_interval": -SECOND}, "intervals"),
        ({"backoff": 0.5}, "backoff"),
        ({"backoff": float("nan")}, "backoff"),
        ({"backoff": float("inf")}, "backoff"),
        ({"jitter": 1.5}, "jitter"),
        ({"total_timeout": -SECOND}, "total_timeout"),
        ({"non_retriable": ValueError}, "non_retriable"),
        ({"non_retriable": "ValueError"}, "non_retriable"),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RetryPolicy(**wrong)


def test_waits_grow_up_to_the_ceiling() -> None:
    policy = RetryPolicy(first_interval=SECOND, backoff=3, max_interval=10 * SECOND)
    assert [policy.delay_after(n) for n in (1, 2, 3, 4, 10_000)] == [n * SECOND for n in (1, 3, 9, 10, 10)]
    assert RetryPolicy(first_interval=100 * SECOND, max_interval=10 * SECOND).delay_after(1) == 10 * SECOND


def test_jitter_shortens_and_never_lengthens() -> None:
    policy = RetryPolicy(first_interval=10 * SECOND, jitter=0.5)
    assert policy.delay_after(1, 0.0) == 10 * SECOND
    assert policy.delay_after(1, 1.0) == 5 * SECOND


def test_types_and_names_end_it_also_as_the_cause_of_another() -> None:
    policy = RetryPolicy(non_retriable=[OSError, "app.CardRefused"])
    assert not policy.allows(BUSY, 1)
    assert not policy.allows(FailureDetails("ValueError", "x", cause=FailureDetails("app.CardRefused", "no")), 1)
    assert not policy.allows(FailureDetails("FileNotFoundError", "x", bases=("OSError",)), 1)
    assert policy.allows(FailureDetails("ValueError", "x"), 2)
    assert not policy.allows(FailureDetails("ValueError", "x"), 3)
    assert not policy.allows(FailureDetails("ValueError", "x", retriable=False), 1)


def test_a_predicate_has_the_last_word() -> None:
    policy = RetryPolicy(retry_if=lambda failure: failure.message == "busy")
    assert policy.allows(BUSY, 1)
    assert not policy.allows(FailureDetails("OSError", "gone"), 1)


def test_a_predicate_that_raises_says_no_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def broken(failure: FailureDetails) -> bool:
        raise LookupError("bug")

    with caplog.at_level(logging.ERROR, "durable_core.runtime"):
        assert not may_retry(RetryPolicy(retry_if=broken), BUSY, 1, "charge")
    assert "retry_if of 'charge' raised on OSError: not tried again" in caplog.text


def test_the_spelling_of_durable_functions_is_a_fixed_interval() -> None:
    policy = RetryOptions(first_retry_interval_in_milliseconds=1500, max_number_of_attempts=4)
    assert [policy.delay_after(n) for n in (1, 2, 3)] == [timedelta(seconds=1.5)] * 3
    assert RetryOptions(3_600_000, 2).delay_after(1) == timedelta(hours=1)
    assert policy.allows(BUSY, 3)
    assert not policy.allows(BUSY, 4)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"first_interval": 5}, r"first_interval must be a datetime.timedelta such as timedelta\(seconds=5\), not 5"),
        ({"max_interval": None}, "max_interval must be a datetime.timedelta"),
        ({"total_timeout": 5}, "total_timeout must be a datetime.timedelta"),
        ({"max_attempts": 2.5}, "max_attempts must be a whole number, not 2.5"),
        ({"max_attempts": True}, "max_attempts must be a whole number, not True"),
        ({"backoff": "2"}, "backoff must be a number, not '2'"),
        ({"jitter": "x"}, "jitter must be a number, not 'x'"),
        ({"retry_if": 5}, "retry_if must be a function that takes a FailureDetails, not 5"),
    ],
)
def test_values_of_another_kind_are_named(given: Any, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        RetryPolicy(**given)
