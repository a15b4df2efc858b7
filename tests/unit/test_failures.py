"""Failures as data: whatever is raised can be told, is cut to a size, and is known by type, base class and name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from durable_core import FailureDetails, NonRetriableError
from durable_core.errors import ActivityFailedError, TaskFailedError
from durable_core.models import MAX_CAUSES, MAX_MESSAGE, MAX_STACK


class CardRefused(NonRetriableError):
    def __init__(self, card: str, *, code: int) -> None:
        super().__init__(f"card {card}, code {code}")


class Shy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    def __repr__(self) -> str:
        raise RuntimeError("no text either")


def told(error: BaseException, cause: BaseException | None = None) -> FailureDetails:
    """The failure of a raised error, as it is after it was stored."""
    try:
        raise error from cause
    except BaseException as caught:  # noqa: BLE001 - any
        failure = FailureDetails.from_exception(caught)
    text = json.dumps(failure.to_json())
    text.encode("ascii")
    assert len(text) < 2_000_000
    again = FailureDetails.from_json(json.loads(text))
    assert again == failure
    return again


def test_a_failure_is_known_by_its_type_its_base_classes_and_its_name() -> None:
    failure = told(FileNotFoundError("gone"))
    for kind in (FileNotFoundError, OSError, Exception, "OSError", "FileNotFoundError"):
        assert failure.is_caused_by(kind)
    assert not failure.is_caused_by(ValueError)
    own = told(CardRefused("1", code=5))
    for name in ("CardRefused", f"{__name__}.CardRefused", CardRefused, NonRetriableError, "NonRetriableError"):
        assert own.is_caused_by(name)
    assert not own.is_caused_by("Refused")
    assert not own.is_caused_by("Card")


def test_the_chain_of_causes_keeps_types_messages_and_stacks() -> None:
    cause = told(KeyError("sku"), ValueError("inner"))
    assert cause.cause is not None
    failure = told(LookupError("outer"), KeyError("sku"))
    assert failure.cause is not None
    assert (failure.cause.type, failure.cause.message) == ("KeyError", "'sku'")
    assert failure.is_caused_by(KeyError)
    assert "raise error from cause" in failure.stack_trace


def test_an_error_that_was_handled_is_part_of_the_chain_unless_it_is_suppressed() -> None:
    def raised(suppress: bool) -> FailureDetails:
        try:
            try:
                raise KeyError("a")
            except KeyError:
                if suppress:
                    raise ValueError("b") from None
                raise ValueError("b")  # noqa: B904 - on purpose
        except ValueError as error:
            return FailureDetails.from_exception(error)

    assert raised(suppress=False).is_caused_by(KeyError)
    assert not raised(suppress=True).is_caused_by(KeyError)


def test_an_error_without_a_text_is_told_all_the_same() -> None:
    failure = told(Shy())
    assert failure.type.endswith("Shy")
    assert "str() raised RuntimeError" in failure.message
    assert told(ValueError("outer"), Shy()).is_caused_by(Shy)
    assert told(ExceptionGroup("several", [Shy(), ValueError("x")])).is_caused_by(Shy)


def test_messages_stacks_and_chains_are_cut() -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError("x" * 1_000_000)

    with pytest.raises(ValueError) as caught:
        deep(500)
    failure = FailureDetails.from_exception(caught.value)
    assert len(failure.message) == MAX_MESSAGE
    assert len(failure.stack_trace) <= MAX_STACK

    error: Exception = ValueError("innermost")
    for number in range(100):
        following = ValueError(f"level {number}")
        following.__cause__ = error
        error = following
    length, found = 0, told(error).cause
    while found is not None:
        length, found = length + 1, found.cause
    assert length <= MAX_CAUSES + 1


def test_causes_that_go_round_in_a_circle_come_to_an_end() -> None:
    first, second = ValueError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first
    assert FailureDetails.from_exception(first).is_caused_by(KeyError)
    first.__cause__ = first
    assert FailureDetails.from_exception(first).cause is not None


def test_a_group_is_known_by_its_members() -> None:
    inner = ExceptionGroup("inner", [KeyError("k"), CardRefused("1", code=2)])
    failure = told(ExceptionGroup("outer", [inner, *(ValueError(str(n)) for n in range(100))]))
    assert failure.type == "ExceptionGroup"
    assert failure.is_caused_by(KeyError)
    assert failure.is_caused_by(CardRefused)
    assert not failure.is_caused_by(OSError)
    wide: Exception = ExceptionGroup[Exception]("x", [ValueError(str(n)) for n in range(50)])
    for _ in range(6):
        wide = ExceptionGroup[Exception]("x", [wide] * 20)
    told(wide)


def test_a_validation_error_is_a_value_error() -> None:
    class Model(BaseModel):
        a: int

    with pytest.raises(ValidationError) as caught:
        Model.model_validate({"a": "x"})
    failure = FailureDetails.from_exception(caught.value)
    assert failure.is_caused_by(ValueError)
    assert failure.is_caused_by("ValidationError")
    assert "valid integer" in failure.message


def test_notes_are_part_of_the_stack() -> None:
    error = ValueError("x")
    error.add_note("while the tea was made")
    assert told(error).stack_trace.endswith("ValueError: x\nwhile the tea was made\n")


def test_text_that_is_no_text_is_escaped() -> None:
    assert told(ValueError("caf\udce9")).message == "caf\\udce9"


def test_what_is_final_says_so() -> None:
    assert not told(CardRefused("1", code=2)).retriable
    assert told(ValueError("x"), CardRefused("1", code=2)).retriable  # the last word counts
    assert not FailureDetails.from_exception(ValueError(), retriable=False).retriable


def test_a_task_that_failed_keeps_the_failure_it_was_told_of() -> None:
    remote = told(CardRefused("1", code=2))
    error = ActivityFailedError("activity failed", remote, task_id=3, name="charge")
    assert error.is_caused_by(CardRefused)
    failure = told(error)
    assert failure.cause == remote
    assert failure.is_caused_by(TaskFailedError)
    assert told(LookupError("no"), error).is_caused_by("CardRefused")


def test_a_failure_stored_by_an_older_version_is_read() -> None:
    old: Any = {"type": "ValueError", "message": "x"}
    assert FailureDetails.from_json(old) == FailureDetails("ValueError", "x")
