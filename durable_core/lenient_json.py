"""JSON as the Functions host reads it, and as people write it: with comments and trailing commas. Knows no file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from .lazy_dataclass import dataclass

_STRING = r'"(?:[^"\\]|\\.)*"'
_COMMENTS = re.compile(rf"{_STRING}|//[^\n]*|/\*.*?\*/", re.DOTALL)
_COMMAS = re.compile(rf"{_STRING}|,(?=\s*[}}\]])", re.DOTALL)
_VISIBLE = re.compile(r"[^\n]")


@dataclass(frozen=True, slots=True)
class LenientDocument:
    """value: what the first document of the text holds. remarks: what was ignored, for the person who wrote it."""

    value: Any
    remarks: Sequence[str] = ()


def parse_lenient(text: str) -> LenientDocument:
    """Parse JSON with comments (``//``, ``/* */``) and trailing commas, as the Functions host does.

    After the document, closing brackets or whole further documents are ignored with a remark: a sample of Microsoft
    ends so, and its host refuses that. ValueError, with the line, for any other text.
    """
    strict = as_strict(text)
    try:
        start = _next_visible(strict, 0)
        value, end = json.JSONDecoder().raw_decode(strict, start)
        ignored = _next_visible(strict, end)
        while (at := _next_visible(strict, end)) < len(strict):
            end = at + 1 if strict[at] in "}]" else json.JSONDecoder().raw_decode(strict, at)[1]
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if ignored == len(strict):
        return LenientDocument(value)
    line = text.count("\n", 0, ignored) + 1
    return LenientDocument(
        value,
        (f"line {line}: what follows the end of the document is ignored here; Azure's host refuses such a file",),
    )


def as_strict(text: str) -> str:
    """The text with spaces in place of comments and trailing commas: every other character keeps its place."""
    without_comments = _COMMENTS.sub(_blank_unless_string, text)
    return _COMMAS.sub(_blank_unless_string, without_comments)


def _blank_unless_string(match: re.Match[str]) -> str:
    found = match[0]
    return found if found[0] == '"' else _VISIBLE.sub(" ", found)


def _next_visible(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at
