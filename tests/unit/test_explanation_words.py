"""Words of explanations: times in both forms, and texts of users that stay inert."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta

import pytest

from durable_core.operate.explain import words

NOW = datetime(2026, 1, 31, 14, 3, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("later", "shown"),
    [
        (timedelta(minutes=3), "at 14:06 UTC (in 3 min)"),
        (timedelta(seconds=45), "at 14:04:15 UTC (in 45 s)"),
        (timedelta(0), "at 14:03:30 UTC (now)"),
        (timedelta(minutes=-12), "at 13:51 UTC (12 min ago)"),
        (timedelta(hours=20), "at 2026-02-01 10:03 UTC (in 20 h)"),
        (timedelta(days=1500), "at 2030-03-11 14:03 UTC (in 1,500 days)"),
    ],
)
def test_a_time_is_told_in_both_forms(later: timedelta, shown: str) -> None:
    assert words.at(NOW + later, NOW) == shown


@pytest.mark.parametrize(
    "hostile", ["a\x1b[2Jb", "a\nb", "a\u202eb", "a\u2028b", "a\x00b", "\ud800", "<b>&amp;</b>", "x" * 10_000, "é" * 99]
)
def test_a_text_of_a_user_is_one_bounded_line_of_printable_characters(hostile: str) -> None:
    shown = words.plain(hostile)
    assert shown.isprintable()
    assert len(shown) <= words.TEXT_CHARS + 1
    shown.encode()


def test_a_cut_text_says_so() -> None:
    assert words.plain("x" * 10_000).endswith("…")
    assert words.plain("x" * 300) == "x" * 300
    assert words.name("y" * 101) == f"'{'y' * 100}…'"


@pytest.mark.parametrize("instance_id", ["o-1", "a b", "';--", "$(reboot)", "-x", "a`b`"])
def test_a_command_is_quoted_for_a_shell(instance_id: str) -> None:
    command = words.command("resume", instance_id)
    parts = shlex.split(command.removeprefix("`").removesuffix("`"))
    assert parts == ["durable_core", "resume", *(["--"] if instance_id.startswith("-") else []), instance_id]


def test_lists_are_short() -> None:
    assert words.listed(["a", "b"]) == "a, b"
    assert words.listed([str(number) for number in range(2000)], 3) == "0, 1, 2 and 1,997 more"
