"""The port through which every verb works: the routes of the management API, wherever they are answered.

A verb is written once: over HTTP an app answers it, and over storage the same code answers it in this process.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode

from ...lazy_dataclass import dataclass
from ..exit_codes import CannotRunError, NothingMatchedError

if TYPE_CHECKING:
    from ...hosting.http_routes import Endpoint


class UnreachableError(CannotRunError):
    """No answer came. It may come to another try."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the management API. headers: names in lower case. body: UTF-8 JSON, or empty."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """The document of a good answer. CannotRunError for anything else."""
        try:
            return json.loads(self.body) if self.body else None
        except (ValueError, RecursionError):
            raise CannotRunError("the answer is not JSON; is this the address of a management API?") from None

    def expect(self, *fine: int) -> Answer:
        """This answer if its status is among these. Else NothingMatchedError or CannotRunError, with its message."""
        if self.status in fine:
            return self
        code, message = self._error()
        if self.status in _FOR_NOW:
            raise UnreachableError(message)
        if code in _NO_RECEIVER:
            raise NothingMatchedError(message)
        raise CannotRunError(message)

    def _error(self) -> tuple[str, str]:
        try:
            error = json.loads(self.body)["error"]
            problems = "".join(f"\n  {each}" for each in error.get("problems", ()))
            return str(error["code"]), f"{error['message']}{problems}"
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return "", _BARE.get(self.status, f"the app answered {self.status} without saying why")


class ManagementApi(Protocol):
    """place: what is shown to the user: an address, or a hub and its storage."""

    @property
    def place(self) -> str: ...

    async def call(
        self,
        endpoint: Endpoint,
        *,
        route: Mapping[str, str] | None = None,
        query: Sequence[tuple[str, str]] = (),
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The answer to one request, whatever its status. UnreachableError if there is none."""
        ...


def method_of(endpoint: Endpoint) -> str:
    """The method of a route with a key, which has one."""
    (method,) = endpoint.value.methods
    return method


def query_text(query: Sequence[tuple[str, str]]) -> str:
    """The query part of a URL, with its question mark. CannotRunError for text that no URL can hold."""
    try:
        return f"?{urlencode(query)}" if query else ""
    except UnicodeEncodeError as error:
        raise CannotRunError(f"{error.object!r} is not text that a URL can hold") from None


_NO_RECEIVER = ("InstanceNotFound", "InstanceCompleted", "InstanceNotCompleted", "ScheduleNotFound", "EntityNotFound")
"""Codes of answers that say that no instance takes the request."""

_FOR_NOW = (429, 502, 503, 504)
"""Statuses of answers that another try may not get."""

_BARE = {
    401: "the app refuses the key; give a function key or a host key with --key or in DURABLE_KEY",
    403: "the app refuses access; give a function key or a host key with --key or in DURABLE_KEY",
    404: "there is no management API at this address, or its version does not know this route; "
    "--url is the address of the app, such as https://orders.azurewebsites.net, or that of the API's base",
}
"""What a host says without a body."""
