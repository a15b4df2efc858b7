"""What is written as JSON is read back equal, by the annotation of who receives it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from typing import Any, Generic, Literal, NamedTuple, TypeVar
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict
from typing_extensions import TypedDict

from durable_core import PayloadTooLargeError, SerializationError
from durable_core.converter import MAX_DEPTH, Converter
from durable_core.errors import InvalidInputError

T = TypeVar("T")
converter = Converter()


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Size(StrEnum):
    SMALL = "s"
    LARGE = "l"


class Point(NamedTuple):
    x: int
    y: Decimal
    mark: bytes = b""


class Address(TypedDict):
    street: str
    since: date
    key: bytes


@dataclass(frozen=True)
class Line:
    sku: str
    price: Decimal
    photo: bytes
    colour: Colour | None = None


@dataclass(frozen=True)
class Order:
    id: UUID
    at: datetime
    lines: list[Line]
    tags: frozenset[str]
    where: Point
    home: Address
    wait: timedelta = timedelta(0)
    levels: dict[Level, int] = field(default_factory=dict[Level, int])
    by_day: dict[date, tuple[int, str]] = field(default_factory=dict[date, tuple[int, str]])
    next: Order | None = None


class Item(BaseModel):
    name: str
    size: Size = Size.SMALL
    price: Decimal = Decimal(0)
    at: datetime | None = None
    inner: list[Item] = []


class Blob(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes
    line: Line


class Page(BaseModel, Generic[T]):
    items: list[T]
    more: bool = False


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: set[str]


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
decimals = st.decimals(allow_nan=False, allow_infinity=False)
zones = st.sampled_from([None, UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
moments = st.datetimes(timezones=zones)
waits = st.timedeltas(timedelta(days=-10_000), timedelta(days=10_000))
points = st.builds(Point, st.integers(), decimals, st.binary(max_size=9))
addresses: st.SearchStrategy[Any] = st.fixed_dictionaries({"street": texts, "since": st.dates(), "key": st.binary()})
lines = st.builds(Line, texts, decimals, st.binary(max_size=20), st.none() | st.sampled_from(Colour))
orders = st.builds(
    Order,
    st.uuids(),
    moments,
    st.lists(lines, max_size=3),
    st.frozensets(texts, max_size=3),
    points,
    addresses,
    waits,
    st.dictionaries(st.sampled_from(Level), st.integers(), max_size=2),
    st.dictionaries(st.dates(), st.tuples(st.integers(), texts), max_size=2),
)
items = st.builds(Item, name=texts, size=st.sampled_from(Size), price=decimals, at=st.none() | moments)
pets = st.builds(Cat, lives=st.integers()) | st.builds(Dog, tricks=st.sets(texts, max_size=3))

KINDS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (bool, st.booleans()),
    (int, st.integers(-(10**300), 10**300)),
    (float, st.floats(allow_nan=False, allow_infinity=False)),
    (str, texts),
    (bytes, st.binary()),
    (Decimal, decimals),
    (UUID, st.uuids()),
    (datetime, moments),
    (date, st.dates()),
    (time, st.times()),
    (timedelta, waits),
    (Colour, st.sampled_from(Colour)),
    (Level, st.sampled_from(Level)),
    (Size, st.sampled_from(Size)),
    (type(None), st.none()),
    (set[int], st.sets(st.integers(), max_size=4)),
    (frozenset[Colour], st.frozensets(st.sampled_from(Colour))),
    (tuple[int, str, bytes], st.tuples(st.integers(), texts, st.binary())),
    (tuple[Decimal, ...], st.lists(decimals, max_size=3).map(tuple)),
    (dict[int, bytes], st.dictionaries(st.integers(), st.binary(), max_size=3)),
    (dict[UUID, set[date]], st.dictionaries(st.uuids(), st.sets(st.dates(), max_size=2), max_size=2)),
    (dict[Decimal, datetime], st.dictionaries(decimals, moments, max_size=2)),
    (dict[bool, str], st.dictionaries(st.booleans(), texts)),
    (int | None, st.none() | st.integers()),
    (int | str, st.integers() | texts),
    (list[Line] | None, st.none() | st.lists(lines, max_size=2)),
    (Point, points),
    (Address, addresses),
    (Line, lines),
    (Order, orders),
    (Item, items),
    (Blob, st.builds(Blob, data=st.binary(), line=lines)),
    (Page[Item], st.builds(Page[Item], items=st.lists(items, max_size=2))),
    (Page[bool], st.builds(Page[bool], items=st.lists(st.booleans(), max_size=2))),
    (dict[str, list[Order]], st.dictionaries(texts, st.lists(orders, max_size=1), max_size=1)),
    (list[Cat | Dog], st.lists(pets, max_size=3)),
]


@pytest.mark.parametrize(("kind", "values"), KINDS, ids=[str(kind) for kind, _ in KINDS])
@settings(max_examples=40)
@given(data=st.data())
def test_every_kind_of_value_is_read_back_equal(kind: Any, values: st.SearchStrategy[Any], data: st.DataObject) -> None:
    value = data.draw(values)
    stored = json.loads(json.dumps(converter.to_json(value)))
    found = converter.from_json(stored, kind)
    assert found == value
    assert type(found) is type(value)


@given(moments)
def test_a_time_zone_stays_and_no_time_zone_stays_none(moment: datetime) -> None:
    found = converter.from_json(converter.to_json(moment), datetime)
    assert found.utcoffset() == moment.utcoffset()


@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_a_decimal_keeps_every_digit(number: Decimal) -> None:
    assert str(converter.from_json(converter.to_json({"n": number}), dict[str, Decimal])["n"]) == str(number)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=20,
)


@given(plain)
def test_plain_json_is_what_it_was_and_shares_nothing(value: Any) -> None:
    written = converter.to_json(value)
    assert written == value
    if isinstance(value, list | dict):
        assert written is not value


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (float("nan"), "type float"),
        ({"rate": float("inf")}, "Out of range float"),
        (object(), "Unable to serialize unknown type: <class 'object'>"),
        ([lambda: 1], "type list"),
        ("half a pair: \ud83d", "half a surrogate pair"),
        ({"name": "\udce9t\udce9"}, "half a surrogate pair"),
        (10**5000, "4300 digits"),
        ([-(10**5000)], "4300 digits"),
    ],
    ids=["nan", "inf", "object", "lambda", "surrogate", "surrogate inside", "large int", "large int inside"],
)
def test_what_some_reader_could_not_read_is_refused(value: Any, says: str) -> None:
    with pytest.raises(SerializationError, match=says):
        converter.to_json(value)


def test_a_pair_of_surrogates_in_text_that_is_a_character_is_kept() -> None:
    assert converter.to_json({"face": "\U0001f600" * 2000}) == {"face": "\U0001f600" * 2000}
    assert converter.to_json("a backslash: \\ud800") == "a backslash: \\ud800"


def nested(levels: int, wrap: Callable[[Any], Any]) -> Any:
    value: Any = wrap(None)
    for _ in range(levels - 1):
        value = wrap(value)
    return value


@pytest.mark.parametrize("wrap", [lambda v: [v], lambda v: {"a": v}, lambda v: (v,)], ids=["list", "dict", "tuple"])  # pyright: ignore
def test_values_nest_a_hundred_levels_and_no_recursion_error_escapes(wrap: Callable[[Any], Any]) -> None:
    deepest = converter.to_json(nested(MAX_DEPTH, wrap))
    assert converter.from_json(deepest, list[Any] if isinstance(deepest, list) else dict[str, Any]) == deepest
    for levels in (MAX_DEPTH + 1, 1000, 50_000):
        with pytest.raises(SerializationError):
            converter.to_json(nested(levels, wrap))


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(SerializationError, match="holds itself"):
        converter.to_json(value)


def test_a_model_with_bytes_that_are_no_text_is_told_what_to_write() -> None:
    class Plain(BaseModel):
        data: bytes

    assert converter.from_json(converter.to_json(Plain(data=b"text")), Plain) == Plain(data=b"text")
    with pytest.raises(SerializationError, match="ser_json_bytes='base64'"):
        converter.to_json(Plain(data=b"\xff"))


def test_the_limit_counts_bytes_of_json() -> None:
    small = Converter(max_payload=5_000)
    assert small.to_json("x" * 4_998) == "x" * 4_998
    with pytest.raises(
        PayloadTooLargeError, match="the input is 5,001 bytes of JSON, over the limit of 5,000"
    ) as found:
        small.to_json("x" * 4_999, "the input")
    assert (found.value.size, found.value.limit) == (5_001, 5_000)
    with pytest.raises(PayloadTooLargeError):
        small.to_json(["é" * 900])  # six bytes each, escaped


def test_a_value_of_another_type_is_refused_field_by_field() -> None:
    with pytest.raises(InvalidInputError) as caught:
        converter.from_json([{"sku": 1, "price": "x", "photo": ""}], list[Line])
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["0.sku", "0.price"]
    with pytest.raises(InvalidInputError, match="value: "):
        converter.from_json("x", int)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="from Python 3.12 on pydantic reads typing.TypedDict")
def test_a_type_that_cannot_be_read_is_named() -> None:
    import typing

    untyped = typing.TypedDict("untyped", {"a": int})  # noqa: UP013  # pyright: ignore
    with pytest.raises(SerializationError, match=r"no value of type untyped can be read.*typing_extensions"):
        converter.from_json({"a": 1}, untyped)
