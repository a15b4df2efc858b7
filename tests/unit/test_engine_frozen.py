"""What is made by a twin is what calling the class makes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass, field
from typing import Any

import pytest

from durable_core.engine.frozen import maker, twin_of


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    y: int = 2
    note: str = field(default="", compare=False)


@dataclass(frozen=True)
class WithoutSlots:
    x: int


def test_what_a_maker_makes_is_equal_and_of_the_class_itself() -> None:
    made = maker(Point)(1, 3, "here")
    assert type(made) is Point
    assert made == Point(1, 3)
    assert hash(made) == hash(Point(1, 3))
    assert (made.x, made.y, made.note) == (1, 3, "here")
    assert repr(made) == repr(Point(1, 3, "here"))


def test_what_a_maker_makes_cannot_be_changed() -> None:
    made: Any = maker(Point)(1, 3, "")
    with pytest.raises(FrozenInstanceError):
        made.x = 2
    with pytest.raises(FrozenInstanceError):
        del made.x
    assert made.x == 1


def test_what_a_maker_makes_can_be_copied_and_pickled() -> None:
    made = maker(Point)(1, 3, "here")
    assert copy.deepcopy(made) == made
    assert pickle.loads(pickle.dumps(made)) == made


def test_defaults_and_missing_arguments_are_those_of_the_class() -> None:
    make: Any = maker(Point)
    assert make(1) == Point(1)
    with pytest.raises(TypeError):
        make()
    with pytest.raises(TypeError):
        make(1, 2, "", 4)


def test_a_twin_leaves_out_what_it_is_told_to_pass_over() -> None:
    made = twin_of(Point, "code")("PT", 1, 3)
    made.__class__ = Point
    assert made == Point(1, 3)


def test_a_class_whose_instances_have_a_dict_has_no_twin() -> None:
    with pytest.raises(TypeError):
        twin_of(WithoutSlots)
