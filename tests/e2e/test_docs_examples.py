"""Every file in ``docs/examples`` runs, and keeps what it promises, warm and cold."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from durable_core import Registry
from durable_core.settings import Settings
from durable_core.testing.simulation import World
from tests.support.examples import EXAMPLES, example_module


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.stem)
def example(request: pytest.FixtureRequest) -> Generator[ModuleType]:
    path: Path = request.param
    with example_module(path) as module:
        yield module


@pytest.mark.parametrize("cache", ["warm", "cold"])
def test_an_example_of_the_docs_does_what_it_says(example: ModuleType, cache: str) -> None:
    """The file's orchestrators and activities are registered; its ``example(client)`` drives them and asserts.

    A file may define ``SETTINGS`` where the app needs other ones than the defaults, its payload ``CODEC``, and its
    ``INTERCEPTORS``.
    """
    settings: Settings = getattr(example, "SETTINGS", Settings())
    if cache == "cold":
        settings = replace(settings, warm_cache=0)
    registry = Registry.scan(example).intercept(*getattr(example, "INTERCEPTORS", ()))
    world = World(registry, settings=settings, codec=getattr(example, "CODEC", None))
    world.run(lambda world: example.example(world.client))
    assert not world.errors, world.errors
    assert not world.failures, world.failures
