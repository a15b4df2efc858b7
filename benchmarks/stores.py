"""The stores to measure on: each is a set of environment variables for the app, as a newcomer would set them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from durable_core.testing.azurite import Azurite

RESULTS = Path(__file__).parent / "results"

Variant = Literal["sqlite", "azurite"]


@dataclass(frozen=True, slots=True)
class Store:
    """``server``: the process that keeps the data, if it is not this one."""

    variant: Variant
    server: int | None


@contextmanager
def fresh_store(variant: Variant) -> Generator[Store]:
    """An empty store, named in the environment, removed at the end. The file lies on the disk to be measured."""
    RESULTS.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=RESULTS))
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(("DURABLE_", "AzureWebJobs"))]:
            if name != "DURABLE_AZURITE_HOME":
                del os.environ[name]
        os.environ["DURABLE_STORE"] = str(folder / "durable.db")
        if variant == "sqlite":
            yield Store(variant, None)
        else:
            with Azurite() as azurite:
                os.environ.update({"AzureWebJobsStorage": azurite.connection_string})
                yield Store(variant, azurite.pid)
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)
