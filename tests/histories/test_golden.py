"""Histories of every sample and feature, made by the release that first had them, fit today's code.

They stay valid for every later release: never change or delete one. ``python -m tools.histories`` adds new ones.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

import activities
import orchestrators
from durable_core import NonDeterminismError, Registry
from durable_core.engine.events import Incoming, Outgoing
from durable_core.replay.history import event_to_json, to_text
from durable_core.testing import History, replay
from tests.histories import durable_functions, features
from tools.histories import FOLDER, digest, make, manifest

REGISTRY = Registry.scan(orchestrators, activities, features).define(*durable_functions.app.registry.definitions)
HASHES = manifest()
FILES = sorted(HASHES)
SINCE_0_1 = 40  # files that release 0.1 made


def test_no_golden_history_is_gone() -> None:
    assert len(FILES) >= SINCE_0_1
    assert sorted(path.name for path in FOLDER.glob("*.json")) == FILES, "run python -m tools.histories for new files"


@pytest.mark.parametrize("name", FILES)
def test_a_golden_history_is_as_it_was_made_and_fits_todays_code(name: str) -> None:
    content = (FOLDER / name).read_bytes()
    assert digest(content) == HASHES[name], f"{name} was changed: put it back; what instances did cannot be changed"
    replay(REGISTRY, History.read(FOLDER / name))


@pytest.mark.parametrize("name", FILES)
def test_a_golden_history_names_no_folder_of_the_machine_that_made_it(name: str) -> None:
    assert str(FOLDER.parents[1]) not in (text := (FOLDER / name).read_text())
    assert '"line": "/' not in text


@pytest.mark.parametrize("name", FILES)
def test_a_golden_history_with_one_decision_less_or_more_does_not_fit(name: str) -> None:
    """So each of them holds the code to something."""
    history = History.read(FOLDER / name)
    if not history.segments:
        assert name == "delayed_start.json"
        return
    for at, segment in enumerate(history.segments):
        decisions = [event for event in segment.events if isinstance(event, get_args(Outgoing))]
        if not decisions:
            continue
        less = replace(segment, events=tuple(event for event in segment.events if event is not decisions[-1]))
        more = replace(segment, events=(*segment.events, decisions[-1]))
        for changed in (less, more):
            segments = (*history.segments[:at], changed, *history.segments[at + 1 :])
            with pytest.raises(NonDeterminismError):
                replay(REGISTRY, replace(history, segments=segments))


def test_golden_histories_hold_every_kind_of_event() -> None:
    kinds: set[type[Any]] = {type(event) for name in FILES for event in History.read(FOLDER / name).events}
    # A generation that continues as new ends with its history.
    assert {kind.__name__ for kind in {*get_args(Incoming), *get_args(Outgoing)} - kinds} <= {"ContinueAsNew"}


def test_golden_histories_hold_what_is_kept_of_attempts() -> None:
    """The field names by kind of event, of all that are not the same in every history."""
    held: dict[str, set[str]] = {}
    for name in FILES:
        for event in History.read(FOLDER / name).events:
            held.setdefault(type(event).__name__, set()).update(event_to_json(event))
    attempts = {"attempt", "tries"}
    for kind in ("TaskCompleted", "TaskFailed", "StepCompleted"):
        assert held[kind] >= {"timing", *attempts}, kind
    assert held["SubOrchestrationCompleted"] >= attempts
    assert held["ExecutionCompleted"] >= {"because"}


def test_golden_histories_cover_every_sample() -> None:
    covered = {History.read(FOLDER / name).name for name in FILES}
    assert covered >= set(Registry.scan(orchestrators).orchestrator_names)
    assert covered >= set(Registry.scan(features).orchestrator_names)


def test_golden_histories_name_no_folder_of_the_machine_that_made_them() -> None:
    for name in FILES:
        text = (FOLDER / name).read_text()
        assert str(Path.home()) not in text and 'File \\"/' not in text, name


def test_the_tool_makes_the_same_bytes_each_time() -> None:
    made = make("families")
    assert made and made == make("families")


def test_the_bytes_of_a_golden_history_are_those_that_an_export_writes() -> None:
    for name in FILES:
        assert to_text(History.read(FOLDER / name)) == (FOLDER / name).read_text(), name
