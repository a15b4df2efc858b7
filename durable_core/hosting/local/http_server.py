"""Serves HTTP triggers with aiohttp, by the rules of the Functions host.

Owns keys, limits and the conversion of requests and responses; routes come from ``routes``, functions are run by an
``invoke`` callable. Imported only by a host that serves HTTP.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import azure.functions as func
from aiohttp import web

from ...errors import ConfigurationError
from .functions_index import HttpTrigger, IndexedFunction
from .invoker import InvocationFailedError
from .routes import Route, Router, parse_template

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 100 * 1024 * 1024
RESPONSE_LIMIT = 230.0
"""Seconds within which Azure's load balancer wants an answer; the function itself runs on."""

Invoke = Callable[[IndexedFunction, object], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Endpoint:
    function: IndexedFunction
    needs_key: bool


class HttpServer:
    """The HTTP side of the host. ``key``, when given, is asked of every function that is not anonymous."""

    def __init__(
        self,
        functions: Sequence[IndexedFunction],
        invoke: Invoke,
        *,
        prefix: str,
        key: str | None = None,
        max_body: int = MAX_BODY_BYTES,
        response_limit: float = RESPONSE_LIMIT,
    ) -> None:
        """``prefix`` is host.json's routePrefix. ConfigurationError if a route is invalid or two of them conflict."""
        self._invoke, self._prefix, self._key, self._max_body = invoke, prefix, key, max_body
        self._response_limit = response_limit
        self._router = Router([self._route(function) for function in functions])
        self._runner: web.AppRunner | None = None
        self._abandoned = set[asyncio.Future[Any]]()

    async def start(self, host: str, port: int, *, grace: float = 10.0) -> int:
        """Listen, and return the port (a free one for 0). ConfigurationError if it is taken.

        ``grace``: seconds that ``stop`` gives to requests in progress.
        """
        app = web.Application(client_max_size=self._max_body)
        app.router.add_route("*", "/{path:.*}", self._serve)
        # As in Azure, a compressed body stays so: what it would grow to is nothing that a stranger should decide.
        self._runner = web.AppRunner(
            app, access_log=None, handle_signals=False, shutdown_timeout=grace, auto_decompress=False
        )
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except (OSError, OverflowError) as error:
            await self._runner.cleanup()
            raise ConfigurationError(f"cannot listen on {host}:{port}: {error}; choose another --port") from error
        return cast("tuple[str, int]", self._runner.addresses[0])[1]

    async def stop(self) -> None:
        """Take no more connections, give requests in progress their grace time, then drop them."""
        if self._runner is not None:
            await self._runner.cleanup()
        for abandoned in self._abandoned:
            abandoned.cancel()

    def _route(self, function: IndexedFunction) -> Route[_Endpoint]:
        assert isinstance(function.trigger, HttpTrigger)
        parse_template(function.trigger.route)  # what the host keeps for itself is refused under any prefix
        path = "/".join(part for part in (self._prefix, function.trigger.route.strip("/")) if part)
        endpoint = _Endpoint(function, self._key is not None and function.trigger.auth_level.lower() != "anonymous")
        return Route(parse_template(path), function.trigger.methods, endpoint)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        found = self._router.find(request.method, request.raw_path.partition("?")[0])
        if found is None:
            return web.Response(status=404)
        endpoint, route_params = found
        if endpoint.needs_key and not self._has_key(request):
            return web.Response(status=401)
        if (request.content_length or 0) > self._max_body:
            return web.Response(status=413)
        body = await request.read()  # when chunked and over the limit, aiohttp answers 413
        argument = func.HttpRequest(
            request.method,
            str(request.url),
            headers=_joined(request.headers.items()),
            params=_joined(request.query.items()),
            route_params=route_params,
            body=body,
        )
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
            return _response(running.result())
        except InvocationFailedError:
            return web.Response(status=500)
        except TypeError:
            log.exception("%s returned what is no HTTP response", endpoint.function.name)
            return web.Response(status=500)

    def _forget(self, abandoned: asyncio.Future[Any]) -> None:
        self._abandoned.discard(abandoned)
        if not abandoned.cancelled():
            abandoned.exception()  # the invoker has logged it

    def _has_key(self, request: web.Request) -> bool:
        given = request.headers.get("x-functions-key") or request.query.get("code") or ""
        return self._key is not None and hmac.compare_digest(given.encode(), self._key.encode())


def _joined(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """Repeated names become one value with commas, as the host hands them to the worker."""
    values = dict[str, str]()
    for name, value in pairs:
        known = next((key for key in values if key.lower() == name.lower()), name)
        values[known] = f"{values[known]},{value}" if known in values else value
    return values


def _response(returned: object) -> web.Response:
    """TypeError for what the Python worker could not convert either."""
    if returned is None:
        return web.Response(status=204)
    if isinstance(returned, str):
        return web.Response(text=returned)
    if not isinstance(returned, func.HttpResponse):
        raise TypeError(f"{type(returned).__name__} is not an azure.functions.HttpResponse, a str or None")
    headers = list(cast("Any", returned.headers).items())
    response = web.Response(status=int(returned.status_code), body=returned.get_body())
    for name, value in headers:
        # The server measures the body itself.
        if name.lower() not in ("content-length", "transfer-encoding", "content-type"):
            response.headers.add(name, value)
    content_type = next((value for name, value in headers if name.lower() == "content-type"), None)
    if content_type is None:
        content_type = str(returned.mimetype)
        if content_type.startswith("text/"):
            content_type += f"; charset={returned.charset}"
    response.headers["Content-Type"] = content_type
    return response
