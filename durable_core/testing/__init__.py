"""Tools for tests: an environment for a user's own, replay of histories, faults, a world in virtual time, Azurite."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..replay.replayer import History, load_history, replay
    from .activity_environment import ActivityEnvironment
    from .activity_mocks import ActivityRun
    from .crash_test import CrashFinding, CrashReport
    from .environment import TestEnvironment

__all__ = [
    "ActivityEnvironment",
    "ActivityRun",
    "CrashFinding",
    "CrashReport",
    "History",
    "TestEnvironment",
    "load_history",
    "replay",
]

_LAZY = {
    "ActivityEnvironment": ".activity_environment",
    "ActivityRun": ".activity_mocks",
    "CrashFinding": ".crash_test",
    "CrashReport": ".crash_test",
    "History": "..replay.replayer",
    "TestEnvironment": ".environment",
    "load_history": "..replay.replayer",
    "replay": "..replay.replayer",
}


def __getattr__(name: str) -> Any:  # a program that only replays a history loads no store
    if name in _LAZY:
        return getattr(import_module(_LAZY[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
