"""Generated models: what is written is read back equal, or it is refused where it is written, with the field's name."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    Json,
    PlainSerializer,
    PrivateAttr,
    SecretBytes,
    SecretStr,
    computed_field,
    create_model,
)

from durable_core.converter import Converter
from durable_core.errors import SerializationError

T = TypeVar("T")

converter = Converter()


class Level(Enum):
    LOW = 1
    HIGH = 2


class Number(IntEnum):
    ONE = 1


class Pair(Enum):
    A = (1, 2)


class Day(Enum):
    FIRST = date(2024, 1, 1)


class Shape(BaseModel):
    name: str


class Circle(Shape):
    radius: int


@dataclass(frozen=True)
class Base:
    name: str


@dataclass(frozen=True)
class Derived(Base):
    more: date


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
old = timezone(timedelta(minutes=19, seconds=32))  # Amsterdam's time until 1937


@dataclass(frozen=True)
class Kind:
    """A kind of field. comes: whether its values always come back; else they may be refused, too."""

    annotation: Any
    values: st.SearchStrategy[Any]
    comes: bool = False
    field: Callable[[], Any] = lambda: ...


KINDS: dict[str, Kind] = {
    "text": Kind(str, texts, comes=True),
    "number": Kind(int, st.integers(), comes=True),
    "dates": Kind(list[date], st.lists(st.dates(), max_size=2), comes=True),
    "level": Kind(Level, st.sampled_from(Level), comes=True),
    "by_number": Kind(dict[Number, str], st.just({Number.ONE: "a"}), comes=True),
    "shapes": Kind(list[Shape], st.lists(st.builds(Shape, name=texts), max_size=2), comes=True),
    "anything": Kind(Any, st.none() | texts | st.lists(st.integers(), max_size=2), comes=True),
    "as_json": Kind(Json[list[int]], st.lists(st.integers(), max_size=2).map(json.dumps), comes=True),
    "aliased": Kind(int, st.integers(), comes=True, field=lambda: Field(alias="AliasOf")),
    "computed": Kind(int, st.integers(), comes=True),  # the model gets a computed field with it
    "one_way": Kind(int, st.integers(), field=lambda: Field(7, serialization_alias="written")),
    "two_ways": Kind(int, st.integers(), field=lambda: Field(7, serialization_alias="w", validation_alias="r")),
    "choices": Kind(int, st.integers(), field=lambda: Field(7, validation_alias=AliasChoices("c1", "c2"))),
    "excluded": Kind(int, st.integers(), field=lambda: Field(7, exclude=True)),
    "secret": Kind(SecretStr, texts.map(SecretStr)),
    "secret_bytes": Kind(SecretBytes, st.binary(max_size=4).map(SecretBytes)),
    "by_level": Kind(dict[Level, str], st.dictionaries(st.sampled_from(Level), texts)),
    "by_pair": Kind(dict[tuple[int, int], str], st.dictionaries(st.just((1, 2)), texts)),
    "pair": Kind(Pair, st.sampled_from(Pair)),
    "day": Kind(Day, st.sampled_from(Day)),
    "moment": Kind(datetime, st.datetimes(datetime(1900, 1, 1), timezones=st.sampled_from([old, UTC]))),
    "rounded": Kind(Annotated[float, PlainSerializer(lambda x: round(x, 1))], st.floats(-9, 9)),  # pyright: ignore
    "either": Kind(datetime | str, st.datetimes() | texts),
    "bytes": Kind(bytes, st.binary(max_size=4)),
    "exact": Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False), comes=True),
}  # fmt: skip


@st.composite
def models(draw: st.DrawFn) -> tuple[BaseModel, list[str]]:
    """A model of a class made for it, and the names of its fields that may be refused."""
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4, unique=True))
    fields: dict[str, Any] = {name: (KINDS[name].annotation, KINDS[name].field()) for name in names}
    config = ConfigDict(extra=draw(st.sampled_from(["ignore", "forbid"])), populate_by_name=draw(st.booleans()))
    if "computed" in names:
        base = type("Base", (BaseModel,), {"twice": computed(), "__module__": __name__, "model_config": config})
        kind: Any = create_model("Made", __base__=base, **fields)
    else:
        kind = create_model("Made", __config__=config, **fields)
    given: dict[Any, Any] = {}
    for name in names:
        info: Any = kind.model_fields[name]
        key = info.validation_alias or name
        given[key.choices[0] if isinstance(key, AliasChoices) else key] = draw(KINDS[name].values)
    model = kind.model_validate(given)
    if draw(st.booleans()):
        fields = {"held": (list.__class_getitem__(kind), ...)}
        holder: Any = create_model("Holder", __config__=config, **fields)
        model = holder(held=[model])
    return model, [name for name in names if not KINDS[name].comes]


def computed() -> Any:
    def twice(self: Any) -> int:
        return 2 * self.computed

    return computed_field(property(twice))


@settings(max_examples=150)
@given(models())
def test_a_model_comes_back_or_is_refused_by_the_name_of_its_field(made: tuple[BaseModel, list[str]]) -> None:
    model, risky = made
    try:
        stored = json.loads(json.dumps(converter.to_json(model)))
    except SerializationError as error:
        names = [*risky, "c1", "r", "w"]
        assert risky, error
        assert re.search(rf"at [\w.]*({'|'.join(names)})", str(error)) or "ser_json_bytes" in str(error), error
    else:
        assert converter.from_json(stored, type(model)) == model


# ------------------------------------------------------------------ what comes back


class Drawing(BaseModel):
    shapes: list[Shape]


class OneWay(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    number: int = Field(7, serialization_alias="written")


class Box(BaseModel):
    model_config = ConfigDict(extra="forbid")
    width: int

    @computed_field
    @property
    def area(self) -> int:
        return self.width**2


class Entity(BaseModel):
    number: int
    _cache: dict[str, int] = PrivateAttr(default_factory=dict[str, int])


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    anything: Any = None
    items: Sequence[date] = ()
    by_day: dict[date, Any] = {}


class Turned(BaseModel):
    at: datetime  # when clocks are set back, Python finds it unequal to the same time in another zone


class Listed(BaseModel, Generic[T]):
    items: list[T]


class Point(NamedTuple):
    x: date
    y: int


@dataclass
class Holder(Generic[T]):
    held: T
    base: Base | None = None
    point: Point | None = None
    total: int = field(init=False, default=0)


cached = Entity(number=1)
cached._cache["n"] = 1  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (Box(width=3), {"width": 3}),  # extra=forbid: its own computed field would be refused
        (OneWay(number=1), {"number": 1}),  # the alias of writing is none of reading
        (cached, {"number": 1}),  # private attributes are no data
        (Loose(anything=(1, date.min)), {"anything": [1, "0001-01-01"], "items": [], "by_day": {}}),
        (
            Loose(by_day={date.min: (date.min,)}),
            {"anything": None, "items": [], "by_day": {"0001-01-01": ["0001-01-01"]}},
        ),
        (Loose(more=[date.min]), {"anything": None, "items": [], "by_day": {}, "more": ["0001-01-01"]}),  # pyright: ignore
        (Loose(items=(date.min,)), {"anything": None, "items": ["0001-01-01"], "by_day": {}}),
        (Listed(items=[date.min]), {"items": ["0001-01-01"]}),  # whose T only the reader knows
        (Holder(date.min), {"held": "0001-01-01", "base": None, "point": None, "total": 0}),
        (Drawing(shapes=[Circle(name="c", radius=3)]), {"shapes": [{"name": "c", "radius": 3}]}),
        (
            Holder(1, Derived("d", date.min), Point(date.min, 2)),
            {"held": 1, "base": {"name": "d", "more": "0001-01-01"}, "point": ["0001-01-01", 2], "total": 0},
        ),
        (
            Turned(at=datetime(2024, 10, 27, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))),
            {"at": "2024-10-27T02:30:00+02:00"},
        ),
        (datetime(1900, 1, 1, tzinfo=old), "1899-12-31T23:40:28Z"),
        ({Number.ONE: 1, 2: 2}, {"1": 1, "2": 2}),
    ],
    ids=lambda value: f"{value}"[:40],
)
def test_what_the_own_type_reads_back_is_written(value: Any, stored: Any) -> None:
    assert converter.to_json(value) == stored


def test_a_reader_of_the_derived_models_gets_their_fields() -> None:
    class AsRead(BaseModel):
        shapes: list[Circle]

    given = Drawing(shapes=[Circle(name="c", radius=3)])
    assert converter.from_json(converter.to_json(given), AsRead).shapes == given.shapes


def test_a_subclass_of_another_library_is_written_as_what_it_derives_from() -> None:
    class Moment(datetime):
        pass

    class Name(str):
        def __str__(self) -> str:
            return "shown otherwise"

    value = {"at": Moment(2024, 1, 1), Name("n"): Name("m")}
    assert converter.to_json(value) == {
        "at": "2024-01-01T00:00:00",
        "n": "m",
    }


# ------------------------------------------------------------------ what is refused


class Hidden(Shape):
    password: SecretStr


class Login(BaseModel):
    password: SecretStr


@dataclass
class Dated:
    on: str


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (Login(password=SecretStr("horse")), "at password: a secret is written as asterisks; let the activity"),
        ([SecretBytes(b"horse")], "at 0: a secret is written as asterisks"),
        (Loose(anything=SecretStr("horse")), "at anything: a secret is written as asterisks"),
        (Drawing(shapes=[Hidden(name="h", password=SecretStr("horse"))]), r"at shapes\.0\.password: a secret"),
        (Pair.A, "type Pair would not read it back"),
        ({"day": [Day.FIRST]}, r"at day\.0: type Day would not read it back"),
        ({Level.LOW: 1}, r"at Level\.LOW: a key of type Level would not be read back"),
        ({(1, 2): 1}, r"at \(1, 2\): a key of type tuple would not be read back"),
        ({None: 1}, "at None: a key of type NoneType would not be read back"),
        ({old: 1}, r"at UTC\+00:19:32: Unable to serialize unknown type"),
        ({"a": {1: 1, "1": 2}}, "at a: two of its keys are the same text in JSON: 1 and '1'"),
        (Loose(anything={1: 1, "1": 2}), "at anything: two of its keys are the same text in JSON"),
        ([Decimal("NaN")], "at 0: JSON has no NaN"),
        (Decimal("-Infinity"), "JSON has no -Infinity"),
        ({"raw": bytearray(b"x")}, "at raw: no value of type bytearray can be read from JSON"),
        (Dated(date.min), "at on: this date would be read back as a value of type str"),  # pyright: ignore[reportArgumentType]
        (Dated(5), "at on: type Dated would not read it back: Input should be a valid string"),  # pyright: ignore[reportArgumentType]
        ([Point(1, 2)], r"at 0\.0: type Point would not read it back"),  # pyright: ignore[reportArgumentType]
    ],
    ids=lambda value: f"{value}"[:40],
)
def test_what_would_not_come_back_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(SerializationError, match=f"cannot be written as JSON: {says}") as found:
        converter.to_json(value)
    assert "horse" not in str(found.value)
