"""The methods of interceptors that are orchestrator code are linted as such, and no others."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from durable_core import Interceptor, Orchestration, OrchestrationContext, OutgoingCall, Registry
from durable_core.linter import lint_paths, warn_of

CODE = """
import time

from durable_core import Interceptor, OrchestrationContext, OutgoingCall


class Base(Interceptor):
    pass


class Mine(Base):
    def around_orchestrator(self, ctx: OrchestrationContext, proceed):
        time.time()
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["at"] = time.time()

    async def around_activity(self, ctx, proceed):
        time.time()
        return await proceed()


class NoInterceptor:
    def before_call(self, ctx):
        time.time()
"""


def test_only_what_runs_as_orchestrator_code_is_checked(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(CODE)
    report = lint_paths([tmp_path])
    assert [(finding.line, finding.code, finding.orchestrator) for finding in report.findings] == [
        (13, "DC101", "Mine.around_orchestrator"),
        (17, "DC101", "Mine.before_call"),
    ]
    assert report.orchestrators == 2


class Late(Interceptor):
    def around_orchestrator(
        self, ctx: OrchestrationContext, proceed: Callable[[], Orchestration[Any]]
    ) -> Orchestration[Any]:
        return (yield from proceed())

    def before_call(self, ctx: OrchestrationContext, call: OutgoingCall) -> None:
        call.headers["at"] = time.time()


def test_an_app_is_warned_of_its_interceptors(caplog: pytest.LogCaptureFixture) -> None:
    assert warn_of(Registry().intercept(Late()).interceptors.of_code) == 1
    assert "test_interceptors.py" in caplog.text and "DC101" in caplog.text
