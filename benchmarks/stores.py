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
VARIANTS: tuple[Variant, ...] = ("sqlite", "azurite")


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    """``server``: the process that keeps the data, if it is not this one. ``folder``: for what a workload writes."""

    variant: Variant
    folder: Path
    server: int | None = None

    @property
    def pids(self) -> dict[str, int]:
        """Role to process id."""
        return {} if self.server is None else {"azurite": self.server}


@contextmanager
def fresh_store(variant: Variant, results: Path = RESULTS) -> Generator[Store]:
    """An empty store, named in the environment, removed at the end.

    The file lies beside the results, on the disk to be measured: where temporary files live in memory an fsync is free.
    Azurite keeps its data in memory where the machine allows it: it promises no durability in any case.
    """
    results.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="store-", dir=results))
    before = dict(os.environ)
    try:
        for name in [name for name in os.environ if name.startswith(("DURABLE_", "AzureWebJobs"))]:
            if name != "DURABLE_AZURITE_HOME":
                del os.environ[name]
        os.environ["DURABLE_STORE"] = str(folder / "durable.db")
        match variant:
            case "sqlite":
                yield Store(variant=variant, folder=folder)
            case "azurite":
                with Azurite() as azurite:
                    os.environ.update({"AzureWebJobsStorage": azurite.connection_string})
                    yield Store(variant=variant, folder=folder, server=azurite.pid)
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(folder, ignore_errors=True)
