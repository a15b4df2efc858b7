"""Warnings at registration, and the likely cause of a mismatch: for functions that are loaded already."""

from __future__ import annotations

import importlib.util
import logging
import sys
from collections.abc import Callable, Generator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from durable_core import Registry, orchestrator
from durable_core.linter import clock_and_chance_in, warn_of

SOURCE = """\
import random
import time
from durable_core import orchestrator
from beside import limit

def shift():
    return random.randint(1, 6)

@orchestrator(name="night")
def watch(ctx):
    if time.time() > shift():
        print("late")
        yield from ctx.call_activity("a", limit())

@orchestrator
def day(ctx):
    ctx.call_activity("a")
    yield from ctx.call_activity("b", time.time())  # durable: ignore[DC101]

@orchestrator
def unregistered(ctx):
    yield from ctx.call_activity("a", time.time())
"""
BESIDE = "import os\ndef limit():\n    return os.environ['LIMIT']\n"


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[ModuleType]:
    monkeypatch.syspath_prepend(tmp_path)  # pyright: ignore[reportUnknownMemberType]
    (tmp_path / "beside.py").write_text(BESIDE, "utf-8")
    path = tmp_path / "flows.py"
    path.write_text(SOURCE, "utf-8")
    spec = importlib.util.spec_from_file_location("flows", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    yield loaded
    sys.modules.pop("beside", None)


def test_each_finding_in_what_is_registered_is_warned_of_once(
    module: ModuleType, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "durable_core.linter"):
        assert warn_of([module.watch, module.day, module.watch]) == 4
    told = [record.getMessage() for record in caplog.records]
    assert {record.name for record in caplog.records} == {"durable_core.linter"}
    assert [message.split(": ", 1)[1].split(" ")[0] for message in told] == ["DC301", "DC201", "DC101", "DC401"]
    assert "flows.py:7: DC201" in told[1]
    assert "(called from orchestrator 'night' through 'shift')" in told[1]


def test_functions_without_source_are_passed_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    space: dict[str, Any] = {"orchestrator": orchestrator}
    exec("import time\n@orchestrator\ndef typed(ctx):\n    yield time.time()\n", space)
    gone = tmp_path / "gone.py"
    gone.write_text("def broken(ctx):\n    yield 1\n", "utf-8")
    exec(compile(gone.read_text("utf-8"), str(gone), "exec"), space)
    gone.write_text("def (", "utf-8")
    functions: list[Callable[..., Any]] = [space["typed"], space["broken"], len]
    assert warn_of(functions) == 0
    assert caplog.records == []
    assert [clock_and_chance_in(function) for function in functions] == [[], [], []]


def test_a_linter_that_fails_keeps_no_app_from_starting(
    module: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("durable_core.linter.linting.Linter.look_at", fail)
    assert warn_of([module.watch]) == 0
    assert clock_and_chance_in(module.watch) == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_likely_cause_names_clocks_chance_and_environment_and_nothing_else(module: ModuleType) -> None:
    found = clock_and_chance_in(module.watch)
    assert [(suspect.at, suspect.expression) for suspect in found] == [
        ("beside.py:3", "os.environ"),
        ("flows.py:7", "random.randint()"),
        ("flows.py:11", "time.time()"),
    ]
    assert found[2].replacement == "ctx.current_utc_datetime"
    assert str(found[2]) == "flows.py:11 has time.time() (use ctx.current_utc_datetime)"
    assert clock_and_chance_in(module.day) == []


def test_the_samples_have_nothing_to_be_warned_of() -> None:
    import orchestrators

    registry = Registry.scan(orchestrators)
    names = registry.orchestrator_names
    assert names
    assert warn_of([registry.orchestrator(name).fn for name in names]) == 0
