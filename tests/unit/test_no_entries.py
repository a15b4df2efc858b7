"""The dict that all instances share while theirs would be empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from durable_core.engine.no_entries import NO_ENTRIES


def _set(entries: dict[Any, Any]) -> None:
    entries["a"] = 1


def _merge(entries: dict[Any, Any]) -> None:
    entries |= {"a": 1}


def _update(entries: dict[Any, Any]) -> None:
    entries.update(a=1)


def _default(entries: dict[Any, Any]) -> None:
    entries.setdefault("a", 1)


@pytest.mark.parametrize("write", [_set, _merge, _update, _default])
def test_nobody_writes_into_what_all_share(write: Callable[[dict[Any, Any]], None]) -> None:
    with pytest.raises(TypeError, match="shared by all instances"):
        write(NO_ENTRIES)
    assert not NO_ENTRIES


def test_it_can_be_read_and_emptied_like_another() -> None:
    assert NO_ENTRIES.get("a") is None
    assert NO_ENTRIES.pop("a", None) is None
    NO_ENTRIES.clear()
    assert list(NO_ENTRIES) == []
