"""Messages: what was sent is what is read, and whatever else lies in a queue is refused in one way."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from durable_core.errors import NewerFormatError, SerializationError
from durable_core.hub.attempts import Ran
from durable_core.hub.keys import ENTITY_FORMAT, FORMAT, JOURNAL_FORMAT, REWOUND_FORMAT
from durable_core.hub.messages import (
    Call,
    ControlMessage,
    EntityWakeUp,
    Reminder,
    TaskOutcome,
    WorkMessage,
    decode,
    encode,
)
from durable_core.models import FailureDetails

JSONS = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
NUMBERS = st.integers(0, 10**6)
FAILURES = st.none() | st.builds(FailureDetails, st.text(max_size=9), st.text(max_size=9), retriable=st.booleans())
RUNS = st.none() | st.builds(Ran, st.floats(0, 1e10), NUMBERS, st.text("0123456789abcdef", max_size=8))
OUTCOMES = st.builds(
    TaskOutcome, NUMBERS, NUMBERS, NUMBERS, JSONS, FAILURES, st.booleans(), st.sampled_from(["", "price"]), RUNS
)
COMMON: dict[str, st.SearchStrategy[Any]] = {
    "instance_id": st.from_regex(r"[^/\\#?\x00-\x1f\x7f-\x9f\ud800-\udfff]{1,12}", fullmatch=True),
    "execution_id": st.from_regex(r"[0-9a-f]{16}", fullmatch=True),
    "redelivered": st.booleans(),
    "after": st.none() | st.integers(-1, 10**6),
    "since": st.none() | st.floats(0, 1e10),
    "rewinds": st.integers(0, 1000),
}
CONTROL = st.builds(
    ControlMessage,
    outcomes=st.lists(OUTCOMES, max_size=3).map(tuple),
    reminders=st.lists(st.builds(Reminder, NUMBERS, NUMBERS), max_size=3).map(tuple),
    **COMMON,
)
WORK = st.builds(
    WorkMessage,
    calls=st.lists(st.builds(Call, NUMBERS, NUMBERS, NUMBERS, st.text(max_size=9), JSONS), min_size=1, max_size=3).map(
        tuple
    ),
    **COMMON,
)


@given(CONTROL | WORK)
def test_what_was_sent_is_what_is_read(message: ControlMessage | WorkMessage) -> None:
    assert decode(encode(message)) == message


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")) | JSONS.map(json.dumps))
def test_garbage_is_refused_as_garbage(body: str) -> None:
    with pytest.raises(SerializationError):
        decode(body)


@given(
    st.fixed_dictionaries(
        {"v": st.sampled_from((REWOUND_FORMAT, ENTITY_FORMAT)) | JSONS, "i": st.text() | JSONS, "x": st.text() | JSONS},
        optional=dict.fromkeys(("e", "n", "c", "r", "a", "s", "d", "ref"), JSONS),
    )
)
def test_a_damaged_message_is_refused_in_no_other_way(inner: dict[str, Any]) -> None:
    with suppress(SerializationError, NewerFormatError):
        message = decode(json.dumps({"durable": inner}))
        if isinstance(message, ControlMessage | WorkMessage | EntityWakeUp):
            assert decode(encode(message)) == message


def test_a_message_of_a_later_version_is_told_from_garbage() -> None:
    with pytest.raises(NewerFormatError):
        decode(json.dumps({"durable": {"v": JOURNAL_FORMAT + 1}}))


def test_a_message_nested_without_end_is_refused() -> None:
    with pytest.raises(SerializationError):
        decode('{"durable":' + "[" * 200_000)


@given(OUTCOMES)
def test_an_older_host_reads_of_an_outcome_what_it_knows(outcome: TaskOutcome) -> None:
    """Release 0.1 took the first six fields, and the seventh, where there was one, as the name of a step."""
    data = json.loads(json.dumps(outcome.to_json()))
    generation, task_id, attempt, result, failure, child = data[:6]
    step = data[6] if len(data) > 6 else ""
    assert (generation, task_id, attempt, result, bool(child), step) == (
        outcome.generation, outcome.task_id, outcome.attempt, outcome.result, outcome.child, outcome.step,
    )  # fmt: skip
    assert (failure is None) == (outcome.failure is None)


@pytest.mark.parametrize(
    "ran",
    [7, [], [1.0, 2], ["1", 2, "h"], [1.0, -1, "h"], [1.0, 2.5, "h"], [1.0, 2, None], [1.0, 2, "h" * 65], [-1, 2, "h"]],
)
def test_an_outcome_that_ran_at_no_time_is_refused(ran: Any) -> None:
    body = {"v": FORMAT, "i": "one", "x": "x", "e": [[0, 1, 1, None, None, 0, "", ran]]}
    with pytest.raises(SerializationError):
        decode(json.dumps({"durable": body}))


def test_the_outcome_of_an_older_host_ran_nobody_knows_when() -> None:
    for fields in ([0, 1, 1, None, None, 0], [0, 1, 1, None, None, 0, "price"], [0, 1, 1, None, None, 0, "", None]):
        message = decode(json.dumps({"durable": {"v": FORMAT, "i": "one", "x": "x", "e": [fields]}}))
        assert isinstance(message, ControlMessage)
        assert message.outcomes[0].ran is None


def test_messages_of_journaled_calls_are_left_alone_by_older_hosts_and_read_by_this_one() -> None:
    waits: list[Any] = [{"kind": "timer", "due": 5.0, "id": '["ctx.sleep",null,0]', "place": 0, "line": "a.py:1"}]
    woke: list[Any] = [{"id": '["ctx.sleep",null,0]', "place": 0, "line": "a.py:1", "value": None}]
    outcome = TaskOutcome(0, 1, 1, waits=waits)
    call = Call(0, 2, 1, "work", None, {"journal": [1, 3.0], "woke": woke})
    for message in (
        ControlMessage(instance_id="one", execution_id="x", outcomes=(outcome,)),
        WorkMessage(instance_id="one", execution_id="x", calls=(call,), rewinds=2),
    ):
        body = encode(message)
        assert json.loads(body)["durable"]["v"] == JOURNAL_FORMAT
        assert decode(body) == message
    damages: list[Any] = [
        [],
        [{}],
        *([{**waits[0], **each}] for each in ({"kind": "?"}, {"due": "soon"}, {"place": None})),
    ]
    for damage in damages:
        body = encode(ControlMessage(instance_id="one", execution_id="x", outcomes=(replace(outcome, waits=damage),)))
        with pytest.raises(SerializationError):
            decode(body)
