"""Tools for tests: an environment for a user's own, replay of histories, faults, a world in virtual time, Azurite."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .crashes import CrashFinding, CrashReport
    from .environment import TestEnvironment
    from .replaying import History, load_history, replay
    from .substitutes import ActivityRun

__all__ = ["ActivityRun", "CrashFinding", "CrashReport", "History", "TestEnvironment", "load_history", "replay"]

_LAZY = {
    "ActivityRun": "substitutes",
    "CrashFinding": "crashes",
    "CrashReport": "crashes",
    "History": "replaying",
    "TestEnvironment": "environment",
    "load_history": "replaying",
    "replay": "replaying",
}


def __getattr__(name: str) -> Any:  # whoever only replays a history loads no store
    if name in _LAZY:
        return getattr(import_module(f".{_LAZY[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
