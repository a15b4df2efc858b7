"""Where in whose code: ``file:line`` as errors and history show it, and which files are the project's own.

Knows file names and nothing else.
"""

from __future__ import annotations

import os
import sysconfig
from functools import lru_cache
from types import TracebackType

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARIES = tuple(
    os.path.abspath(path) + os.sep
    for path in {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    if path
)


@lru_cache(maxsize=4096)
def place(filename: str, line: int) -> str:
    """``folder/file.py:12``: short, as it goes into history with every call, and free of the machine's own paths."""
    return "/".join(filename.replace("\\", "/").rsplit("/", 2)[-2:]) + f":{line}"


@lru_cache(maxsize=4096)
def is_library(filename: str) -> bool:
    """Whether this is Python's own code, an installed package's, or durable_core's: not the project's."""
    if filename.startswith("<"):  # "<string>" is what dataclasses, or an exec of the project's, are made of
        return filename.startswith(("<frozen", "<built-in"))
    path = os.path.abspath(filename)
    parts = path.replace("\\", "/").split("/")
    return path.startswith((_PACKAGE, *_LIBRARIES)) or "site-packages" in parts or "dist-packages" in parts


def raised_at(trace: TracebackType | None) -> str:
    """The innermost line of the project's own that a traceback goes through; '' if there is none."""
    found = ""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not filename.startswith("<") and not is_library(filename):
            found = place(filename, trace.tb_lineno)
        trace = trace.tb_next
    return found
