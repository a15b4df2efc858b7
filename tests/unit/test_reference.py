"""The pages that are made of the code are current, and name everything that is public."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import durable_core
from durable_core import (
    ActivityContext,
    DurableClient,
    OrchestrationContext,
    Saga,
    Task,
    TimerTask,
    activity,
    orchestrator,
)
from durable_core.hosting.functions import Durable
from durable_core.testing import TestEnvironment
from tools.reference import GUIDE, INTERNAL, PUBLIC, REFERENCE, entries, members, render_reference, with_examples

PAGES = sorted(GUIDE.glob("*.md"))
WRITE = "run python -m tools.reference"


def test_the_reference_is_current() -> None:
    assert REFERENCE.read_text("utf-8") == render_reference(), WRITE


def test_every_public_name_is_in_the_reference() -> None:
    named = set(re.findall(r"`@?(\w+)", REFERENCE.read_text("utf-8")))
    assert set(durable_core.__all__) - named == set()


def test_every_name_in_the_reference_can_be_imported_as_it_says() -> None:
    lines = re.findall(r"`from (\S+) import (\w+)`", REFERENCE.read_text("utf-8"))
    assert {name for _, name in lines} >= {"Durable", "DurableClient", "Settings", "TestEnvironment", "SqliteStorage"}
    assert [line for line in lines if not hasattr(import_module(line[0]), line[1])] == []


def test_what_is_internal_is_in_the_code_and_not_in_the_reference() -> None:
    sections = dict(re.findall(r"^## `@?(\w+)[^\n]*\n(.*?)(?=^## |\Z)", render_reference(), re.MULTILINE | re.DOTALL))
    classes = {name: getattr(import_module(module), name) for module, names in PUBLIC.items() for name in names}
    for cls, names in INTERNAL.items():
        known = {*dir(classes[cls]), *inspect.get_annotations(classes[cls]), *entries(classes[cls])}
        for name in names:
            assert name in known, f"{cls}.{name} is no longer there"
            assert not re.search(rf"^\| `{name}\b", sections[cls], re.MULTILINE), f"{cls}.{name}"


@pytest.mark.parametrize(
    "cls", [OrchestrationContext, Durable, DurableClient, ActivityContext, Task, TimerTask, Saga, TestEnvironment]
)
def test_every_method_and_property_is_in_the_reference_and_says_what_it_does(cls: type) -> None:
    rows = {re.split(r"\W", name.strip("`"))[0]: text for name, text in members(cls)}
    public = {name for name in dir(cls) if not name.startswith("_")}
    fields = set(inspect.get_annotations(cls))
    slots = {name for name in public if inspect.ismemberdescriptor(getattr(cls, name))}
    assert public - fields - slots - rows.keys() - set(INTERNAL.get(cls.__name__, [])) == set()
    assert [name for name, text in rows.items() if not text] == []


@pytest.mark.parametrize("decorator", [orchestrator, activity])
def test_every_option_of_a_decorator_is_in_the_reference(decorator: Callable[..., Any]) -> None:
    section = render_reference().split(f"## `@{decorator.__name__}`")[1].split("\n## ")[0]
    options = [p.name for p in inspect.signature(decorator).parameters.values() if p.kind is p.KEYWORD_ONLY]
    assert [option for option in options if f"| `{option}` |" not in section] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_of_the_guide_begins_with_code_that_is_run_by_a_test(page: Path) -> None:
    text = page.read_text("utf-8")
    assert re.match(r"# .+\n\n(## .+\n\n)?<!-- examples/\w+\.py(, whole)? -->\n+```python\n\S", text)
    assert with_examples(text) == text, WRITE
