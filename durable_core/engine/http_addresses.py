"""Addresses of durable HTTP calls: checks, resolving a Location, and hiding secrets before an address is shown."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

HIDDEN = "***"

_USER = re.compile(r"(?<=//)[^/?#]*@")
_QUERY_VALUE = re.compile(r"(?<==)[^&#]*")


def is_http(address: str) -> bool:
    """Whether this is an absolute http or https address with a host and, if it has a port, with a valid one."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # urlsplit raises it for an unclosed bracket, port for a number above 65,535
        return False


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port. Headers for one origin must not be sent to another."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def following(address: str, location: str) -> str | None:
    """The absolute address of a Location header; None if it is not an http or https address."""
    try:
        found = urljoin(address, location)
    except ValueError:
        return None
    return found if is_http(found) else None


def shown(address: str) -> str:
    """The address for failures and logs: without user, password, fragment and the values of the query.

    Any query parameter may hold a key (``code``, ``sig``, ``token``), so no value is shown. The path is shown whole.
    """
    before, question, query = address.partition("#")[0].partition("?")
    return _USER.sub(f"{HIDDEN}@", before) + question + _without_values(query)


def _without_values(query: str) -> str:
    """The query with its values hidden. A part without ``=`` may be a key itself, so all of it is hidden."""
    return "&".join(_QUERY_VALUE.sub(HIDDEN, part) if "=" in part else HIDDEN for part in query.split("&") if part)
