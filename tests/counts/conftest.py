"""An Azurite for what is counted at its door."""

from __future__ import annotations

from tests.support.azurite import azurite

__all__ = ["azurite"]
