"""Values of Durable Functions: which objects are written, and as which classes they are read back."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from durable_core.df.serialization import KnownClasses, encode
from durable_core.errors import SerializationError
from tests.df import shapes
from tests.df.shapes import Point


class Line:
    def __init__(self, ends: list[Point]) -> None:
        self.ends = ends

    def to_json(self) -> Any:
        return {"ends": self.ends}

    @classmethod
    def from_json(cls, data: Any) -> Line:
        return cls(data["ends"])


class OnlyOut:
    def to_json(self) -> int:
        return 1


def names_line(line: Line) -> None: ...


def names_nothing(value: Any) -> None: ...


POINT = {"__class__": "Point", "__module__": "tests.df.shapes", "__data__": [1, 2]}


def test_objects_are_written_with_class_module_and_data_also_inside_each_other() -> None:
    line = {"__class__": "Line", "__module__": __name__, "__data__": {"ends": [POINT]}}
    assert encode({"a": (Line([Point(1, 2)]), 3)}) == {"a": [line, 3]}


def test_what_is_written_does_not_change_with_the_value() -> None:
    value: dict[str, Any] = {"a": [1]}
    written = encode(value)
    value["a"].append(2)
    assert written == {"a": [1]}


def test_other_objects_are_left_to_the_converter() -> None:
    other = SimpleNamespace(a=1)
    assert encode([other, Point]) == [other, Point]


def test_objects_come_back_by_the_classes_that_an_annotation_names() -> None:
    known = KnownClasses()
    known.add_of(names_line)
    back = known.decode(encode([Line([Point(1, 2)])]))
    assert isinstance(back[0], Line) and back[0].ends == [Point(1, 2)]


def test_classes_that_a_module_of_the_app_holds_or_imports_are_known() -> None:
    known = KnownClasses()
    known.add_of(names_nothing)
    assert known.decode(POINT) == Point(1, 2)
    circle = {"__class__": "Circle", "__module__": "tests.df.shapes", "__data__": 3}
    assert known.decode(circle).radius == 3, "named by the module that is imported here"
    assert shapes.Circle


def test_an_expected_type_is_known_from_then_on() -> None:
    known = KnownClasses()
    with pytest.raises(SerializationError, match=r"class 'Point' of module 'tests\.df\.shapes'"):
        known.decode(POINT)
    assert known.decode({"at": [POINT]}, list[Point] | None) == {"at": [Point(1, 2)]}
    assert known.decode(POINT) == Point(1, 2)


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("subprocess", "Popen"),
        ("os", "system"),
        ("builtins", "eval"),
        ("tests.df.never_imported", "Evil"),
        (__name__, "OnlyOut"),
        ("tests.df.shapes", "hidden"),
        (["os"], {"a": 1}),
        (None, None),
    ],
)
def test_a_stored_name_never_imports_or_finds_what_the_app_does_not_name(module: Any, name: Any) -> None:
    known = KnownClasses()
    known.add_of(names_nothing)
    before = set(sys.modules)
    with pytest.raises(SerializationError, match="which this app does not name"):
        known.decode({"__class__": name, "__module__": module, "__data__": "true"})
    assert set(sys.modules) == before
    assert subprocess and OnlyOut


def test_an_object_without_all_three_names_is_a_dict() -> None:
    value = {"__class__": "Point", "__data__": [1, 2]}
    assert KnownClasses().decode(value) == value


def test_a_class_of_another_module_with_the_same_name_is_another_class() -> None:
    known = KnownClasses()
    known.add(Point)
    with pytest.raises(SerializationError, match="module 'elsewhere'"):
        known.decode(POINT | {"__module__": "elsewhere"})


def test_a_class_that_is_defined_after_its_functions_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    late = ModuleType("late")
    exec("def act(value): ...", vars(late))
    known = KnownClasses()
    known.add_of(vars(late)["act"])
    with pytest.raises(SerializationError):
        known.decode(POINT)
    vars(late)["P"] = Point
    assert known.decode(POINT) == Point(1, 2)


def test_what_from_json_raises_is_raised() -> None:
    known = KnownClasses()
    known.add(Point)
    with pytest.raises(TypeError):
        known.decode(POINT | {"__data__": 5})
