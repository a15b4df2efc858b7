"""The built-in activity ``durable.http``: makes the requests of ``ctx.call_http``.

Owns the process's HTTP session. Knows nothing of orchestrations; aiohttp is loaded at the first request.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .engine.http import HTTP_ACTIVITY, DurableHttpResponse, HttpRequest, headers_of, next_request
from .errors import HttpCallError, InvalidInputError, PayloadTooLargeError
from .registry import ActivityDefinition

if TYPE_CHECKING:
    import aiohttp

REQUEST_SECONDS = 100.0  # that one request may take, its redirects included
MAX_REDIRECTS = 10
CHUNK = 64 * 1024

_CHANGES_TO_GET = {301, 302, 303}
_REDIRECTS = _CHANGES_TO_GET | {307, 308}


class HttpCaller:
    """One per app. ``limit``: bytes of a response's content, which goes into history."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._session: aiohttp.ClientSession | None = None

    @property
    def definition(self) -> ActivityDefinition:
        """The activity, to be registered."""
        return ActivityDefinition(
            name=HTTP_ACTIVITY,
            fn=self.request,
            input_type=HttpRequest,
            takes_context=False,
            is_async=True,
            location=__name__,
        )

    async def request(self, request: HttpRequest) -> DurableHttpResponse:
        """Make a request and follow its redirects.

        Raises HttpCallError (no answer, or a refusal that is to be retried), PayloadTooLargeError, InvalidInputError
        (a redirect away from HTTP, or a request that cannot be made).
        """
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS), cookie_jar=aiohttp.DummyCookieJar()
            )
        try:
            for _ in range(MAX_REDIRECTS + 1):
                found = await self._once(self._session, request)
                if isinstance(found, DurableHttpResponse):
                    return found
                request = found
        except (aiohttp.InvalidURL, ValueError) as error:
            raise InvalidInputError(f"{request.method} {request.uri} cannot be requested: {error}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or type(error).__name__
            raise HttpCallError(f"{request.method} {request.uri} got no answer: {told}") from error
        raise HttpCallError(f"{request.method} {request.uri}: more than {MAX_REDIRECTS} redirects")

    async def close(self) -> None:
        """Give up the connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(self, session: aiohttp.ClientSession, request: HttpRequest) -> DurableHttpResponse | HttpRequest:
        """One exchange: the response, or the request that it redirects to."""
        async with session.request(
            request.method, request.uri, headers=request.headers, data=request.content, allow_redirects=False
        ) as response:
            status, location = response.status, response.headers.get("Location")
            if status in _REDIRECTS and location:
                becomes_get = status == 303 or (status in _CHANGES_TO_GET and request.method == "POST")
                method = "GET" if becomes_get and request.method != "HEAD" else request.method
                return next_request(request, location, method=method, with_content=not becomes_get)
            if request.refusals_fail and (status == 429 or status >= 500):
                raise HttpCallError(f"{request.method} {request.uri} was answered with {status}", status)
            content = bytearray()
            async for chunk in response.content.iter_chunked(CHUNK):
                content += chunk
                if len(content) > self._limit:
                    size = max(len(content), response.content_length or 0)
                    raise PayloadTooLargeError(f"the response to {request.method} {request.uri}", size, self._limit)
            text = content.decode(_charset(response.charset), "replace")
            return DurableHttpResponse(status, headers_of(list(response.headers.items())), text)


def _charset(named: str | None) -> str:
    try:
        "".encode(named or "utf-8")
    except LookupError:  # a charset that nobody knows
        return "utf-8"
    return named or "utf-8"
