"""HTTP without a web framework: a request, a response, readers of query parameters and of JSON bodies.

Knows nothing of orchestrations. Each server (Azure Functions, the local host, a test) translates to these types.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlsplit

from ..converter import MAX_DEPTH, is_too_deep
from ..errors import InvalidInputError, PayloadTooLargeError
from ..lazy_dataclass import dataclass
from ..models import JSON

CAN_STREAM, PIECES = "__durable_can_stream__", "__durable_pieces__"
"""Attributes that the local host sets on a request, and functions of durable_core on a response, so that its body is
sent in pieces. The Functions worker knows neither."""

HOST = re.compile(r"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
"""A host name or address, perhaps with a port, as a ``Host`` header holds it."""
_write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
_BARE_PLUS = re.compile(r" (\d\d:?\d\d)$")
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as received. ``url`` is absolute and holds the query; ``route`` the decoded variables of the route.

    ``query`` (each name in lower case, with all its values) and ``headers`` (names in lower case) are best made by
    ``HttpRequest.of``. can_stream: whether the server sends a body in pieces as they come.
    """

    method: str
    url: str
    route: Mapping[str, str] = field(default_factory=dict[str, str])
    query: Mapping[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    can_stream: bool = False

    @classmethod
    def of(
        cls,
        method: str,
        url: str,
        *,
        route: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        more_query: Mapping[str, str] | None = None,
        can_stream: bool = False,
    ) -> HttpRequest:
        """Read the query from ``url``; ``more_query`` fills in what a server took out of it."""
        query: dict[str, list[str]] = {}
        if "?" in url:
            for name, value in parse_qsl(urlsplit(url).query, keep_blank_values=True):
                query.setdefault(name.lower(), []).append(value)
        for name, value in (more_query or {}).items():
            query.setdefault(name.lower(), [value])
        return cls(
            method=method.upper(),
            url=url,
            route={name: value for name, value in (route or {}).items() if value},
            query=query,
            headers={name.lower(): value for name, value in (headers or {}).items()},
            body=body,
            can_stream=can_stream,
        )

    @property
    def origin(self) -> str:
        """``scheme://host`` as the caller sees it: X-Forwarded-Proto and -Host where a proxy set them, else the URL's.

        A value that is no scheme or host is ignored.
        """
        parts = urlsplit(self.url)
        scheme = self._forwarded("x-forwarded-proto").lower()
        host = self._forwarded("x-forwarded-host")
        return (
            f"{scheme if scheme in ('http', 'https') else parts.scheme or 'http'}://"
            f"{host if HOST.fullmatch(host) else parts.netloc}"
        )

    def check_encoding(self) -> None:
        """InvalidInputError if the URL's percent escapes are not UTF-8: decoded anyhow, two ids would become one."""
        if "%" not in self.url and self.url.isascii():
            return
        try:
            unquote_to_bytes(self.url).decode()
        except UnicodeError:
            raise InvalidInputError(
                "the URL's percent escapes are not UTF-8; encode it as UTF-8, such as caf%C3%A9; nothing was done"
            ) from None

    def _forwarded(self, name: str) -> str:
        return self.headers.get(name, "").partition(",")[0].strip()  # the first proxy's, nearest to the caller

    # ------------------------------------------------------------ query parameters; each names itself when refused

    def text(self, name: str, default: str = "") -> str:
        values = self.query.get(name.lower())
        return values[-1] if values else default

    def flag(self, name: str, default: bool) -> bool:
        match self.text(name).strip().lower():
            case "":
                return default
            case "true" | "1":
                return True
            case "false" | "0":
                return False
            case other:
                raise _refused(name, other, "true or false")

    def seconds(self, name: str) -> float | None:
        raw = self.text(name).strip()
        if not raw:
            return None
        try:
            value = float(raw)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and value >= 0):
            raise _refused(name, raw, "a number of seconds, 0 or more")
        return value

    def count(self, name: str, default: int) -> int:
        raw = self.text(name).strip()
        if not raw:
            return default
        if not (raw.isascii() and raw.isdigit() and len(raw) <= 9 and int(raw) > 0):
            raise _refused(name, raw, "a whole number, 1 or more")
        return int(raw)

    def moment(self, name: str) -> datetime | None:
        """An aware UTC time. Without an offset it is taken as UTC."""
        raw = self.text(name).strip()
        if not raw:
            return None
        try:
            # An offset's '+' that was not percent-encoded arrives as a space: every client gets this wrong once.
            value = datetime.fromisoformat(_BARE_PLUS.sub(r"+\1", raw))
            return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC)
        except (ValueError, OverflowError):
            raise _refused(name, raw, "a time in ISO 8601, such as 2025-01-31T12:00:00Z") from None

    def several(self, name: str) -> list[str]:
        """The values of a parameter that may be repeated or hold commas."""
        parts = (part.strip() for value in self.query.get(name.lower(), ()) for part in value.split(","))
        return [part for part in parts if part]

    # ------------------------------------------------------------ body

    def json(self, limit: int) -> JSON:
        """The body as JSON; an empty one is null. PayloadTooLargeError over ``limit`` bytes, InvalidInputError.

        A body in chunks is refused even if it is here: the Functions host hands an empty one to the app, so that a
        client which sends chunks would send null in Azure.
        """
        if "transfer-encoding" in self.headers:
            raise InvalidInputError(
                "the request body is sent in chunks (Transfer-Encoding), "
                "which the Functions host does not pass on to the app; "
                "send it with a Content-Length; nothing was done"
            )
        if len(self.body) > limit:
            raise PayloadTooLargeError("the request body", len(self.body), limit)
        return parse_json(self.body, "the request body") if self.body.strip() else None


