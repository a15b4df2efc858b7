"""The client of an app with interceptors: its calls run inside of them. An app without them has a plain client.

Each method of ``CARRIES`` and ``CLIENT_METHODS`` is wrapped; what a method calls inside runs on the plain client, so
that a call is intercepted once.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any

from ..definitions import name_of
from ..entities import EntityId
from ..hang_watch import Code, in_stretches
from ..headers import request_headers
from ..interceptors import ClientCall, Interceptors, Proceed, around
from .client import DurableClient

CARRIES = ("start_new", "enqueue", "signal_with_start", "signal_entity", "create_schedule")
"""Methods whose call takes headers along."""

CLIENT_METHODS = (
    *CARRIES,
    *("restart", "rewind", "fork", "cancel", "terminate", "suspend", "resume"),
    *("raise_event", "raise_event_once", "complete_callback", "redeem_callback", "update", "query"),
    *("purge_instance_history", "purge_instance_history_by", "purge_slice", "bulk", "recover"),
    *("pause_schedule", "resume_schedule", "trigger_schedule", "backfill_schedule"),
    *("delete_schedule", "delete_entity"),
)
"""Methods that are intercepted."""

_CODE = Code("an interceptor of client calls")

_NAMES = ("orchestrator", "activity", "event_name", "name", "operation", "action")
"""Parameters that name what a call is about, the first that a method has."""


class InterceptedClient(DurableClient):
    """``plain``: the client of the app without its interceptors."""

    def __init__(self, plain: DurableClient, interceptors: Interceptors) -> None:
        vars(self).update(vars(plain))
        self._plain = plain
        self._interceptors = interceptors

    async def synchronize_schedules(self) -> None:
        """As of the plain client: what the app's own code declares is not intercepted."""
        await self._plain.synchronize_schedules()

    async def _call(self, name: str, signature: inspect.Signature, args: Any, kwargs: Any) -> Any:
        method: Callable[..., Any] = getattr(self._plain, name)
        arguments = signature.bind(self, *args, **kwargs).arguments
        arguments.update(arguments.pop("options", {}))
        given: Any = arguments.get("headers") or {}
        is_mapping = isinstance(given, Mapping)  # if not, the method itself says what is wrong
        call = ClientCall(
            method=name,
            instance_id=_id_in(arguments),
            name=next((_name_in(arguments[each]) for each in _NAMES if each in arguments), ""),
            arguments=MappingProxyType({key: value for key, value in arguments.items() if key != "self"}),
            headers=dict(arguments.get("headers") or {}) if is_mapping else {},
            request=request_headers.get(),
        )

        async def last() -> Any:
            if name in CARRIES and is_mapping and (call.headers or given):
                kwargs["headers"] = call.headers
            return await method(*args, **kwargs)

        # An endless loop of an interceptor would block the host that answers over HTTP.
        return await in_stretches(_awaited(around(self._interceptors.clients, call, last)), _CODE)


async def _awaited(chain: Proceed) -> Any:
    return await chain()


def _id_in(arguments: dict[str, Any]) -> str:
    for name in ("instance_id", "entity_id", "schedule_id"):
        if (found := arguments.get(name)) is not None:
            return str(found) if isinstance(found, str | EntityId) else ""
    return ""


def _name_in(value: object) -> str:
    try:
        return name_of(value)
    except TypeError:  # the method itself says what is wrong
        return ""


def _wrapped(name: str) -> Callable[..., Any]:
    method: Callable[..., Any] = getattr(DurableClient, name)
    signature = inspect.signature(method)

    @wraps(method)
    async def call(self: InterceptedClient, *args: Any, **kwargs: Any) -> Any:
        return await self._call(name, signature, args, kwargs)  # pyright: ignore[reportPrivateUsage]

    return call


for _name in CLIENT_METHODS:
    setattr(InterceptedClient, _name, _wrapped(_name))
