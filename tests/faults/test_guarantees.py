"""docs/guarantees.md names tests that are there, and every fault that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from durable_core.testing.faults import Fault

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


def test_it_names_some() -> None:
    assert len(NAMED) > 10


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_test_that_shows_a_promise_is_there(path: str, name: str) -> None:
    assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text("utf-8"), re.MULTILINE)


def test_every_fault_is_described() -> None:
    assert [fault for fault in Fault if f"`{fault}`" not in PAGE] == []
