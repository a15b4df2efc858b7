"""Reading text: which files count, and what a word is."""

from __future__ import annotations

from pathlib import Path

import pytest

from activities.text import FolderNotFoundError, count_words, list_text_files


def test_text_files_are_listed_in_order_with_those_below(tmp_path: Path) -> None:
    for name in ("b.md", "a.txt", "below/c.TXT", "picture.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("x")
    assert [Path(f).name for f in list_text_files(str(tmp_path))] == ["a.txt", "b.md", "c.TXT"]


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_a_folder_that_is_none_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "here.txt"
    if kind == "file":
        path.write_text("x")
    with pytest.raises(FolderNotFoundError, match="here"):
        list_text_files(str(path))


def test_words_count_without_regard_to_case_or_punctuation(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("The dog, the DOG! Über-dog\n", encoding="utf-8")
    assert count_words([str(path)]) == {"the": 2, "dog": 3, "über": 1}


def test_bytes_that_are_no_utf8_do_not_stop_the_count(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"fine \xff\xfe fine")
    assert count_words([str(path)]) == {"fine": 2}
