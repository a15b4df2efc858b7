"""What is kept of ended attempts: the first and the last four of each task, in bounded properties, never in plain text
beside a codec."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.hub.attempts import (
    BUCKET_CHARS,
    MESSAGE_CHARS,
    RETRY_BUCKETS,
    EndedAttempt,
    KeptAttempts,
    Ran,
    attempts_in,
    first_and_last,
)
from durable_core.hub.encoding import Encoding
from durable_core.models import FailureDetails
from durable_core.storage.ports import Value

PLAIN = Encoding()
TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=MESSAGE_CHARS)
RUNS = st.builds(Ran, st.floats(0, 1e10), st.integers(0, 10**12), st.text(max_size=8))
ATTEMPTS = st.builds(
    EndedAttempt.of,
    st.integers(1, 10**6),
    st.none() | RUNS,
    st.none() | st.builds(FailureDetails, TEXTS.filter(bool), TEXTS),
)


class Reversing:
    """A codec that anybody could break, but not by a glance at the row."""

    def encode(self, data: bytes) -> bytes:
        return data[::-1]

    def decode(self, data: bytes) -> bytes:
        return data[::-1]


def kept_after(numbers: range, task_id: int = 1, stored: dict[int, Value] | None = None) -> KeptAttempts:
    kept = KeptAttempts(stored or {}, PLAIN)
    for number in numbers:
        kept.add(task_id, EndedAttempt(number, 1.0, 2, "h", "E", "m"))
    return kept


def numbers(attempts: tuple[EndedAttempt, ...]) -> list[int]:
    return [attempt.number for attempt in attempts]


@given(ATTEMPTS)
def test_an_attempt_is_read_as_it_was_written(attempt: EndedAttempt) -> None:
    assert EndedAttempt.from_json(json.loads(json.dumps(attempt.to_json()))) == attempt


@pytest.mark.parametrize("count", [1, 4, 5, 6, 300])
def test_the_first_and_the_last_four_are_kept(count: int) -> None:
    expected = list(range(1, count + 1)) if count <= 5 else [1, count - 3, count - 2, count - 1, count]
    assert numbers(kept_after(range(1, count + 1)).of(1)) == expected
    assert numbers(first_and_last([EndedAttempt(n) for n in range(1, count + 1)])) == expected


def test_what_is_kept_is_read_back_from_the_row() -> None:
    first = kept_after(range(1, 4)).changes()
    assert list(first) == [1]
    kept = kept_after(range(4, 8), stored=first)
    assert numbers(kept.of(1)) == [1, 4, 5, 6, 7]
    kept.drop(1)
    assert kept.changes() == {1: ""}
    assert KeptAttempts({1: ""}, PLAIN).of(1) == ()


def test_what_nobody_has_touched_is_not_written() -> None:
    stored = kept_after(range(1, 3)).changes()
    kept = KeptAttempts(stored, PLAIN)
    assert numbers(kept.of(1)) == [1, 2]
    kept.drop(1 + RETRY_BUCKETS)  # another task of the bucket, of which nothing is kept
    kept.drop(2)
    assert kept.changes() == {}
    assert kept.all() == {1: kept.of(1)}


def test_type_and_message_are_cut() -> None:
    attempt = EndedAttempt.of(1, None, FailureDetails("T" * 1000, "m" * 1000))
    assert (len(attempt.error), len(attempt.message)) == (200, 200)
    assert (attempt.started, attempt.ms, attempt.host) == (None, None, "")


@pytest.mark.parametrize("tasks", [1, 20, 60, 1000])
@pytest.mark.parametrize("char", ["m", "\N{PILE OF POO}", '"'])
def test_a_bucket_is_bounded_however_many_tasks_fail(tasks: int, char: str) -> None:
    kept = KeptAttempts({}, PLAIN)
    for number in range(1, 10):
        for task in range(tasks):
            kept.add(task * RETRY_BUCKETS, EndedAttempt(number, 1893456000.123, 10**6, "h" * 8, "E", char * 200))
    [(bucket, stored)] = kept.changes().items()
    assert bucket == 0
    text = PLAIN.unpack(stored) if isinstance(stored, bytes) else str(stored)
    assert len(text) <= BUCKET_CHARS
    read = KeptAttempts({0: stored}, PLAIN)
    assert numbers(read.of(0))[-1] == 9, "what is kept of a task ends with its last attempt"
    assert len(read.all()) == tasks or len(text) > BUCKET_CHARS - 500, "left out for want of room alone"


def test_beside_a_codec_no_message_is_stored_as_plain_text() -> None:
    encoding = Encoding(Reversing())
    kept = KeptAttempts({}, encoding)
    kept.add(1, EndedAttempt(1, 1.0, 2, "h", "E", "the patient's name"))
    [stored] = kept.changes().values()
    assert isinstance(stored, bytes)
    assert b"patient" not in stored
    assert KeptAttempts({1: stored}, encoding).of(1)[0].message == "the patient's name"


@pytest.mark.parametrize(
    "stored", ["{", "[]", "7", '{"x":[]}', '{"1":[[1]]}', '{"1":7}', '{"1":[["1",null,null,""]]}', b"noise", b"\0noise"]
)
def test_what_cannot_be_read_is_left_out_and_logged(stored: Value, caplog: pytest.LogCaptureFixture) -> None:
    kept = KeptAttempts({1: stored}, PLAIN)
    assert kept.of(1) == ()
    assert "left out" in caplog.text
    kept.add(1, EndedAttempt(3))
    assert numbers(KeptAttempts(kept.changes(), PLAIN).of(1)) == [3]


@pytest.mark.parametrize("tries", [None, [], 3, "x", [1], [[]], [[1, 2, 3]], [[1, "now", 2, "h"]], [[True, 1, 2, "h"]]])
def test_damaged_tries_of_an_event_are_none(tries: Any) -> None:
    assert attempts_in(tries) == ()


def test_an_attempt_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert EndedAttempt.from_json([1, 2.5, 3, "h", "E", "m", "more"]) == EndedAttempt(1, 2.5, 3, "h", "E", "m")


def test_a_timing_counts_from_when_the_attempt_was_due() -> None:
    due = datetime(2030, 1, 1, tzinfo=UTC)
    ran = Ran.of(due + timedelta(milliseconds=1234.4), 0.0567, "h")
    assert ran.timing(due) == [1234, 57, "h"]
    assert ran.timing(due + timedelta(seconds=9)) == [0, 57, "h"], "a clock that is behind counts as no wait"
