"""The embedded store: tables and queues over one SQLite file."""

from .store import SqliteStorage as SqliteStorage
