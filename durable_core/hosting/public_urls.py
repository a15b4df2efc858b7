"""The absolute URLs of the API, in the form in which a caller has reached it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from .http_types import HttpRequest


class PublicUrls:
    """base: the route of the API, below the host's route prefix. address: the public address of the app, such as
    https://orders.example.com; '' takes the address that each request was sent to."""

    def __init__(self, base: str, address: str) -> None:
        self._base = base.strip("/")
        self._address = address.rstrip("/")
        self._before_base = re.compile(rf"^(.*?)/{re.escape(self._base)}/", re.IGNORECASE)

    def base(self, request: HttpRequest) -> str:
        """The URL of the API's base."""
        before = self._before_base.match(urlsplit(request.url).path)
        return f"{self._address or request.origin}{before[1] if before else '/api'}/{self._base}"

    def same(self, request: HttpRequest) -> str:
        """The URL of the request itself: a capability URL never creates one that expires later."""
        parts = urlsplit(request.url)
        return f"{self._address or request.origin}{parts.path}" + (f"?{parts.query}" if parts.query else "")
