"""What is no value is refused where it is given, by name and place, and is not run by being looked at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from durable_core.converter import Converter
from durable_core.errors import SerializationError


class Helper:
    """Makes values that do something when they are read, and says whether one did."""

    def __init__(self) -> None:
        self.has_run = False

    def generator(self) -> Iterator[int]:
        self.has_run = True
        yield 1

    def mapped(self) -> Iterator[int]:
        def one(_: int) -> int:
            self.has_run = True
            return 1

        return map(one, [1, 2])

    async def coroutine(self) -> int:
        self.has_run = True
        return 1

    async def asynchronous(self) -> AsyncIterator[int]:
        self.has_run = True
        yield 1


@dataclass
class Box:
    inner: Any


class Model(BaseModel):
    model_config = ConfigDict(extra="allow")
    inner: Any = None


class Numbers(BaseModel):
    inner: Iterable[int]


WRAPS: dict[str, Any] = {
    "": lambda value: value,  # pyright: ignore[reportUnknownLambdaType]
    "at 1: ": lambda value: [None, value],  # pyright: ignore[reportUnknownLambdaType]
    "at a.0: ": lambda value: {"a": (value,)},  # pyright: ignore[reportUnknownLambdaType]
    "at 0.inner: ": lambda value: [Box(value)],  # pyright: ignore[reportUnknownLambdaType]
    "at inner.0.x: ": lambda value: Model(inner=[{"x": value}]),  # pyright: ignore[reportUnknownLambdaType]
    "at more.inner: ": lambda value: Model(more=Box(value)),  # pyright: ignore[reportUnknownLambdaType, reportCallIssue]
    "at inner.inner: ": lambda value: Box(Model(inner=value)),  # pyright: ignore[reportUnknownLambdaType]
}


@pytest.mark.parametrize("place", WRAPS)
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (Helper.generator, "the generator 'Helper.generator' has not been run; write 'yield from' before it"),
        (Helper.mapped, "the iterator 'map' can be read only once; make a list of it"),
        (Helper.coroutine, "the coroutine 'Helper.coroutine' has not been run; write 'await' before it"),
        (Helper.asynchronous, "the asynchronous iterator 'Helper.asynchronous' has not been run; make a list"),
    ],
)
def test_what_would_run_when_it_is_read_is_refused_and_not_run(make: Any, says: str, place: str) -> None:
    helper = Helper()
    value = make(helper)
    with pytest.raises(SerializationError, match=f"cannot be written as JSON: {place}{says}"):
        Converter().to_json(WRAPS[place](value))
    assert not helper.has_run
    if isinstance(value, Coroutine):
        assert asyncio.run(value) == 1  # pyright: ignore[reportUnknownArgumentType]


def test_a_generator_in_a_field_of_numbers_is_refused_and_not_run() -> None:
    helper = Helper()
    with pytest.raises(SerializationError, match="at inner: the iterator"):
        Converter().to_json(Numbers(inner=helper.generator()))
    assert not helper.has_run


def test_a_generator_as_the_key_of_a_dict_is_refused_and_not_run() -> None:
    helper = Helper()
    for value in ({helper.generator(): 1}, Model(inner={helper.generator(): 1})):
        with pytest.raises(SerializationError, match=r"the generator 'Helper\.generator'"):
            Converter().to_json(value)
    assert not helper.has_run


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"rates": [1.0, float("nan")]}, r"at rates\.1: Out of range float"),
        ([{"n": 10**5000}], r"at 0\.n: Exceeds the limit"),
        ({"name": ["\ud800"]}, r"at name\.0: its text holds half a surrogate pair"),
        ({"\ud800": 1}, r"at \\ud800: its text holds half a surrogate pair"),
        ([Box(float("inf"))], r"at 0\.inner: Out of range float"),
    ],
    ids=["nan", "large", "half a pair", "half a pair as key", "field"],
)
def test_what_some_reader_could_not_read_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(SerializationError, match=says):
        Converter().to_json(value)
