"""The management API and the dashboard as an ASGI app, to be mounted into a web application of any framework."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from typing import Any, TypeAlias

from ...errors import ConfigurationError
from ...runtime.app import DurableApp
from ...settings import Settings
from ..callback_urls import SignedCallbackUrls, app_address
from ..dashboard_files import dashboard_file
from ..http_api import HttpApi
from ..http_routes import DEFAULT_BASE, Endpoint
from ..http_types import HOST, HttpRequest, HttpResponse, error_response
from ..local.http_sites import SitePolicy
from ..local.routes import Route, Router, parse_template
from ..signed_urls import CapabilitySigner
from ..signing_keys import signing_keys
from ..triggered import api_of

log = logging.getLogger("durable_core.hosting.embedding")

MAX_BODY_BYTES = 100 * 1024 * 1024

Scope: TypeAlias = Mapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Mapping[str, Any]]]
Send: TypeAlias = Callable[[dict[str, Any]], Awaitable[None]]


class ManagementApi:
    """Answers the routes of docs/http-api.md and the dashboard, while a block of ``running`` has it.

    path: where the application mounts it, such as ``/durabletask``. The URLs that it hands out lie there.
    key: what requests must bring in the header ``x-functions-key`` or as ``?code=``, signed URLs and the files of the
        dashboard excepted. None: the application itself decides who reaches the path; only requests from pages of other
        sites are refused, as by the local host.
    """

    def __init__(self, path: str = f"/{DEFAULT_BASE}", *, key: str | None) -> None:
        """ConfigurationError for a path that is empty, and for an empty key."""
        self._base = path.strip("/")
        if not self._base:
            raise ConfigurationError("mount the management API at a path of its own, such as /durabletask")
        if key is not None and not key.strip():
            raise ConfigurationError("the key of the management API is empty; give one, or None for no key")
        self._key = key
        self._api: HttpApi | None = None
        routes = [
            Route(parse_template(endpoint.value.template), frozenset(endpoint.value.methods), endpoint)
            for endpoint in Endpoint
        ]
        self._router = Router(routes)
        # For the paths at which another method is answered: these routes give the answer 405 with what is allowed.
        self._any_method = Router(
            [
                Route(parse_template(template), frozenset[str](), endpoint)
                for template, endpoint in {endpoint.value.template: endpoint for endpoint in Endpoint}.items()
            ]
        )
        self._sites = SitePolicy((), only_known_names=False)

    def callback_urls(self, settings: Settings) -> SignedCallbackUrls:
        """Makes the URLs of ``ctx.callback``, at the address of ``DURABLE_BASE_URL``."""
        return SignedCallbackUrls(
            lambda: CapabilitySigner(signing_keys(settings)), lambda: f"{app_address(settings.base_url)}/{self._base}"
        )

    @contextmanager
    def answering_for(self, app: DurableApp) -> Generator[None]:
        """Answer for this app inside the block."""
        self._api = api_of(app, app.settings, CapabilitySigner(signing_keys(app.settings)), self._base)
        try:
            yield
        finally:
            self._api = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The ASGI app."""
        match scope["type"]:
            case "http":
                response = await self._answer(scope, receive)
                if response.pieces is None:
                    await _respond(send, response)
                else:
                    await _stream(receive, send, response, response.pieces)
            case "lifespan":
                await _lifespan(receive, send)
            case "websocket":
                await send({"type": "websocket.close", "code": 1000})
            case other:
                raise ValueError(f"the management API answers no '{other}'")

    async def _answer(self, scope: Scope, receive: Receive) -> HttpResponse:
        headers = _headers(scope)
        host, path = headers.get("host", ""), _path_of(scope)
        if not HOST.fullmatch(host):
            return error_response(400, "InvalidInput", "a request must have one Host header with one host name")
        if self._key is None and (why := self._sites.refusal(host, _all(scope, b"origin"))):
            return error_response(403, "ForeignSite", why)
        below = path.partition(f"/{self._base}/")[2]
        try:
            found = self._router.find(scope["method"], below) or self._any_method.find(scope["method"], below)
        except UnicodeDecodeError:
            return error_response(400, "InvalidInput", "the path holds percent-encoded bytes that are not UTF-8")
        if found is None:
            return error_response(404, "NotFound", "there is no such route; docs/http-api.md lists them")
        endpoint, variables = found
        query = scope.get("query_string", b"").decode("latin-1")
        request = HttpRequest.of(
            scope["method"],
            f"{scope.get('scheme', 'http')}://{host}{path}" + (f"?{query}" if query else ""),
            route=variables,
            headers=headers,
            can_stream=True,
        )
        if endpoint is Endpoint.UI:
            return dashboard_file(request)
        if self._key is not None and not endpoint.value.keyless and not self._has_key(request):
            return error_response(401, "Unauthorized", "send the key in the header x-functions-key")
        if self._api is None:
            return error_response(503, "NotRunning", "the task hub is not being served; start it with running()")
        if refusal := self._api.refusal(endpoint, request):  # a large body is not read for it
            return refusal
        body = await _body(receive)
        if body is None:
            return error_response(413, "PayloadTooLarge", f"a body may have {MAX_BODY_BYTES:,} bytes")
        return await self._api.handle(endpoint, replace(request, body=body))

    def _has_key(self, request: HttpRequest) -> bool:
        given = request.headers.get("x-functions-key") or request.text("code")
        return hmac.compare_digest(given.encode(errors="replace"), (self._key or "").encode())


