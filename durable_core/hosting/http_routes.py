"""The routes of the management API, and which need no key. Both its code and its description read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .signed_urls import Verb


@dataclass(frozen=True, slots=True)
class Route:
    """``template`` is an ASP.NET route below the base. Keyless: the URL itself is the proof of what it
    allows, or leads to the files of the dashboard, which hold no data."""

    template: str
    methods: tuple[str, ...]
    keyless: bool = False


class Endpoint(Enum):
    """The routes. The member's name, in lower case, names the function that serves it."""

    START = Route("orchestrators/{name}/{instanceId?}", ("POST",))
    INSTANCES = Route("instances", ("GET", "DELETE"))
    INSTANCE = Route("instances/{instanceId}", ("GET", "DELETE"))
    EVENT = Route("instances/{instanceId}/raiseEvent/{eventName}", ("POST",))
    RESTART = Route("instances/{instanceId}/restart", ("POST",))
    MANAGE = Route("instances/{instanceId}/{operation}", ("POST",))
    QUERY = Route("instances/{instanceId}/query/{queryName}", ("GET",))
    RECOVER = Route("recover", ("POST",))
    SCHEDULES = Route("schedules", ("GET",))
    OPENAPI = Route("openapi.json", ("GET",))
    UI = Route("ui/{file?}", ("GET",), keyless=True)
    CAPABILITY = Route("c/{token}/{eventName?}", ("GET", "POST", "DELETE"), keyless=True)


OPERATIONS = {verb.value: verb for verb in (Verb.TERMINATE, Verb.CANCEL, Verb.SUSPEND, Verb.RESUME, Verb.REWIND)}
"""What ``{operation}`` may be."""
