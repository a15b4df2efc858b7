"""The module of this name in Durable Functions."""

from ..http import ManagedIdentityTokenSource, TokenSource

__all__ = ["ManagedIdentityTokenSource", "TokenSource"]
