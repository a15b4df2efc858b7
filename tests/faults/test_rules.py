"""The rules of docs/architecture.md: each with the interleaving that it was found by, and broken without it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from . import (
    plays_of_entities,
    plays_of_journals,
    plays_of_limits,
    plays_of_lives,
    plays_of_rewinds,
    plays_of_starts,
    plays_of_streams,
    plays_of_turns,
    plays_of_updates,
)
from .plays import Play, play_registry
from .stage import on_stage

PLAYS = [
    *plays_of_turns.PLAYS,
    *plays_of_lives.PLAYS,
    *plays_of_rewinds.PLAYS,
    *plays_of_updates.PLAYS,
    *plays_of_entities.PLAYS,
    *plays_of_streams.PLAYS,
    *plays_of_limits.PLAYS,
    *plays_of_journals.PLAYS,
    *plays_of_starts.PLAYS,
]
ARCHITECTURE = Path(__file__).parents[2] / "docs" / "architecture.md"


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.title)
def test_with_the_rules_this_interleaving_ends_well(play: Play) -> None:
    on_stage(play.registry or play_registry, play.perform, turns_at_work=play.turns_at_work)


@pytest.mark.parametrize("play", PLAYS, ids=lambda play: play.title)
def test_without_its_rule_this_interleaving_breaks(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    play.without(monkeypatch)
    with pytest.raises(AssertionError, match=play.breaks):
        on_stage(play.registry or play_registry, play.perform, turns_at_work=play.turns_at_work)


def test_every_rule_of_the_architecture_has_a_play() -> None:
    written = set(re.findall(r"\*\*(R\d+)\*\*", ARCHITECTURE.read_text()))
    assert written == {f"R{number}" for number in range(1, len(written) + 1)}, "the numbers have a gap"
    assert {play.rule for play in PLAYS if play.rule.startswith("R")} == written
    of_entities = set(re.findall(r"\*\*([JNPS]\d+)\*\*", ARCHITECTURE.read_text()))
    assert {play.rule for play in PLAYS if not play.rule.startswith("R")} == of_entities
