"""What is promised of a user's test of the ``order`` flow: short, quick, and no waiting."""

from __future__ import annotations

import inspect
import time
from datetime import timedelta

import pytest

from docs.examples.testing import test_order as example
from durable_core.testing import TestEnvironment
from durable_core.testing.virtual_time import VirtualTimeLoop


def test_a_users_test_of_the_order_flow_has_at_most_15_lines() -> None:
    source = inspect.getsource(example.test_a_parcel_that_never_arrives_is_paid_back)
    assert len([line for line in source.splitlines() if line.strip()]) <= 15


def test_two_weeks_pass_without_waiting(durable: TestEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    jumps: list[float] = []
    run_to = VirtualTimeLoop.run_to

    def noted(loop: VirtualTimeLoop, moment: float) -> float | None:
        if moment > loop.time():
            jumps.append(moment)
        return run_to(loop, moment)

    monkeypatch.setattr(VirtualTimeLoop, "run_to", noted)
    began, real = durable.now, time.perf_counter()
    example.test_a_parcel_that_never_arrives_is_paid_back(durable)
    passed, took = durable.now - began, time.perf_counter() - real
    assert passed == timedelta(days=15)
    assert passed.total_seconds() / took > 1e5
    assert 0 < len(jumps) < 20  # and it did not look for news every minute of them
