"""One Azurite server for a whole test session; import the fixture where it is needed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from durable_core.testing.azurite import Azurite


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    """A running server. Its queries scan everything in the account, so keep test data small."""
    with Azurite() as server:
        yield server
