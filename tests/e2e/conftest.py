"""Hosts for the end-to-end tests: one per module for each store and cache setting, or one of a test's own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest

from durable_core.testing.azurite import Azurite
from tests.support.azurite import azurite
from tests.support.hosts import HostProcess
from tests.support.http_client import HttpClient

__all__ = ["azurite"]

STORES = ("embedded", "azurite")
CACHES = ("warm", "cold")


def settings_of(request: pytest.FixtureRequest, store: str, cache: str = "warm") -> Mapping[str, str]:
    """The environment of a host on this store: on Azurite in a task hub of its own."""
    settings = {"DURABLE_WARM_CACHE": "0"} if cache == "cold" else {}
    if store == "azurite":
        emulator: Azurite = request.getfixturevalue("azurite")
        settings["AzureWebJobsStorage"] = emulator.connection_string
        settings["DURABLE_HUB"] = "t" + uuid4().hex[:12]
    return settings


@pytest.fixture(scope="module", params=[(s, c) for s in STORES for c in CACHES], ids="-".join)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    """A running host that the tests of a module share."""
    store, cache = request.param
    with HostProcess(tmp_path_factory.mktemp("host"), env=settings_of(request, store, cache)) as running:
        yield running


@pytest.fixture
async def http(host: HostProcess) -> AsyncIterator[HttpClient]:
    async with HttpClient(host.url) as client:
        yield client


@pytest.fixture(params=STORES)
def own_host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HostProcess]:
    """A running host of this test alone, to be killed and restarted."""
    with HostProcess(tmp_path / "host", env=settings_of(request, request.param)) as running:
        yield running


@pytest.fixture(params=STORES)
def two_hosts(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[HostProcess, HostProcess]]:
    """Two running hosts on one store and one shop, which log every conflict."""
    settings = settings_of(request, request.param)
    with ExitStack() as stack:
        left, right = (
            stack.enter_context(HostProcess(tmp_path / "hosts", env=settings, name=name, options=["--verbose"]))
            for name in ("left", "right")
        )
        yield left, right
