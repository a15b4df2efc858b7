"""An app of Durable Functions that is served, and its client."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

import durable_core.df as df
from tests.df.apps import make_app, served
from tests.support.function_host import FunctionHost


@pytest.fixture
async def host() -> AsyncGenerator[FunctionHost]:
    async with served(make_app()) as running:
        yield running


@pytest.fixture
def client(host: FunctionHost) -> df.DurableOrchestrationClient:
    return df.DurableOrchestrationClient(host.durable)
