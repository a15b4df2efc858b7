"""Where the result lines of scale lie: a folder of its own for each part, so that one can be measured anew alone."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ..results import ENGINE, Line, read

Part = Literal["growth", "idle", "hosts"]


def folder_of(results: Path, part: Part) -> Path:
    return results / "scale" / part


def lines_of(results: Path, part: Part) -> list[Line]:
    """Ours, in the order in which they were measured. ValueError names a line that is none."""
    folder = folder_of(results, part)
    return [line for line in read(folder) if line["engine"] == ENGINE] if folder.exists() else []