def _path_of(scope: Scope) -> str:
    """The whole path as it was sent, percent-encoded: servers and frameworks differ in what they take out of it."""
    raw = scope.get("raw_path")
    if raw:
        path = bytes(raw).partition(b"?")[0].decode("latin-1")
        root = str(scope.get("root_path", ""))
        return path if path.startswith(root) else root + path
    raise ValueError("the ASGI server gives no raw_path; use one that does, such as uvicorn or hypercorn")


def _headers(scope: Scope) -> dict[str, str]:
    """Repeated headers as one with commas, as the Functions host joins them."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = bytes(raw_name).decode("latin-1").lower(), bytes(raw_value).decode("latin-1")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _all(scope: Scope, name: bytes) -> list[str]:
    return [bytes(value).decode("latin-1") for found, value in scope["headers"] if bytes(found).lower() == name]


async def _body(receive: Receive) -> bytes | None:
    """None if it is larger than any body may be."""
    parts, size = list[bytes](), 0
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return b"".join(parts)
        parts.append(event.get("body", b""))
        size += len(parts[-1])
        if size > MAX_BODY_BYTES:
            return None
        if not event.get("more_body", False):
            return b"".join(parts)


async def _respond(send: Send, response: HttpResponse) -> None:
    headers = [(name.lower(), value) for name, value in response.headers.items()]
    headers.append(("content-length", str(len(response.body))))
    await send({"type": "http.response.start", "status": response.status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": response.body})


async def _stream(receive: Receive, send: Send, response: HttpResponse, pieces: AsyncGenerator[bytes]) -> None:
    """Send the pieces of the body as they come, until the reader has gone."""
    headers = [(name.lower(), value) for name, value in response.headers.items()]

    async def pump() -> None:
        async with aclosing(pieces):
            await send({"type": "http.response.start", "status": response.status, "headers": _raw(headers)})
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b""})

    sending = asyncio.ensure_future(pump())
    leaving = asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if sending.done():
            sending.result()
    finally:
        for task in (sending, leaving):
            task.cancel()
        await asyncio.wait({sending, leaving})


async def _gone(receive: Receive) -> None:
    """Wait until the connection is closed."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _raw(headers: Sequence[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers]


async def _lifespan(receive: Receive, send: Send) -> None:
    """It needs none of its own: the block of ``running`` is its life."""
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return
