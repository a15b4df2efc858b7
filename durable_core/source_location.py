"""Makes the ``file:line`` that errors and history show, and tells the project's own files from those of libraries."""

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
    """``folder/file.py:12``: short, because history stores it with every call, and without the machine's own paths."""
    return "/".join(filename.replace("\\", "/").rsplit("/", 2)[-2:]) + f":{line}"


def short(location: str) -> str:
    """A ``file:line`` as history stores it: ``folder/file.py:12``."""
    return "/".join(location.replace("\\", "/").rsplit("/", 2)[-2:])


@lru_cache(maxsize=4096)
def is_library(filename: str) -> bool:
    """Whether this file belongs to Python, to an installed package or to durable_core, and not to the project."""
    if filename.startswith("<"):  # "<string>" is the file name of code from dataclasses or exec()
        return filename.startswith(("<frozen", "<built-in"))
    path = os.path.abspath(filename)
    parts = path.replace("\\", "/").split("/")
    return path.startswith((_PACKAGE, *_LIBRARIES)) or "site-packages" in parts or "dist-packages" in parts


def raised_at(trace: TracebackType | None) -> str:
    """``file:line`` of the innermost frame of a traceback that is in the project's own code; '' if there is none."""
    found = ""
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if not filename.startswith("<") and not is_library(filename):
            found = place(filename, trace.tb_lineno)
        trace = trace.tb_next
    return found
