"""Addresses of durable HTTP calls: which can be called, where a Location leads, and what of them may be shown."""

from __future__ import annotations

import re
from urllib.parse import urljoin, urlsplit

HIDDEN = "***"

_USER = re.compile(r"(?<=//)[^/?#]*@")
_QUERY_VALUE = re.compile(r"(?<==)[^&#]*")


def is_http(address: str) -> bool:
    """Whether it is an absolute http or https address with a host, and with a port that exists if it names one."""
    try:
        parts = urlsplit(address)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of urlsplit: an unclosed bracket; of port: no number up to 65,535
        return False


def origin(address: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port: headers meant for one origin are not for another."""
    parts = urlsplit(address)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def following(address: str, location: str) -> str | None:
    """The address that a Location header leads to; None if it is none, or neither http nor https."""
    try:
        found = urljoin(address, location)
    except ValueError:
        return None
    return found if is_http(found) else None


def shown(address: str) -> str:
    """The address as failures and logs may show it: without user, password, fragment and the values of its query.

    Any parameter may hold a key (``code``, ``sig``, ``token``), so no value is shown. A secret in the path stays.
    """
    before, question, query = address.partition("#")[0].partition("?")
    return _USER.sub(f"{HIDDEN}@", before) + question + _without_values(query)


def _without_values(query: str) -> str:
    """A part without ``=`` may be a key itself."""
    return "&".join(_QUERY_VALUE.sub(HIDDEN, part) if "=" in part else HIDDEN for part in query.split("&") if part)
