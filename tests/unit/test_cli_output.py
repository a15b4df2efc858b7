"""What the verbs print: nothing of an instance reaches the terminal as a command, and a table fits."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.cli.table import Column, lines_of
from durable_core.cli.text import cut, read_moment, relative, safe, safe_lines, span, to_json, when, width

NOW = datetime(2025, 1, 31, 12, tzinfo=UTC)
COLUMNS = (Column("ID", weight=0), Column("NAME"), Column("NOTE", weight=3))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("order-1 ü ✓ 注文", "order-1 ü ✓ 注文"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\nb\r", "a\\nb\\r"),
        ("\x9b2J", "\\x9b2J"),  # the C1 form of an escape sequence
        ("user\u202egnp.exe", "user\\u202egnp.exe"),  # turns the direction of what follows
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
    ],
)
def test_what_a_terminal_could_obey_is_shown_escaped(text: str, shown: str) -> None:
    assert safe(text) == shown


@given(st.text())
def test_a_safe_text_is_printable_in_one_line(text: str) -> None:
    assert safe(text).isprintable()
    assert safe(safe(text)) == safe(text)
    assert all(line.isprintable() for line in safe_lines(text).split("\n"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(json_values, st.sampled_from([None, 2]))
def test_json_keeps_its_value_and_holds_nothing_that_a_terminal_obeys(value: Any, indent: int | None) -> None:
    text = to_json(value, indent=indent)
    assert json.loads(text) == value
    assert text.replace("\n", "").isprintable()
    assert indent is not None or "\n" not in text


@given(
    st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60)), min_size=1), st.integers(30)
)
def test_a_table_fits_and_cuts_ids_last(rows: list[tuple[str, str, str]], room: int) -> None:
    lines = lines_of(COLUMNS, rows, room)
    longest = max(width(safe(row[0])) for row in rows)
    assert len(lines) == len(rows) + 1
    assert all(line.isprintable() for line in lines)
    if longest + 20 <= room:  # the other two columns have their least width of 8, with two gaps
        assert all(width(line) <= room for line in lines)
        for line, row in zip(lines[1:], rows, strict=True):
            assert line.startswith(safe(row[0]).rstrip())


def test_nothing_is_cut_where_there_is_no_terminal() -> None:
    assert lines_of(COLUMNS, [("i" * 200, "n" * 200, "x" * 200)], None)[1] == "  ".join(
        ["i" * 200, "n" * 200, "x" * 200]
    )


def test_a_column_without_values_is_left_out() -> None:
    assert lines_of(COLUMNS, [("a", "", "note")], 80) == ["ID  NOTE", "a   note"]


@given(st.text(), st.integers(1, 80))
def test_a_cut_text_fits(text: str, columns: int) -> None:
    assert width(cut(safe(text), columns)) <= columns


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.2, "0s"), (59, "59s"), (61, "1m"), (3600, "1h"), (3661, "1h 1m"), (90000, "1d 1h"), (86400 * 400, "400d")],
)
def test_a_length_of_time_has_at_most_two_units(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


def test_times_are_relative_or_absolute() -> None:
    assert relative(NOW - timedelta(minutes=3), NOW) == "3m ago"
    assert relative(NOW + timedelta(hours=2), NOW) == "in 2h"
    assert when("2025-01-31T11:00:00Z", NOW, utc=False) == "1h ago"
    assert when("2025-01-31T12:00:00+01:00", NOW, utc=True) == "2025-01-31T11:00:00Z"
    assert when(None, NOW, utc=True) == when("nonsense", NOW, utc=False) == ""


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("7d", NOW - timedelta(days=7)),
        ("2025-01-30", NOW - timedelta(days=1, hours=12)),
        ("2025-01-31T13:00:00+01:00", NOW),
    ],
)
def test_a_time_is_given_in_iso_or_as_how_long_ago(text: str, moment: datetime) -> None:
    assert read_moment(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "yesterday", "7x", "-7d", "999999w", "2025-13-01"])
def test_a_time_that_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        read_moment(text, NOW)
