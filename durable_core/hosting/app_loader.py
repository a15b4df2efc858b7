"""Loads an app for tools that read histories: its code, its settings, its codec, and its task hub read-only.

The app is imported, but not opened: it runs no instance.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..codec import PayloadCodec
from ..converter import Converter
from ..errors import ConfigurationError
from ..hub.taskhub import TaskHub
from ..lazy_dataclass import dataclass
from ..registry import Registry
from ..settings import Settings
from ..storage.open import open_storage
from ..storage.read_only import ReadOnlyStorage
from ..storage.retrying import Patience, RetryingStorage
from .local.config import apply_local_settings
from .local.functions_index import SCRIPT, find_app, import_script

PATIENCE = 20.0  # seconds of retries with a store that does not respond


@dataclass(frozen=True, slots=True, kw_only=True)
class AppCode:
    """The code, settings and codec of an app. ``codec`` None: its data is stored without encoding."""

    registry: Registry
    settings: Settings
    codec: PayloadCodec | None = None

    @property
    def converter(self) -> Converter:
        return Converter(self.settings.max_payload)


def app_code(folder: Path, modules: Sequence[str] = ()) -> AppCode:
    """The code of the function app in a folder, or of these modules, which are imported with the folder in the path.

    The working directory becomes the folder, and its local.settings.json is applied, as by the local host.
    ConfigurationError; an exception of the app's own code at import passes through.
    """
    try:
        folder = folder.resolve(strict=True)
        os.chdir(folder)
    except OSError as error:
        raise ConfigurationError(f"--app: {error}") from error
    apply_local_settings(folder, os.environ)
    if not modules:
        return _of_function_app(folder)
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    try:
        found = [importlib.import_module(name) for name in modules]
    except ModuleNotFoundError as error:
        if error.name is None or not any(name == error.name or name.startswith(f"{error.name}.") for name in modules):
            raise
        raise ConfigurationError(f"--modules: there is no module '{error.name}' in {folder}") from error
    return AppCode(registry=Registry.scan(*found), settings=Settings.from_environment())


def _of_function_app(folder: Path) -> AppCode:
    from .functions import Durable

    app: Any = find_app(import_script(folder))
    hooks = {getattr(f.get_user_function(), "__durable_hooks__", None) for f in app.get_functions()}
    found = [each for each in hooks if isinstance(each, Durable)]
    if len(found) != 1:
        raise ConfigurationError(
            f"{SCRIPT} registers {len(found)} blueprints of durable_core instead of one; "
            "name the modules that hold the orchestrators with --modules"
        )
    return AppCode(registry=found[0].registry, settings=found[0].settings, codec=found[0].codec)


def with_place(settings: Settings, hub: str | None, store: str | None) -> Settings:
    """The settings, with the hub and the embedded store that a command line names. ConfigurationError."""
    if hub is not None:
        settings = replace(settings, hub=hub)
    if store is not None:
        if not settings.is_embedded:
            raise ConfigurationError(
                "--store names an embedded store, but AzureWebJobsStorage is set, too; use only one of them"
            )
        settings = replace(settings, store=store)
    return settings


@asynccontextmanager
async def open_to_read(settings: Settings, codec: PayloadCodec | None = None) -> AsyncGenerator[TaskHub]:
    """The hub that these settings name, through a storage that refuses every write.

    ConfigurationError if the embedded store does not exist, as opening it would create it; and if the hub was created
    with another number of partitions.
    """
    expect_store(settings)
    storage = ReadOnlyStorage(open_storage(settings))
    try:
        hub = TaskHub(RetryingStorage(storage, Patience(PATIENCE)), settings, codec=codec)
        await hub.check()
        yield hub
    finally:
        await storage.close()


def expect_store(settings: Settings) -> None:
    """ConfigurationError if the settings name an embedded store that does not exist: opening it would create it.

    UnusableStoreError if its file is not a store; NewerFormatError.
    """
    if not settings.is_embedded:
        return
    path = settings.store
    if not Path(path).is_file():
        raise ConfigurationError(
            f"there is no embedded store {path}; name it with --store, "
            "or set AzureWebJobsStorage to use a storage account"
        )
    from ..storage.sqlite.connection import check_unopened

    check_unopened(path)
