"""Serves HTTP triggers with aiohttp, by the rules of the Functions host.

Owns keys, limits and the conversion of requests and responses; routes come from ``http_endpoints``, functions are run
by an ``invoke`` callable. Imported only by a host that serves HTTP, and not before its queues are listened to.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, cast

import azure.functions as func
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ..http_types import CAN_STREAM, HOST, PIECES, HttpResponse, error_response
from .functions_index import IndexedFunction
from .http_routing import HttpRouter
from .http_sites import SitePolicy
from .http_sockets import BACKLOG
from .invoker import InvocationFailedError

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 100 * 1024 * 1024
RESPONSE_LIMIT = 230.0
"""Seconds within which Azure's load balancer wants an answer; the function itself runs on."""

_MEASURED = ("content-length", "transfer-encoding")  # by the server, which knows the body

Invoke = Callable[[IndexedFunction, object], Awaitable[Any]]


class HttpServer:
    """The HTTP side of the host.

    key: when given, asked of every endpoint that needs one. look_key: accepted for GET in its place, as a key of the
        functions in Azure that only read.
    sites: the origins and host names whose requests are accepted; None accepts all.
    """

    def __init__(
        self,
        router: HttpRouter,
        invoke: Invoke,
        *,
        key: str | None = None,
        look_key: str | None = None,
        sites: SitePolicy | None = None,
        max_body: int = MAX_BODY_BYTES,
        response_limit: float = RESPONSE_LIMIT,
    ) -> None:
        self._router, self._invoke, self._key, self._max_body = router, invoke, key, max_body
        self._look_key = look_key
        self._sites = sites
        self._response_limit = response_limit
        self._runner: web.AppRunner | None = None
        self._abandoned = set[asyncio.Future[Any]]()
        self._streaming = set[asyncio.Task[Any]]()
        self._is_stopping = False

    async def start(self, sockets: Sequence[socket.socket], *, grace: float = 10.0) -> None:
        """Serve the waiting and all further connections.

        ``grace``: seconds that ``stop`` gives to requests in progress.
        """
        logging.getLogger("aiohttp.server").addFilter(_is_no_bad_request)
        app = web.Application(client_max_size=self._max_body)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # As in Azure, a compressed body is not decompressed: its sender must not determine how much memory it takes.
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=grace, auto_decompress=False
        )
        await self._runner.setup()
        for listening in sockets:
            await web.SockSite(self._runner, listening, backlog=BACKLOG).start()

    async def stop(self) -> None:
        """Accept no more connections, give running requests their grace time, then drop them. Streams end at once."""
        self._is_stopping = True
        for streaming in self._streaming:
            streaming.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
        for abandoned in self._abandoned:
            abandoned.cancel()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        hosts = request.headers.getall("Host", ())
        if len(hosts) != 1 or not HOST.fullmatch(host := hosts[0]):
            return _own(
                error_response(400, "InvalidInput", "a request must have exactly one Host header with one host name")
            )
        if self._sites is not None and (why := self._sites.refusal(host, request.headers.getall("Origin", ()))):
            return _own(error_response(403, "ForeignSite", why))
        try:
            found = self._router.find(request.method, request.raw_path.partition("?")[0])
        except UnicodeDecodeError:
            why = "the path holds percent-encoded bytes that are not UTF-8"
            return _own(error_response(400, "InvalidInput", why))
        if found is None:
            return web.Response(status=404)
        endpoint, route_params = found
        if endpoint.needs_key and not self._has_key(request):
            return web.Response(status=401)
        if (request.content_length or 0) > self._max_body:
            return web.Response(status=413)
        asked = partial(
            func.HttpRequest,
            request.method,
            f"{request.scheme}://{host}{request.raw_path}",
            headers=_joined(request.headers),
            params=_joined(request.query),
            route_params=route_params,
        )
        # A body that is still to come is not read if the token in the URL is forged.
        refuse = endpoint.refuse if request.can_read_body and not request.content.is_eof() else None
        if refuse is not None and (refusal := await refuse(asked(body=b""))) is not None:
            return _response(refusal)
        argument = asked(body=await request.read())  # when chunked and over the limit, aiohttp answers 413
        setattr(argument, CAN_STREAM, True)
        running = asyncio.ensure_future(self._invoke(endpoint.function, argument))
        try:
            await asyncio.wait({running}, timeout=self._response_limit)
        except asyncio.CancelledError:
            running.cancel()
            raise
        if not running.done():
            log.error("%s gave no response within %g s", endpoint.function.name, self._response_limit)
            self._abandoned.add(running)
            running.add_done_callback(self._forget)
            return web.Response(status=504, text=f"no response within {self._response_limit:g} seconds")
        try:
            returned = running.result()
            pieces: AsyncGenerator[bytes] | None = getattr(returned, PIECES, None)
            if pieces is not None:
                return await self._stream(request, _response(returned), pieces)
            return _response(returned)
        except InvocationFailedError:
            return web.Response(status=500)
        except TypeError:
            log.exception("function %s returned a value that is not an HTTP response", endpoint.function.name)
            return web.Response(status=500)

    async def _stream(
        self, request: web.Request, begun: web.Response, pieces: AsyncGenerator[bytes]
    ) -> web.StreamResponse:
        """Send the pieces of a body as they come, until the host stops."""
        response = web.StreamResponse(status=begun.status, headers=begun.headers)
        task = asyncio.current_task()
        assert task is not None, "aiohttp serves each request in a task"
        self._streaming.add(task)
        try:
            await response.prepare(request)
            async with aclosing(pieces):
                async for piece in pieces:
                    await response.write(piece)
        except ConnectionError:
            pass  # the reader has gone; it may come again
        except asyncio.CancelledError:
            if not self._is_stopping:
                raise
        finally:
            self._streaming.discard(task)
        return response

    def _forget(self, abandoned: asyncio.Future[Any]) -> None:
        self._abandoned.discard(abandoned)
        if not abandoned.cancelled():
            abandoned.exception()  # the invoker has logged it

    def _has_key(self, request: web.Request) -> bool:
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        accepted = (self._key, self._look_key if request.method == "GET" else None)
        return any(hmac.compare_digest(_bytes(given), _bytes(key)) for key in accepted if key is not None)


