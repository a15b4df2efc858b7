"""The routes of the management API, and which need no key. Both its code and its description read them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from .signed_urls import Verb


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
    EXPLAIN = Route("instances/{instanceId}/explain", ("GET",))
    TREE = Route("instances/{instanceId}/tree", ("GET",))
    TIMELINE = Route("instances/{instanceId}/timeline", ("GET",))
    BULK = Route("bulk", ("POST",))
    RECOVER = Route("recover", ("POST",))
    HUB = Route("hub", ("GET",))
    TIMERS = Route("timers", ("GET",))
    SCHEDULES = Route("schedules", ("GET",))
    SCHEDULE = Route("schedules/{scheduleId}/{operation}", ("POST",))
    METRICS = Route("metrics", ("GET",))
    OPENAPI = Route("openapi.json", ("GET",))
    UI = Route("ui/{file?}", ("GET",), keyless=True)
    CAPABILITY = Route("c/{token}/{eventName?}", ("GET", "POST", "DELETE"), keyless=True)


OPERATIONS = {verb.value: verb for verb in (Verb.TERMINATE, Verb.CANCEL, Verb.SUSPEND, Verb.RESUME)}
"""What ``{operation}`` may be."""

SCHEDULE_OPERATIONS = ("pause", "resume", "trigger", "delete")
"""What ``{operation}`` of a schedule may be."""


def methods_of(template: str) -> list[str]:
    """The methods that some route answers at the paths of this template."""
    return [method for endpoint in Endpoint if endpoint.value.template == template for method in endpoint.value.methods]
