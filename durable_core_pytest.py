"""The pytest plugin: the fixture ``durable``, a test environment for each test that asks for it.

It is a module of its own, outside of the package, because pytest loads the plugins of everything that is installed:
``durable_core`` itself is imported by the first test that asks for the fixture, and not at all where none does.

``durable_modules`` in pytest's settings names modules, packages as a rule, whose orchestrators and activities every
environment has from the start::

    [tool.pytest.ini_options]
    durable_modules = ["orchestrators", "activities"]
"""

from __future__ import annotations

from collections.abc import Generator
from importlib import import_module
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from durable_core.testing import TestEnvironment

MODULES = "durable_modules"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini(
        MODULES, "modules whose orchestrators and activities the fixture 'durable' has registered", "args", []
    )


@pytest.fixture
def durable(pytestconfig: pytest.Config) -> Generator[TestEnvironment]:
    """A ``durable_core.testing.TestEnvironment``; after the test every instance of it is replayed once more."""
    from durable_core.testing import TestEnvironment

    modules: list[str] = pytestconfig.getini(MODULES)
    environment = TestEnvironment(*map(import_module, modules))
    yield environment
    environment.close()
