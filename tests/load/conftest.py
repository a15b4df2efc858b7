"""The load tests' Azurite, when they ask for one."""

from __future__ import annotations

from tests.support.azurite import azurite

__all__ = ["azurite"]
