"""The routes of the management API, and which need no key. Both its code and its description read them."""

from __future__ import annotations

from enum import Enum
from functools import cache

from ..lazy_dataclass import dataclass
from .signed_urls import Verb

DEFAULT_BASE = "durabletask"
"""The path of the API, below the host's route prefix."""

RETRY_AFTER_SECONDS = 2
"""Seconds between two polls of a client (``Retry-After``): one poll is one read of one row."""


@dataclass(frozen=True, slots=True)
class Route:
    """``template`` is an ASP.NET route below the base. Keyless: the URL itself is the proof of what it
    allows, or leads to the files of the dashboard, which hold no data.

    Several methods are for keyless routes: a key is given for a function, so that each function has one method.
    """

    template: str
    methods: tuple[str, ...]
    keyless: bool = False


class Endpoint(Enum):
    """The routes. The member's name, in lower case, names the function that serves it."""

    START = Route("orchestrators/{name}/{instanceId?}", ("POST",))
    JOB = Route("jobs/{name}/{instanceId?}", ("POST",))
    INSTANCES = Route("instances", ("GET",))
    PURGE_INSTANCES = Route("instances", ("DELETE",))
    INSTANCE = Route("instances/{instanceId}", ("GET",))
    PURGE_INSTANCE = Route("instances/{instanceId}", ("DELETE",))
    EVENT = Route("instances/{instanceId}/raiseEvent/{eventName}", ("POST",))
    REWIND = Route("instances/{instanceId}/rewind", ("POST",))
    RESTART = Route("instances/{instanceId}/restart", ("POST",))
    FORK = Route("instances/{instanceId}/fork", ("POST",))
    MANAGE = Route("instances/{instanceId}/{operation}", ("POST",))
    QUERY = Route("instances/{instanceId}/query/{queryName}", ("GET",))
    UPDATE = Route("instances/{instanceId}/updates/{updateName}", ("POST",))
    EXPLAIN = Route("instances/{instanceId}/explain", ("GET",))
    TREE = Route("instances/{instanceId}/tree", ("GET",))
    PRICE = Route("instances/{instanceId}/price", ("GET",))
    TIMELINE = Route("instances/{instanceId}/timeline", ("GET",))
    STREAMS = Route("instances/{instanceId}/streams", ("GET",))
    STREAM = Route("instances/{instanceId}/streams/{streamName}", ("GET",))
    BULK = Route("bulk", ("POST",))
    RECOVER = Route("recover", ("POST",))
    HUB = Route("hub", ("GET",))
    PRICES = Route("prices", ("GET",))
    TIMERS = Route("timers", ("GET",))
    SCHEDULES = Route("schedules", ("GET",))
    SCHEDULE = Route("schedules/{scheduleId}/{operation}", ("POST",))
    ENTITIES = Route("entities/{entityName?}", ("GET",))
    SIGNAL_ENTITY = Route("entities/{entityName}/{entityKey}", ("POST",))
    ENTITY = Route("entities/{entityName}/{entityKey}", ("GET",))
    DELETE_ENTITY = Route("entities/{entityName}/{entityKey}", ("DELETE",))
    METRICS = Route("metrics", ("GET",))
    OPENAPI = Route("openapi.json", ("GET",))
    UI = Route("ui/{file?}", ("GET",), keyless=True)
    CAPABILITY = Route("c/{token}/{eventName?}", ("GET", "POST", "DELETE"), keyless=True)


OPERATIONS = {verb.value: verb for verb in (Verb.TERMINATE, Verb.CANCEL, Verb.SUSPEND, Verb.RESUME)}
"""What ``{operation}`` may be."""

SCHEDULE_OPERATIONS = ("pause", "resume", "trigger", "backfill", "delete")
"""What ``{operation}`` of a schedule may be."""


@cache  # each request asks
def methods_of(template: str) -> tuple[str, ...]:
    """The methods that some route answers at the paths of this template."""
    routes = [endpoint.value for endpoint in Endpoint]
    return tuple(method for route in routes if route.template == template for method in route.methods)
