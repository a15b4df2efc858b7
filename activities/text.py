"""Counting words in real text files. Reading only, so running twice is harmless."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from durable_core import activity

TEXT_SUFFIXES = frozenset({".txt", ".md", ".rst", ".text", ".csv", ".log", ".py"})
_WORD = re.compile(r"\w+")


class FolderNotFoundError(Exception):
    """The folder to read is not there, or is a file."""


@activity
def list_text_files(folder: str) -> list[str]:
    """Paths of the text files in a folder and all below it, sorted. FolderNotFoundError."""
    root = Path(folder)
    if not root.is_dir():
        raise FolderNotFoundError(f"there is no folder '{folder}' (looked from {Path.cwd()})")
    found = (p for p in root.rglob("*") if p.suffix.lower() in TEXT_SUFFIXES and p.is_file())
    return sorted(p.as_posix() for p in found)


@activity
def count_words(files: list[str]) -> dict[str, int]:
    """How often each word, in lower case, occurs in these files. A word is a run of letters, digits and ``_``."""
    counts: Counter[str] = Counter()
    for file in files:
        counts.update(_WORD.findall(Path(file).read_text(encoding="utf-8", errors="replace").lower()))
    return dict(counts)
