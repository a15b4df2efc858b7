"""What ``--version`` prints: this package, Python, SQLite, and the SDKs that are installed."""

from __future__ import annotations

import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from ..product_version import VERSION

SHOWN = (
    "azure-functions",
    "azure-data-tables",
    "azure-storage-queue",
    "azure-identity",
    "aiohttp",
    "pydantic",
    "click",
)
"""The packages whose versions matter in a report of a fault."""


def versions() -> str:
    """One line for each: name and version. The first is ``durable_core 1.2.3``, as scripts read it."""
    import sqlite3

    lines = [
        f"durable_core {VERSION}",
        f"Python {platform.python_version()} ({platform.python_implementation()}, {sys.platform} {platform.machine()})",
        f"SQLite {sqlite3.sqlite_version}",
    ]
    for name in SHOWN:
        try:
            lines.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            lines.append(f"{name} is not installed")
    return "\n".join(lines)
