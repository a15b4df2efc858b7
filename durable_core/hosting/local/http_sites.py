"""Requests that a host without keys accepts: none that a page of another site made a browser on this machine send.

Every page that a developer visits can send requests to a loopback port; with a host name of its own that resolves to
127.0.0.1 (DNS rebinding) it can even read the responses. Browsers name the site of the page in ``Origin``, and the
requested host name in ``Host``. Pure text: knows no web server.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from functools import lru_cache
from urllib.parse import urlsplit

_ADVICE = (
    "set DURABLE_BASE_URL to the address at which it is reached, or start it with --require-keys; nothing was done"
)


class SitePolicy:
    """The sites that may ask this host. ``names``: its own host names, besides those of the loopback interface.

    only_known_names: whether a request must name one of them, as is right where nothing but this machine can connect.
    """

    def __init__(self, names: Iterable[str], *, only_known_names: bool) -> None:
        self._names = {_comparable(name) for name in names if name}
        self._only_known_names = only_known_names

    def refusal(self, host: str, origins: Sequence[str]) -> str | None:
        """Why a request with this ``Host`` and these ``Origin`` headers is refused; None if it is taken."""
        asked = name_of(host)
        if self._only_known_names and not self._is_own(asked):
            return f"this host requires no keys and does not accept requests to the host name '{asked}'; {_ADVICE}"
        for origin in origins:
            site = name_of_url(origin)
            if site != asked and not self._is_own(site):
                return (
                    f"this host requires no keys and does not accept requests from pages of '{origin[:200]}'; {_ADVICE}"
                )
        return None

    def _is_own(self, name: str) -> bool:
        return name in self._names or is_loopback(name)


@lru_cache(maxsize=64)  # requests come by few names
def is_loopback(name: str) -> bool:
    """Whether a host name or address can only be this machine."""
    name = _comparable(name)
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def name_of(host: str) -> str:
    """The name of a ``Host`` header, without its port, in the spelling that can be compared; '' if there is none."""
    return name_of_url(f"//{host}")


def name_of_url(url: str) -> str:
    """The same of a URL or an ``Origin`` header, which may also be the word null."""
    try:
        return _comparable(urlsplit(url).hostname or "")
    except ValueError:
        return ""


def _comparable(name: str) -> str:
    return name.lower().rstrip(".").strip("[]")
