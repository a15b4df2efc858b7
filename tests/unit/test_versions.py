"""Several versions of one orchestrator: which one a start takes, and what cannot be registered together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest

from durable_core import Orchestration, OrchestrationContext, Registry, orchestrator
from durable_core.definitions import definition_of
from durable_core.errors import RegistrationError, UnknownOrchestratorError
from durable_core.orchestrator_versions import UNDECIDED, in_order, newest


def order(version: str, *, default: bool = False) -> Callable[..., Any]:
    @orchestrator(name="order", version=version, default=default)
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.wait_for_external_event("never")

    return code


def taken(*fns: Callable[..., Any], version: str | None = None) -> str:
    return Registry().add(*fns).orchestrator("order", version).version


@pytest.mark.parametrize(
    "versions",
    [["1", "2"], ["", "1"], ["9", "10"], ["1.9", "1.10"], ["v9", "v10"], ["1", "1.2"], ["2024-12", "2025-1"]],
)
def test_the_newest_is_the_highest_by_number_whatever_the_order_of_registration(versions: list[str]) -> None:
    assert in_order(reversed(versions)) == versions
    assert newest(reversed(versions)) == versions[-1]
    assert taken(*map(order, versions)) == taken(*map(order, reversed(versions))) == versions[-1]
    for version in versions:
        assert taken(*map(order, versions), version=version) == version
    assert Registry().add(*map(order, versions)).versions("order") == versions
    assert not Registry().versions("order")


def test_a_start_takes_the_default_version_where_there_is_one() -> None:
    assert taken(order("1"), order("2", default=True), order("3")) == "2"
    assert taken(order("1"), order("2", default=True), order("3"), version="3") == "3"
    builtin = definition_of(order("", default=True))
    assert builtin is not None
    assert Registry().add(order("1", default=True), order("2")).with_built_in().orchestrator("order").version == "1"


def test_two_defaults_of_one_name_are_refused_and_both_are_named() -> None:
    first = order("1", default=True)
    registry = Registry().add(first, first)
    with pytest.raises(RegistrationError, match=r"'1' \(.*test_versions.py:.*'2' \(.*test_versions.py:.*default=True"):
        registry.add(order("2", default=True))


@pytest.mark.parametrize("version", [2, None, "a b", "1/2", UNDECIDED, "x" * 65])
def test_what_cannot_be_a_version_is_refused_with_the_line(version: Any) -> None:
    with pytest.raises(RegistrationError, match=r"test_versions.py:\d+: the version of an orchestrator"):
        order(cast("str", version))


def test_a_version_that_is_not_here_is_told_with_those_that_are() -> None:
    with pytest.raises(
        UnknownOrchestratorError, match="'order' version '3'; registered: 'order' in no version, version '2'"
    ):
        taken(order(""), order("2"), version="3")
