"""Access tokens of the app's managed identity, for the requests of ``ctx.call_http``.

Asks the endpoint that App Service and Functions give to a process with an identity (``IDENTITY_ENDPOINT`` and
``IDENTITY_HEADER``, protocol 2019-08-01), as the Azure SDK does, which need not be installed for it.
``AZURE_CLIENT_ID`` chooses a user-assigned identity. Tokens are kept in memory until five minutes before their end,
and stored nowhere.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, HttpCallError

if TYPE_CHECKING:
    import aiohttp

ENDPOINT, HEADER, CLIENT_ID = "IDENTITY_ENDPOINT", "IDENTITY_HEADER", "AZURE_CLIENT_ID"
VERSION = "2019-08-01"
MARGIN = 300.0  # seconds before its end at which a token is renewed


class ManagedIdentity:
    """The identity of this process. ``clock``: seconds since 1970."""

    def __init__(self, environ: Mapping[str, str] | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._environ = os.environ if environ is None else environ
        self._clock = clock
        self._tokens: dict[str, tuple[str, float]] = {}

    async def token(self, session: aiohttp.ClientSession, resource: str) -> str:
        """A token for a resource, such as ``https://management.core.windows.net``.

        Raises ConfigurationError if this process has no identity, HttpCallError if the endpoint refuses a token or
        does not answer as specified.
        """
        kept = self._tokens.get(resource)
        if kept is not None and kept[1] - MARGIN > self._clock():
            return kept[0]
        endpoint, secret = self._environ.get(ENDPOINT, ""), self._environ.get(HEADER, "")
        if not endpoint or not secret:
            raise ConfigurationError(
                f"no token for '{resource}': this process has no managed identity ({ENDPOINT} and {HEADER} are not "
                "set); assign one to the app in Azure"
            )
        query = {"api-version": VERSION, "resource": resource}
        if client_id := self._environ.get(CLIENT_ID, ""):
            query["client_id"] = client_id
        async with session.get(endpoint, params=query, headers={"X-IDENTITY-HEADER": secret}) as answer:
            if answer.status != 200:
                raise HttpCallError(
                    f"no token for '{resource}': the endpoint of the managed identity answered {answer.status}",
                    answer.status,
                )
            token, ends = _read(await answer.json(content_type=None), resource)
        self._tokens[resource] = (token, ends)
        return token


def _read(body: Any, resource: str) -> tuple[str, float]:
    """The token, and the end of its life in seconds since 1970. HttpCallError."""
    try:
        return str(body["access_token"]), float(body["expires_on"])
    except (KeyError, TypeError, ValueError):
        # Not with the body, which may hold a token.
        raise HttpCallError(f"no token for '{resource}': the managed identity's answer has no token") from None
