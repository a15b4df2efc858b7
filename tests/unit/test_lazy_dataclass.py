"""Classes of the lazy decorator behave as those of the standard library, and compile nothing before their first use."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import inspect
import pickle
import pkgutil
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import field, make_dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest
from pydantic import TypeAdapter

import durable_core
from durable_core import lazy_dataclass
from durable_core.lazy_dataclass import copier_of, dataclass, fields_of

T = TypeVar("T")
PROJECT = Path(__file__).resolve().parents[2]
OURS = "__lazy_fields__"


@dataclass(frozen=True, slots=True)
class Point:
    """A point."""

    x: int
    y: int = 2
    notes: list[str] = field(default_factory=list[str], compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    name: str
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived(Base):
    size: int = 5
    colour: str = "red"


@dataclass(slots=True)
class Worked:
    given: int
    doubled: int = field(init=False)
    kept: list[int] = field(init=False, default_factory=list[int])
    fixed: int = field(init=False, default=7)

    def __post_init__(self) -> None:
        self.doubled = 2 * self.given


@dataclass(frozen=True, slots=True, order=True)
class Version:
    major: int
    minor: int = 0


@dataclass(slots=True, eq=False)
class Box(Generic[T]):
    held: T


@dataclass(frozen=True, slots=True)
class Nothing: ...


@dataclass(frozen=True, slots=True)
class Unusual:
    value: float

    def __repr__(self) -> str:
        return "unusual"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unusual)

    def __hash__(self) -> int:
        return 3


@dataclasses.dataclass(frozen=True)
class OfAUser(Point):
    """What a user derives with the decorator of the standard library."""

    z: int = 9


def classes_of_the_package() -> Iterator[type[Any]]:
    for info in pkgutil.walk_packages(durable_core.__path__, "durable_core."):
        if "new_app.templates" in info.name or info.name.endswith("__main__"):
            continue
        module = importlib.import_module(info.name)
        for value in list(vars(module).values()):
            if inspect.isclass(value) and OURS in value.__dict__ and value.__module__ == info.name:
                yield value


def in_the_standard_library(cls: type[Any]) -> type[Any]:
    options: Any = cls.__dict__["__lazy_options__"]
    named = [(f.name, f.type, copy.copy(f)) for f in dataclasses.fields(cls)]
    return make_dataclass(cls.__name__, named, slots=True, namespace={"__module__": cls.__module__}, **options)


def test_every_class_of_the_package_has_the_signature_and_the_fields_of_a_standard_one() -> None:
    classes = list(classes_of_the_package())
    assert len(classes) > 150
    for cls in classes:
        standard = in_the_standard_library(cls)
        ours, theirs = inspect.signature(cls), inspect.signature(standard)
        assert [(p.name, p.kind, p.annotation) for p in ours.parameters.values()] == [
            (p.name, p.kind, p.annotation) for p in theirs.parameters.values()
        ], cls
        for name, parameter in ours.parameters.items():
            has_factory = fields_of(cls)[name].default_factory is not dataclasses.MISSING
            assert has_factory or parameter.default == theirs.parameters[name].default, (cls, name)
        assert cls.__match_args__ == standard.__match_args__, cls
        assert (cls.__hash__ is None) == (standard.__hash__ is None) or "__hash__" in vars(cls), cls
        assert dataclasses.is_dataclass(cls)


def test_defaults_and_factories() -> None:
    assert (Point(1).x, Point(1).y, Point(1).notes) == (1, 2, [])
    assert Point(1).notes is not Point(1).notes
    assert Point(1, notes=["a"]).notes == ["a"]
    make: Any = Point
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make(1, 2, [], 4)
    with pytest.raises(TypeError):
        make(1, colour="red")
    worked = Worked(4)
    assert (worked.given, worked.doubled, worked.kept, worked.fixed) == (4, 8, [], 7)
    assert Nothing() == Nothing()


def test_equality_is_of_the_class_and_of_the_compared_fields() -> None:
    assert Point(1) == Point(1, 2, ["another"])
    assert hash(Point(1)) == hash(Point(1, 2, ["another"]))
    assert Point(1) != Point(2)
    assert Point(1) != (1, 2)
    assert Base(name="a") != Derived(name="a", size=1)
    assert Unusual(1.0) == Unusual(2.0) and hash(Unusual(1.0)) == 3 and repr(Unusual(1.0)) == "unusual"
    not_a_number = float("nan")
    assert Version(not_a_number) == Version(not_a_number)  # pyright: ignore[reportArgumentType]  as tuples are compared
    box = Box(1)
    assert box == box and box != Box(1) and hash(box) == hash(box)
    with pytest.raises(TypeError, match="unhashable"):
        hash(Worked(1))


def test_order_is_that_of_the_fields() -> None:
    assert sorted([Version(2), Version(1, 5), Version(1)]) == [Version(1), Version(1, 5), Version(2)]
    assert Version(1) <= Version(1) and Version(2) > Version(1, 9)
    with pytest.raises(TypeError):
        assert Version(1) < (2, 0)  # pyright: ignore[reportOperatorIssue]


def test_a_frozen_instance_cannot_be_changed() -> None:
    for instance in (Point(1), Derived(name="a"), Nothing()):
        changing: Any = instance
        for name in ("x", "name", "unknown"):
            with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot assign to field '{name}'"):
                setattr(changing, name, 2)
            with pytest.raises(dataclasses.FrozenInstanceError, match=f"cannot delete field '{name}'"):
                delattr(changing, name)
    worked = Worked(1)
    worked.given = 5
    assert worked.given == 5
    with pytest.raises(AttributeError):
        worked.unknown = 1  # pyright: ignore[reportAttributeAccessIssue]


def test_an_inherited_field_keeps_its_place_and_takes_the_new_default() -> None:
    assert [f.name for f in dataclasses.fields(Derived)] == ["name", "size", "colour"]
    assert repr(Derived(name="a")) == "Derived(name='a', size=5, colour='red')"
    assert not hasattr(Derived(name="a"), "__dict__")


@pytest.mark.parametrize("instance", [Point(1, 3, ["n"]), Derived(name="a"), Version(1), Nothing()])
def test_instances_are_copied_pickled_and_replaced(instance: Any) -> None:
    assert copy.copy(instance) == instance
    assert copy.deepcopy(instance) == instance
    assert pickle.loads(pickle.dumps(instance)) == instance
    assert dataclasses.replace(instance) == instance
    assert type(dataclasses.replace(instance)) is type(instance)


def test_a_copier_copies_with_changes() -> None:
    copy_of, point = copier_of(Point), Point(1, 3, ["n"])
    made = copy_of(point, {"x": 7})
    assert (type(made), made.x, made.y, made.notes) == (Point, 7, 3, ["n"])
    assert made.notes is point.notes and point.x == 1
    with pytest.raises(AttributeError):
        copy_of(point, {"unknown": 1})


def test_the_functions_of_the_standard_library_work() -> None:
    assert dataclasses.asdict(Point(1)) == {"x": 1, "y": 2, "notes": []}
    assert dataclasses.astuple(Point(1)) == (1, 2, [])
    assert dataclasses.replace(Point(1), y=8) == Point(1, 8)
    assert repr(Point(1)) == "Point(x=1, y=2, notes=[])"
    match Point(4, 5):
        case Point(x, y):
            assert (x, y) == (4, 5)
    assert OfAUser(1, z=3).z == 3
    assert dataclasses.fields(OfAUser)[-1].name == "z"
    assert Point.__doc__ == "A point."


def test_pydantic_reads_and_writes_them() -> None:
    adapter = TypeAdapter(Point)
    assert adapter.validate_python({"x": "1", "notes": ["a"]}) == Point(1)
    assert adapter.dump_python(Point(1)) == {"x": 1, "y": 2, "notes": []}


def test_a_class_without_slots_is_refused() -> None:
    decorate: Any = lazy_dataclass.dataclass
    with pytest.raises(TypeError, match="standard library"):
        decorate(slots=False)


def test_threads_that_make_the_first_instance_at_once_all_get_one() -> None:
    for _ in range(50):
        made: Any = dataclass(frozen=True, slots=True)(type("Fresh", (), {"__annotations__": {"x": int}}))
        gate, got = threading.Barrier(4), list[Any]()

        def make(made: Any = made, gate: threading.Barrier = gate, got: list[Any] = got) -> None:
            gate.wait(30)
            got.append(made(1))

        threads = [threading.Thread(target=make) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert got == [made(1)] * 4


def test_no_module_of_the_package_takes_the_decorator_of_the_standard_library() -> None:
    of_the_library = re.compile(r"^(from dataclasses import .*\bdataclass\b|@dataclasses\.dataclass)", re.MULTILINE)
    found = {
        path.relative_to(PROJECT / "durable_core").as_posix()
        for path in (PROJECT / "durable_core").rglob("*.py")
        if "templates" not in path.parts and of_the_library.search(path.read_text("utf-8"))
    }
    assert not found


def test_the_import_of_the_package_compiles_no_methods() -> None:
    """The standard library's decorator would compile some six hundred of them."""
    script = (
        "import sys, azure.functions, logging\n"
        "compiled = []\n"
        "def hook(event, arguments):\n"
        "    if event == 'compile' and isinstance(arguments[0], str) and 'def __' in arguments[0]:\n"
        "        compiled.append(arguments[0])\n"
        "sys.addaudithook(hook)\n"
        "import durable_core.runtime.app, durable_core.hosting.functions, durable_core.hosting.local.host\n"
        "print(len(compiled))\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=PROJECT)
    assert int(run.stdout) <= 20
