"""Simulations that strike everything, or run many seeds, take longer than a test may otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest

from .exhaustive import IS_SOAK

HOURS = 4


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items if IS_SOAK else ():
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(HOURS * 3600), append=False)
