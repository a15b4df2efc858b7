"""Chooses the storage adapter for an app's settings. Imports an adapter only when it is the one chosen."""

from __future__ import annotations

from ..settings import Settings
from .ports import Storage


def open_storage(settings: Settings) -> Storage:
    """The embedded store if no Azure connection is set, else Azure (or Azurite). ConfigurationError."""
    if settings.is_embedded:
        from .sqlite.store import SqliteStorage

        return SqliteStorage(settings.store)
    from .azure.store import AzureStorage

    return AzureStorage(settings.connection, by_sdk=settings.azure_sdk)