def parse_json(raw: bytes, what: str) -> JSON:
    """The value of received JSON, which can be stored. InvalidInputError names ``what`` and the problem.

    Of an object's equal names the last one counts, as in every JSON reader of note.
    """
    try:
        value = json.loads(raw.decode("utf-8-sig"), parse_constant=_no_constant, parse_float=_finite)
        if _SURROGATE.search(raw):
            json.dumps(
                value, ensure_ascii=False
            ).encode()  # half a surrogate pair is not valid text, and cannot be stored
        if raw.count(b"[") + raw.count(b"{") > MAX_DEPTH and is_too_deep(value):
            raise RecursionError
    except RecursionError:
        raise InvalidInputError(f"{what} is JSON nested more than {MAX_DEPTH} levels deep; make it flatter") from None
    except ValueError as error:  # JSONDecodeError, UnicodeError, and an integer of over 4,300 digits among them
        raise InvalidInputError(f"{what} is not JSON: {error}") from None
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpResponse:
    """``body`` is UTF-8 JSON, a file of the dashboard, events, or empty.

    pieces: of a body that is sent as it comes, only to a request that ``can_stream``; the server closes it.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    pieces: AsyncGenerator[bytes] | None = None

    def json(self) -> Any:
        return json.loads(self.body)


_FIXED: Mapping[str, str] = {
    "Content-Type": "application/json; charset=utf-8",
    # Responses change at any time and may contain private data: no cache may keep them.
    "Cache-Control": "no-store",
    # No browser may show the data of an instance as a page.
    "X-Content-Type-Options": "nosniff",
}


def json_response(status: int, value: JSON, headers: Mapping[str, str] | None = None) -> HttpResponse:
    body = _write(value)
    # An error may quote a header, in which a server puts half surrogate pairs for bytes that are no text.
    return HttpResponse(
        status=status, headers={**_FIXED, **headers} if headers else _FIXED, body=body.encode(errors="replace")
    )


def error_response(
    status: int, code: str, message: str, problems: Sequence[str] = (), headers: Mapping[str, str] | None = None
) -> HttpResponse:
    """The one shape of every error: ``{"error": {"code", "message", "problems"?}}``."""
    error: dict[str, JSON] = {"code": code, "message": message}
    if problems:
        error["problems"] = list(problems)
    return json_response(status, {"error": error}, headers)


def _refused(name: str, value: str, wanted: str) -> InvalidInputError:
    return InvalidInputError(f"query parameter '{name}' must be {wanted}, not {value[:100]!r}")


def _no_constant(name: str) -> JSON:
    raise ValueError(f"{name} is not valid JSON")


def _finite(text: str) -> float:
    if math.isinf(value := float(text)):
        raise ValueError(f"{text[:40]} is too large a number")
    return value