def _is_no_bad_request(record: logging.LogRecord) -> bool:
    """False for the stack that aiohttp logs for an invalid HTTP request, which it has answered with 400."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _bytes(text: str) -> bytes:
    """As they came: aiohttp and the environment keep bytes that are no UTF-8 as surrogates."""
    return text.encode(errors="surrogateescape")


def _own(response: HttpResponse) -> web.Response:
    """An answer of the host's own."""
    return web.Response(status=response.status, body=response.body, headers=response.headers)


def _joined(pairs: Mapping[str, str]) -> Mapping[str, str]:
    """Repeated names, however spelled, become one value with commas, as the host hands them to the worker."""
    values = dict(pairs.items())
    if len(set(map(str.lower, values))) == len(pairs):
        return values  # as nearly always
    values.clear()
    spelled = dict[str, str]()
    for name, value in pairs.items():
        known = spelled.setdefault(name.lower(), name)
        values[known] = f"{values[known]},{value}" if known in values else value
    return values


def _response(returned: object) -> web.Response:
    """The HTTP response of a function. TypeError for a value that Azure's Python worker cannot convert."""
    if returned is None:
        return web.Response(status=204)
    if isinstance(returned, str):
        return web.Response(text=returned)
    if not isinstance(returned, func.HttpResponse):
        raise TypeError(f"{type(returned).__name__} is not an azure.functions.HttpResponse, a str or None")
    given = cast("Any", returned.headers)  # whose names are compared regardless of case
    headers = [(name, value) for name, value in given.items() if name.lower() not in _MEASURED]
    if "content-type" not in given:
        content_type = str(returned.mimetype)
        charset = f"; charset={returned.charset}" if content_type.startswith("text/") else ""
        headers.append(("Content-Type", content_type + charset))
    return web.Response(status=int(returned.status_code), body=returned.get_body(), headers=headers)
