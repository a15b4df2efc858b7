"""The built-in activity ``durable.http``: makes the requests of ``ctx.call_http``.

Owns the process's HTTP session. Knows nothing of orchestrations; aiohttp is loaded at the first request.
Messages show no address whole (``http_addresses.shown``): they end up in histories, logs and answers.
"""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING

from ..definitions import ActivityDefinition
from ..engine.http import HTTP_ACTIVITY, DurableHttpResponse, HttpRequest, HttpRequestWithToken, next_request
from ..engine.http_addresses import shown
from ..errors import HttpCallError, InvalidInputError, PayloadTooLargeError
from .managed_identity import ManagedIdentity

if TYPE_CHECKING:
    import aiohttp
    from yarl import URL

REQUEST_SECONDS = 100.0  # that one request may take, its redirects included
MAX_REDIRECTS = 10
CHUNK = 64 * 1024

_CHANGES_TO_GET = {301, 302, 303}
_REDIRECTS = _CHANGES_TO_GET | {307, 308}


class HttpCaller:
    """One per app.

    limit: bytes of a response's content, which goes into history.
    allowed: hosts that may be called, as in ``Settings.http_allow``; empty: every host.
    """

    def __init__(self, limit: int, allowed: Collection[str] = ()) -> None:
        self._limit = limit
        self._allowed = allowed
        self._session: aiohttp.ClientSession | None = None
        self._identity = ManagedIdentity()

    @property
    def definition(self) -> ActivityDefinition:
        """The activity, to be registered."""
        return ActivityDefinition(
            name=HTTP_ACTIVITY,
            fn=self.request,
            input_type=HttpRequestWithToken,
            takes_context=False,
            is_async=True,
            location=__name__,
        )

    async def request(self, request: HttpRequest) -> DurableHttpResponse:
        """Make a request and follow its redirects. A redirect that cannot be followed is the response.

        Raises HttpCallError (no answer, or a refusal that is to be retried), PayloadTooLargeError, InvalidInputError
        (a request that cannot be made, or to a host that is not allowed), ConfigurationError (no managed identity).
        """
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        last = request
        try:
            for _ in range(MAX_REDIRECTS + 1):
                found = await self._once(self._session, request)
                if isinstance(found, DurableHttpResponse):
                    return found
                last, request = request, found
        # Not "from error": the text of these may hold the address, and causes are stored with their texts.
        except (aiohttp.InvalidURL, ValueError) as error:
            text = str(error).replace(request.uri, shown(request.uri))
            raise InvalidInputError(f"{_named(request)} cannot be requested: {text}") from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = str(error).replace(request.uri, shown(request.uri)) or type(error).__name__
            raise HttpCallError(f"{_named(request)} received no response: {text}") from None
        raise HttpCallError(f"{_named(last)}: more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        """Give up the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(self, session: aiohttp.ClientSession, request: HttpRequest) -> DurableHttpResponse | HttpRequest:
        """One exchange: the response, or the request that it redirects to."""
        from yarl import URL

        address = URL(request.uri)  # what is checked is what is requested: two readers of one text may differ
        if self._allowed and not _is_allowed(address, self._allowed):
            raise InvalidInputError(
                f"{_named(request)} is refused: DURABLE_HTTP_ALLOW does not name '{address.host}'; it allows "
                + ", ".join(self._allowed)
            )
        headers = request.headers
        if isinstance(request, HttpRequestWithToken) and request.token_resource:
            token = await self._identity.token(session, request.token_resource)
            headers = {k: v for k, v in headers.items() if k.lower() != "authorization"} | {
                "Authorization": f"Bearer {token}"
            }
        async with session.request(
            request.method, address, headers=headers, data=request.content, allow_redirects=False
        ) as response:
            status, headers = response.status, _headers_of(response.raw_headers)
            if status in _REDIRECTS and (location := response.headers.get("Location")):
                becomes_get = status == 303 or (status in _CHANGES_TO_GET and request.method == "POST")
                method = "GET" if becomes_get and request.method != "HEAD" else request.method
                redirected = next_request(request, location, method=method, with_content=not becomes_get)
                if redirected is not None:
                    return redirected
            if request.refusals_fail and (status == 429 or status >= 500):
                raise HttpCallError(f"{_named(request)} was answered with {status}", status)
            content = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK):
                content += chunk
                if len(content) > self._limit:
                    size = max(len(content), response.content_length or 0)
                    raise PayloadTooLargeError(f"the response to {_named(request)}", size, self._limit)
            return DurableHttpResponse(status, headers, _text_of(bytes(content), response.charset))


def _named(request: HttpRequest) -> str:
    """The request as messages name it."""
    return f"{request.method} {shown(request.uri)}"


def _is_allowed(address: URL, allowed: Iterable[str]) -> bool:
    """Whether a pattern is the host, the host and port, or ``*.`` and a domain that the host lies in."""
    host = (address.raw_host or "").rstrip(".").lower()
    names = {host, f"{host}:{address.port}", f"[{host}]", f"[{host}]:{address.port}"}
    return any(
        pattern in names or (pattern.startswith("*.") and any(name.endswith(pattern[1:]) for name in names))
        for pattern in allowed
    )


def _headers_of(pairs: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by name; one that comes several times as one, joined by commas."""
    found: dict[str, str] = {}
    for raw_name, raw_value in pairs:
        name, value = _header_text(raw_name), _header_text(raw_value)
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _header_text(raw: bytes) -> str:
    """UTF-8, as servers of today send it, else Latin-1, which HTTP once said (RFC 9110, 5.5)."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _text_of(content: bytes, charset: str | None) -> str:
    """The content in the charset that its server names; UTF-8 where Python has no such text encoding.

    What cannot be read is replaced, half surrogates too: the text has to be stored as UTF-8.
    """
    try:
        codec = codecs.lookup(charset or "utf-8").name
        text = content.decode(codec, "replace")  # not every codec replaces: idna and utf-7 raise
    except (LookupError, ValueError):
        text = content.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()
