"""Where an embedded store may lie."""

from __future__ import annotations

from pathlib import Path

from ..errors import UnusableStoreError


def refuse_folder(path: Path) -> None:
    """UnusableStoreError for a folder in the place of a store's file."""
    if path.is_dir():
        raise UnusableStoreError(f"the store {path} is a folder; name a file, such as {path / 'durable.db'}")
