"""Counts calls of functions written in Python, resumed generators and coroutines among them.

Exact, whatever the machine does. Those of C are left out, as they differ between Python's versions.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass
class Calls:
    number: int = 0


@contextmanager
def counting(folder: str = "") -> Generator[Calls]:
    """Count the calls of this thread. ``folder``: only those of functions in it, and of compiled ``__init__``."""
    calls = Calls()

    def look(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith((folder, "<")):
            calls.number += 1

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield calls
    finally:
        sys.setprofile(before)
