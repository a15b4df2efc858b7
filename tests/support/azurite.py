"""One Azurite server for all tests of a process; import the fixture into the ``conftest.py`` that needs it."""

from __future__ import annotations

import fcntl
from functools import cache

import pytest

from durable_core.testing.azurite import Azurite


@cache
def shared_azurite() -> Azurite:
    """A running server, stopped when the process ends: a fixture imported twice must not start two."""
    home = Azurite.home()
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # of several workers one installs it, and the others wait for that
        Azurite.install()
    return Azurite().start()


@pytest.fixture(scope="session")
def azurite() -> Azurite:
    """A running server. Its queries scan everything in the account, so keep test data small."""
    return shared_azurite()
