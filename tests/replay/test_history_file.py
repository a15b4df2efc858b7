"""An exported history comes back as it was, whatever is in it; a file that is none is refused with the place."""

from __future__ import annotations

import json
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from durable_core.engine.events import Event, Incoming, Outgoing, Segment
from durable_core.errors import HistoryFileError, NewerFormatError
from durable_core.models import FailureDetails, ParentLink, RuntimeStatus
from durable_core.replay.history import event_from_json, event_to_json, from_text, to_text
from durable_core.testing import History

KINDS: tuple[type[Any], ...] = (*get_args(Incoming), *get_args(Outgoing))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))
failures: st.SearchStrategy[Any] = st.recursive(
    st.builds(FailureDetails, texts, texts, texts, st.none(), st.booleans(), st.lists(texts, max_size=2).map(tuple)),
    lambda inner: st.builds(FailureDetails, texts, texts, texts, inner, st.booleans(), st.just(()), st.tuples(inner)),
    max_leaves=3,
)
BY_ANNOTATION: dict[str, st.SearchStrategy[Any]] = {
    "JSON": values,
    "int": st.integers(0, 2**40),
    "str": texts,
    "float": st.floats(allow_nan=False, allow_infinity=False),
    "bool": st.booleans(),
    "datetime": moments,
    "datetime | None": st.none() | moments,
    "FailureDetails": failures,
    "str | None": st.none() | texts,
    "FailureDetails | None": st.none() | failures,
}


def made(kind: type[Any]) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{f.name: BY_ANNOTATION[str(f.type)] for f in fields(kind)})


events: st.SearchStrategy[Event] = st.one_of([made(kind) for kind in KINDS])
segments = st.builds(Segment, st.integers(0, 9), texts, moments, st.lists(events, max_size=4).map(tuple))
parents = st.none() | st.builds(ParentLink, texts, texts, st.integers(0, 9), st.integers(1, 9), st.integers(1, 9))
histories = st.builds(
    History,
    instance_id=texts,
    execution_id=texts,
    generation=st.integers(0, 9),
    name=texts,
    version=texts,
    status=st.sampled_from(RuntimeStatus),
    created=moments,
    build=texts,
    parent=parents,
    segments=st.lists(segments, max_size=3).map(tuple),
    seen=st.lists(texts, max_size=3).map(tuple),
)
EMPTY = History(
    instance_id="i", execution_id="x", generation=0, name="n", version="", status=RuntimeStatus.RUNNING,
    created=datetime(2031, 2, 3, tzinfo=UTC), segments=(),
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_every_kind_of_event_comes_back_as_it_was(kind: type[Any]) -> None:
    @settings(max_examples=25)
    @given(made(kind))
    def check(event: Event) -> None:
        named = json.loads(json.dumps(event_to_json(event)))
        assert named["event"] == kind.__name__
        assert event_from_json(named, "here") == event

    check()


@settings(max_examples=60)
@given(histories)
def test_a_history_comes_back_as_it_was_and_makes_the_same_bytes(history: History) -> None:
    text = to_text(history)
    text.encode()  # half a surrogate pair would not pass
    assert from_text(text) == history
    assert to_text(from_text(text)) == text


def test_the_keys_of_users_values_keep_their_order() -> None:
    event = event_from_json(json.loads('{"event": "TaskCompleted", "task_id": 1, "result": {"b": 1, "a": 2}}'), "")
    assert list(json.loads(json.dumps(event_to_json(event)))["result"]) == ["b", "a"]


def test_a_file_is_read_from_where_it_was_written(tmp_path: Path) -> None:
    EMPTY.write(tmp_path / "one.json")
    assert History.read(tmp_path / "one.json") == EMPTY
    assert json.loads((tmp_path / "one.json").read_text())["format"] == 1


GOOD = json.loads(to_text(EMPTY))
EVENT = {"event": "TaskCompleted", "task_id": 1}


def with_event(**changes: Any) -> dict[str, Any]:
    named = {key: value for key, value in {**EVENT, **changes}.items() if value is not ...}
    return GOOD | {"commits": [{"seq": 0, "id": "c", "time": "2031-02-03T00:00:00Z", "events": [named]}]}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "the file must be an object"),
        ({}, "the file has no 'format'"),
        (GOOD | {"format": "1"}, "'format' does not fit"),
        ({"format": 1}, "the file has no 'instance'"),
        (GOOD | {"commits": {}}, "commits must be a list"),
        (GOOD | {"commits": [1]}, "commit 0 must be an object"),
        (GOOD | {"instance": GOOD["instance"] | {"created": "2031-02-03"}}, "has no time zone"),
        (GOOD | {"instance": GOOD["instance"] | {"generation": True}}, "whole number"),
        (with_event(task_id=...), "commit 0, event 0 (TaskCompleted) has no 'task_id'"),
        (with_event(task_id="1"), "commit 0, event 0 (TaskCompleted): 'task_id' does not fit"),
        (with_event(event=7), "commit 0, event 0: 'event' does not fit"),
        (with_event(event="TaskFailed", failure={"type": "E"}), "'failure' does not fit"),
        (with_event(event="TaskFailed", failure=3), "'failure' does not fit"),
        (GOOD | {"seen": [3]}, "text is expected"),
    ],
)
def test_a_broken_file_is_refused_with_its_name_and_the_place(tmp_path: Path, content: Any, told: str) -> None:
    path = tmp_path / "broken.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(HistoryFileError) as caught:
        History.read(path)
    assert "broken.json" in str(caught.value) and told in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        GOOD | {"format": 2},
        GOOD | {"instance": GOOD["instance"] | {"status": "Sleeping"}},
        with_event(event="TaskPraised"),
        with_event(colour="red"),
    ],
)
def test_a_file_of_a_newer_version_is_said_to_be_newer(tmp_path: Path, document: Any) -> None:
    path = tmp_path / "newer.json"
    path.write_text(json.dumps(document))
    with pytest.raises(NewerFormatError, match=r"newer\.json"):
        History.read(path)


def test_a_missing_file_and_one_of_other_bytes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryFileError, match="cannot be read"):
        History.read(tmp_path / "absent.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(HistoryFileError, match="cannot be read"):
        History.read(tmp_path / "binary.json")
