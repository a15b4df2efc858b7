"""Tools for tests: replay of histories, fault injection, a world in virtual time, an Azurite to test against."""

from .replaying import History, load_history, replay

__all__ = ["History", "load_history", "replay"]
