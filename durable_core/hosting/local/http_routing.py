"""Which function of the app answers an HTTP request, and whether it asks a key. Knows no web server.

Apart from the server because it is needed at once, to refuse an app whose routes do not fit, and the server is not:
its import takes longer than all of a host's own start.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeAlias

from ...lazy_dataclass import dataclass
from .functions_index import HttpTrigger, IndexedFunction
from .routes import Route, Router, parse_template

WEBHOOK = "runtime/webhooks/durabletask"
"""Where the extension of Durable Functions serves its API: callers of a migrated app find it there on this host."""

Refuse: TypeAlias = Callable[[Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class HttpEndpoint:
    """``refuse`` is the function's ``__durable_refuse__``, if it has one.

    It is given the request without its body, and returns an answer, or None for a request whose body is to be read.
    """

    function: IndexedFunction
    needs_key: bool
    refuse: Refuse | None


HttpRouter: TypeAlias = Router[HttpEndpoint]


def http_router(functions: Sequence[IndexedFunction], *, prefix: str, has_key: bool) -> HttpRouter | None:
    """The router of the functions with an HTTP trigger; None if there are none.

    ``prefix`` is host.json's routePrefix. ``has_key``: functions that are not anonymous ask the host's key.
    ConfigurationError if a route is invalid or two of them conflict.
    """
    routes = [
        route
        for function in functions
        if isinstance(function.trigger, HttpTrigger)
        for route in _routes(function, function.trigger, prefix, has_key)
    ]
    return Router(routes) if routes else None


def _routes(
    function: IndexedFunction, trigger: HttpTrigger, prefix: str, has_key: bool
) -> Iterator[Route[HttpEndpoint]]:
    """The route of a function, and that of Durable Functions to the same operation of the management API."""
    parse_template(trigger.route)  # what the host keeps for itself is refused under any prefix
    path = "/".join(part for part in (prefix, trigger.route.strip("/")) if part)
    endpoint = HttpEndpoint(
        function,
        needs_key=has_key and trigger.auth_level.lower() != "anonymous",
        refuse=getattr(function.call, "__durable_refuse__", None),
    )
    yield Route(parse_template(path), trigger.methods, endpoint)
    operation: str | None = getattr(function.call, "__durable_path__", None)
    if operation is not None:
        yield Route(parse_template(f"{WEBHOOK}/{operation}", is_own=True), trigger.methods, endpoint)
