"""The management API of a running app, over HTTP, with the standard library."""

from __future__ import annotations

import asyncio
import http.client
import re
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from typing import IO, TypeVar
from urllib.parse import parse_qsl, quote, urlsplit, urlunsplit

from ...hosting.http_routes import Endpoint
from ..exit_codes import CannotRunError
from .port import Answer, UnreachableError, method_of, query_text

T = TypeVar("T")

DEFAULT_PATH = "/api/durabletask"
PATIENCE = 100.0  # seconds; a slice of a purge takes 20, the deletion of a schedule 30
_VARIABLE = re.compile(r"\{(\w+)\??\}")


class OverHttp:
    """url: the address of the app, or of the API's base if that is not ``/api/durabletask``. key: '' sends none.

    A key in the address (``?code=``), as the portal shows it, is taken out and sent as a header.
    """

    def __init__(self, url: str, key: str = "") -> None:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise CannotRunError(f"--url must be an address such as https://orders.azurewebsites.net, not {url!r}")
        codes = [value for name, value in parse_qsl(parts.query) if name.lower() == "code"]
        self._key = key or (codes[0] if codes else "")
        path = parts.path.rstrip("/") or DEFAULT_PATH
        self.place = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", ""))
        self._opener = urllib.request.build_opener(_NoRedirect)

    async def call(
        self,
        endpoint: Endpoint,
        *,
        route: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        method = method_of(endpoint)
        url = f"{self.place}/{path_of(endpoint, route or {})}{query_text(query)}"
        sent = {"Accept": "application/json", **(headers or {})}
        if body is not None:
            sent["Content-Type"] = "application/json"
        elif method == "POST":
            body = b""  # with a Content-Length
        if self._key:
            sent["x-functions-key"] = self._key
        return await _in_thread(lambda: self._send(urllib.request.Request(url, body, sent, method=method)))

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            with self._opener.open(request, timeout=PATIENCE) as response:
                return _answer(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                if 300 <= error.code < 400:
                    target = error.headers.get("Location", "")
                    raise CannotRunError(
                        f"{self.place} redirects to '{target}'; the key is not sent there: give that address with --url"
                    ) from None
                return _answer(error.code, error.headers, error.read())
        except urllib.error.URLError as error:
            raise UnreachableError(f"{self.place} cannot be reached: {error.reason}") from error
        except (TimeoutError, socket.timeout) as error:  # noqa: UP041
            raise UnreachableError(f"{self.place} does not answer within {PATIENCE:.0f} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise UnreachableError(f"the connection to {self.place} broke: {error or type(error).__name__}") from error
        except (ValueError, UnicodeError) as error:
            raise CannotRunError(f"the request cannot be sent: {error}") from error


def path_of(endpoint: Endpoint, route: Mapping[str, str]) -> str:
    """The path of a route below the base, with its variables filled in. CannotRunError for one that no URL can hold."""
    parts: list[str] = []
    for segment in endpoint.value.template.split("/"):
        variable = _VARIABLE.fullmatch(segment)
        if variable is None:
            parts.append(segment)
        elif value := route.get(variable[1], ""):
            if value in (".", "..") or "/" in value:
                raise CannotRunError(f"{value!r} cannot be part of a URL; use the storage of the hub, not --url")
            try:
                parts.append(quote(value, safe=""))
            except UnicodeEncodeError:
                raise CannotRunError(f"{value!r} is not text that a URL can hold") from None
    return "/".join(parts)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect is not followed: the key would go to another site."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        return None


def _answer(status: int, headers: Message, body: bytes) -> Answer:
    return Answer(status, {name.lower(): value for name, value in headers.items()}, body)


async def _in_thread(work: Callable[[], T]) -> T:
    """Run ``work`` in a thread that Ctrl-C does not wait for."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # pyright: ignore[reportArgumentType]

    def run() -> None:
        result, failure = None, None
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001  handed to the waiting coroutine
            failure = error
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, failure)

    threading.Thread(target=run, daemon=True, name="request").start()
    return await done
