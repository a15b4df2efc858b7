"""Whatever lies in a queue, a row or a URL is read, or refused as what it is: nothing else is ever raised."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from hypothesis import given, seed
from hypothesis import strategies as st

from durable_core.converter import is_too_deep
from durable_core.engine.events import (
    EventRaised,
    ExecutionCompleted,
    TaskFailed,
    TaskScheduled,
    TimerCreated,
    from_array,
    to_array,
)
from durable_core.errors import (
    CapabilityError,
    CodecError,
    DamagedRowError,
    DurableError,
    InvalidInputError,
    NewerFormatError,
    SerializationError,
)
from durable_core.hosting.http_types import parse_json
from durable_core.hosting.signed_urls import CapabilitySigner, Verb
from durable_core.hub.encoding import Encoding
from durable_core.hub.messages import (
    Call,
    ControlMessage,
    Referenced,
    Reminder,
    TaskOutcome,
    WorkMessage,
    decode,
    encode,
    reference_body,
)
from durable_core.models import FailureDetails
from tests.security.conftest import Fuzz
from tests.security.fuzzed_app import FuzzedApp
from tests.support.function_host import PATIENCE


class Plain:
    """A payload codec that changes nothing."""

    def encode(self, data: bytes) -> bytes:
        return data

    def decode(self, data: bytes) -> bytes:
        return data


EXECUTION = "0123456789abcdef"
FAILURE = FailureDetails("ValueError", "no", cause=FailureDetails("KeyError", "'x'"), bases=("Exception",))
MESSAGES = [
    ControlMessage(
        instance_id="live",
        execution_id=EXECUTION,
        outcomes=(TaskOutcome(0, 1, 1, {"a": [1]}), TaskOutcome(0, 2, 1, None, FAILURE, True, "step")),
        reminders=(Reminder(0, 3), Reminder(0, 4, 1_700_000_000.0)),
        redelivered=True,
        after=3,
        since=1_700_000_000.0,
    ),
    WorkMessage(
        instance_id="live",
        execution_id=EXECUTION,
        calls=(Call(0, 1, 1, "measure", "tea", {"timeout": 5.0, "queue": "gpu"}), Call(0, 2, 1, "measure", [1])),
        after=-1,
    ),
]
BODIES = [
    *map(encode, MESSAGES),
    *(encode(message, Encoding(Plain())) for message in MESSAGES),
    reference_body(MESSAGES[0], f"@{EXECUTION}-{'0' * 64}-1"),
]
HOSTILE_TEXTS = st.sampled_from(
    ["", "'", "' or 1 eq 1 or '", "../..", "%2f", "\0", "\u202e", "\ud800", "x" * 5000, "<script>alert(1)</script>"]
)
JUNK: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    HOSTILE_TEXTS,
    st.just([]),
    st.just({}),
    st.lists(st.integers() | st.none() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.sampled_from(["type", "message", "a", "timeout", "deadline", "queue"]), st.none(), max_size=2),
)


def tries(fuzz: Fuzz, usual: int) -> Callable[[Any], Any]:
    """A fixed number of examples, the same at each run."""
    return lambda test: seed(4)(fuzz.settings(usual)(test))


def _keys(node: Any) -> list[Any]:
    match node:
        case dict():
            return list(cast("dict[Any, Any]", node))
        case list():
            return list(range(len(cast("list[Any]", node))))
        case _:
            return []


def damaged(text: str, where: int, junk: Any) -> str:
    """The JSON with one of its nodes replaced, or left out."""
    whole = json.loads(text)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = _keys(node)
        for key in keys:
            places.append((node, key))
            walk(node[key])

    walk(whole)
    container, key = places[where % len(places)]
    if where % 7 == 0:
        del container[key]
    else:
        container[key] = junk
    return json.dumps(whole)


@pytest.mark.timeout(3600)
def test_a_damaged_message_is_refused_as_none_of_ours_or_is_sound_all_through(fuzz: Fuzz) -> None:
    read = 0

    @tries(fuzz, 800)
    @given(st.sampled_from(BODIES), st.integers(0, 10_000), JUNK)
    def send(body: str, start: int, junk: Any) -> None:
        nonlocal read
        for where in range(start, start + 10):  # to make up a value costs more than to try it
            fuzz.count("messages")
            with suppress(SerializationError, NewerFormatError, CodecError):
                message = decode(damaged(body, where, junk))
                read += 1
                if not isinstance(message, Referenced):
                    assert decode(encode(message)) == message

    send()
    assert read > 100, "all of them were refused: nothing was shown of what gets through"


@pytest.mark.timeout(3600)
def test_a_damaged_text_is_no_message(fuzz: Fuzz) -> None:
    @tries(fuzz, 300)
    @given(st.sampled_from(BODIES), st.integers(0, 10_000), st.text(max_size=4))
    def send(body: str, start: int, junk: str) -> None:
        for step in range(10):
            fuzz.count("messages")
            at = (start + 7 * step) % len(body)
            with suppress(SerializationError, NewerFormatError, CodecError):
                decode(body[:at] + junk + body[at + len(junk) + at % 2 :])

    send()


@pytest.fixture(scope="module")
def app() -> Iterator[FuzzedApp]:
    with FuzzedApp() as running:
        yield running


@pytest.mark.timeout(3600)
def test_no_message_breaks_the_app_or_the_instance_it_names(app: FuzzedApp, fuzz: Fuzz) -> None:
    """Messages of the right types and with wrong contents, for an instance that is there."""

    async def execution() -> str:
        return (await (await app.host.durable.client()).get_status("live")).execution_id

    live = app.run(execution())
    inside: Any = app.run(app.host.durable._opener.app())  # pyright: ignore[reportPrivateUsage]

    @tries(fuzz, 1000)
    @given(st.sampled_from(BODIES), st.integers(0, 10_000), JUNK, st.integers(1, 6), st.booleans())
    def send(body: str, where: int, junk: Any, dequeue_count: int, work: bool) -> None:
        fuzz.count("handled messages")
        hostile = damaged(body, where, junk).replace(EXECUTION, live)

        async def handle() -> None:
            deliver = inside.on_work_message if work else inside.on_control_message
            async with asyncio.timeout(PATIENCE):
                await deliver(hostile, dequeue_count)

        with suppress(DurableError):
            app.run(handle())

    async def ends() -> Any:
        await app.host.drain()
        client = await app.host.durable.client()
        await client.recover(full=True)
        await app.host.drain()
        assert (await app.host.call("POST", "instances/live/raiseEvent/Go", 42)).status == 202
        await app.host.drain()
        return (await client.get_status("live")).output

    send()
    assert app.run(ends()) == 42


@pytest.mark.timeout(3600)
def test_a_damaged_event_of_history_is_refused_as_damaged_or_as_one_of_another_version(fuzz: Fuzz) -> None:
    events = [
        TaskScheduled(1, "measure", "tea"),
        TaskFailed(1, FAILURE),
        TimerCreated(2, datetime(2025, 1, 1, tzinfo=UTC)),
        EventRaised("Go", 1),
        ExecutionCompleted("Failed", None, FAILURE),
    ]
    texts = [json.dumps(to_array(event)) for event in events]

    @tries(fuzz, 300)
    @given(st.sampled_from(texts), st.integers(0, 10_000), JUNK)
    def read(text: str, start: int, junk: Any) -> None:
        for where in range(start, start + 5):
            fuzz.count("events")
            with suppress(DamagedRowError, NewerFormatError):
                from_array(json.loads(damaged(text, where, junk)))

    read()


@pytest.mark.timeout(3600)
def test_no_text_is_a_capability_but_one_that_was_signed(fuzz: Fuzz) -> None:
    signer = CapabilitySigner([b"the key of this test"])
    token = signer.issue("order-1", Verb.TERMINATE, execution_id=EXECUTION)

    @tries(fuzz, 500)
    @given(st.integers(0, 10_000), st.text(max_size=3) | st.text("ABCabc012-_=", max_size=90), st.integers(0, 3))
    def verify(start: int, junk: str, cut: int) -> None:
        for step in range(6):
            at = (start + 17 * step) % (len(token) + 1)
            forged = token[:at] + junk + token[at + cut :]
            if forged != token:
                fuzz.count("tokens")
                with pytest.raises(CapabilityError):
                    signer.verify(forged)

    verify()


@pytest.mark.timeout(3600)
def test_a_forged_continuation_token_is_refused_or_a_place_in_the_list(app: FuzzedApp, fuzz: Fuzz) -> None:
    @tries(fuzz, 1000)
    @given(
        st.one_of(
            st.tuples(st.integers(0, 2), JUNK).map(list),
            st.just([1, f"{'9' * 13}-{EXECUTION}-live"]),
            st.text(max_size=40).map(lambda text: [1, f"{'9' * 13}-{EXECUTION}-{text}"]),
            JUNK,
        ),
        st.booleans(),
    )
    def walk(content: Any, raw: bool) -> None:
        fuzz.count("continuation tokens")
        text = json.dumps(content)
        token = text if raw else base64.urlsafe_b64encode(text.encode()).decode()
        answer = app.run(app.host.call("GET", "instances?top=1", None, **{"x-ms-continuation-token": token}))
        assert answer.status in (200, 400), answer.body

    walk()


@pytest.mark.timeout(3600)
def test_a_body_is_json_that_can_be_stored_or_is_refused(fuzz: Fuzz) -> None:
    pieces = st.sampled_from(
        ["[", "]", "{", "}", '"', ":", ",", "1", "e", "-", "999", ".", "null", "true", "NaN", "Infinity", "\\ud800",
         "\\u0000", '"a"', " ", "\ufeff", "\u00e9", "\\", "1e999", "-0", "[" * 101, "]" * 101, "9" * 5000]
    )  # fmt: skip

    @tries(fuzz, 750)
    @given(st.lists(pieces, max_size=12).map("".join).map(str.encode) | st.binary(max_size=30))
    def parse(raw: bytes) -> None:
        for body in (raw, raw[len(raw) // 2 :], b"[" + raw + b"]", b'{"a":' + raw + b"}"):
            fuzz.count("JSON bodies")
            with suppress(InvalidInputError):
                value = parse_json(body, "the body")
                json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
                assert not is_too_deep(value)

    parse()


@pytest.mark.timeout(3600)
def test_stored_bytes_that_are_none_of_ours_are_refused_as_such(fuzz: Fuzz) -> None:
    good = Encoding().pack(json.dumps({"a": "b" * 50}))

    @tries(fuzz, 1500)
    @given(st.binary(max_size=40) | st.integers(0, 8 * len(good) - 1))
    def unpack(raw: bytes | int) -> None:
        fuzz.count("stored values")
        if isinstance(raw, int):
            flipped = bytearray(good)
            flipped[raw // 8] ^= 1 << raw % 8
            raw = bytes(flipped)
        with suppress(SerializationError, CodecError):
            Encoding().unpack(raw)
        text = "~enc:" + base64.b64encode(raw).decode()
        with suppress(SerializationError, CodecError):
            Encoding().show(text)

    unpack()
