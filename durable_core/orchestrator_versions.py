"""Checks and orders the versions of orchestrators, which are texts."""

from __future__ import annotations

import re
from collections.abc import Iterable

UNDECIDED = "*"
"""Version of an instance that has not begun and was created by a host without its orchestrator: the first host that has
the orchestrator decides the version, which the instance then keeps. No orchestrator can have this version."""

_VERSION = re.compile(r"[\w.+\-]{0,64}")
_PARTS = re.compile(r"\d+|[^\d.\-]+")


def problem_of_version(version: object) -> str | None:
    """What is wrong with a version; None if it is valid."""
    if not isinstance(version, str):
        return f"is a text: version='{version}'"
    if not _VERSION.fullmatch(version):
        return "has at most 64 letters, digits and . _ + -"
    return None


def newest(versions: Iterable[str]) -> str:
    """The highest of these versions, of which there must be at least one. Numbers in them are compared as numbers: '10'
    is newer than '9', '1.2' than '1', 'v10' than 'v9'. No version at all ('') is the oldest."""
    return max(versions, key=_order)


def in_order(versions: Iterable[str]) -> list[str]:
    """These versions, oldest first."""
    return sorted(versions, key=_order)


def _order(version: str) -> tuple[tuple[int, int, str], ...]:
    return tuple((1, int(part), "") if part.isdecimal() else (0, 0, part) for part in _PARTS.findall(version))
