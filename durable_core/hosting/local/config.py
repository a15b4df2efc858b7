"""host.json and local.settings.json, read as the Azure Functions host reads them.

Owns the names and defaults of the host's settings. Knows nothing of functions, storage or HTTP.
"""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ...errors import ConfigurationError

log = logging.getLogger(__name__)

AZURES_POLLING_INTERVAL = 60.0
LOCAL_POLLING_INTERVAL = 2.0
"""Seconds, if host.json does not set it: a message of another process wakes no listener, and a developer waits."""
HOST_KEY = "DURABLE_HOST_KEY"
_OVERRIDE_PREFIX = "azurefunctionsjobhost__"
_TIME_SPAN = re.compile(
    r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d+)?))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueOptions:
    """``extensions.queues``. Times are in seconds.

    batch_size: messages fetched at once. new_batch_threshold: fetch again when no more than this are in flight.
    max_polling_interval: the longest pause between two polls of an empty queue.
    visibility_timeout: how long a message stays hidden after its function failed.
    max_dequeue_count: receipts of a message before it goes to the poison queue.
    """

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_polling_interval: float = AZURES_POLLING_INTERVAL
    visibility_timeout: float = 0.0
    max_dequeue_count: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class HostConfig:
    """What the local host obeys of host.json. ``function_timeout`` is seconds; None means no limit."""

    route_prefix: str = "api"
    function_timeout: float | None = 1800.0
    queues: QueueOptions = field(default_factory=QueueOptions)


def parse_time_span(text: str) -> float | None:
    """Seconds of a .NET TimeSpan (``[d.]hh:mm[:ss[.fff]]``), or None if the text is none."""
    match = _TIME_SPAN.fullmatch(text.strip())
    if match is None:
        return None
    days, hours, minutes = (int(match[name] or 0) for name in ("days", "hours", "minutes"))
    seconds = float(match["seconds"] or 0)
    if hours > 23 or minutes > 59 or seconds >= 60:
        return None
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def apply_local_settings(folder: Path, environ: MutableMapping[str, str]) -> None:
    """Put ``Values`` of local.settings.json where the environment lacks them; as in Azure's tools, it wins."""
    values = _section(_read_json(folder / "local.settings.json"), "Values")
    for name, value in values.items():
        if value is not None:
            environ.setdefault(name, value if isinstance(value, str) else json.dumps(value))


def host_key(option: str | None, environ: Mapping[str, str]) -> str | None:
    """The key that the host asks: that of the command line, else DURABLE_HOST_KEY; None if there is neither.

    ConfigurationError if it is empty: a host whose secret is missing must not be open to everybody.
    """
    name, key = ("--require-keys", option) if option is not None else (HOST_KEY, environ.get(HOST_KEY))
    if key is not None and not key.strip():
        raise ConfigurationError(f"{name} is empty, so it cannot protect any function; give a key, or remove {name}")
    return key


def read_host_config(folder: Path, environ: Mapping[str, str] | None = None, *, azure_like: bool = False) -> HostConfig:
    """Read host.json of the app folder, with ``AzureFunctionsJobHost__a__b`` overrides.

    azure_like: take all defaults of the Functions host; else idle queues are polled more often, and the log says so.
    ConfigurationError names the key whose value does not fit.
    """
    document = _read_json(folder / "host.json")
    for name, value in (os.environ if environ is None else environ).items():
        if name.lower().startswith(_OVERRIDE_PREFIX):
            _set(document, name[len(_OVERRIDE_PREFIX) :].split("__"), value)
    extensions = _section(document, "extensions")
    http, queues = _section(extensions, "http"), _section(extensions, "queues")

    polling = _seconds(queues, "maxPollingInterval", AZURES_POLLING_INTERVAL)
    if _get(queues, "maxPollingInterval") is None and not azure_like:
        polling = LOCAL_POLLING_INTERVAL
        log.info(
            "host.json does not set extensions.queues.maxPollingInterval: "
            "this host polls idle queues every %g s, Azure every "
            "%g s; set it, for example to 00:00:02, to have the same interval in both",
            LOCAL_POLLING_INTERVAL,
            AZURES_POLLING_INTERVAL,
        )
    batch_size = _integer(queues, "batchSize", 16, low=1, high=32)
    processors = os.cpu_count() or 1
    timeout = _get(document, "functionTimeout")
    return HostConfig(
        route_prefix=str(_get(http, "routePrefix", "api")).strip("/"),
        function_timeout=None if timeout in ("-1", -1) else _seconds(document, "functionTimeout", 1800.0),
        queues=QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=_integer(queues, "newBatchThreshold", batch_size // 2 * processors, low=0, high=1000),
            max_polling_interval=max(0.1, polling),
            visibility_timeout=_seconds(queues, "visibilityTimeout", 0.0),
            max_dequeue_count=_integer(queues, "maxDequeueCount", 5, low=1, high=1_000_000),
        ),
    )


def resolve_settings(text: str, environ: Mapping[str, str]) -> str:
    """Replace ``%NAME%`` by the app setting of that name, as binding expressions do. ConfigurationError if unset."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise ConfigurationError(f"'{text}' names the app setting '{name}', which is not set")
        return environ[name]

    return re.sub(r"%([^%]+)%", value, text)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError(f"{path.name} must hold a JSON object")
    return cast("dict[str, Any]", document)


def _find(section: Mapping[str, Any], key: str) -> str | None:
    """The key as it is spelled there: .NET configuration ignores case."""
    return next((name for name in section if name.lower() == key.lower()), None)


def _get(section: Mapping[str, Any], key: str, default: Any = None) -> Any:
    name = _find(section, key)
    return default if name is None or section[name] is None else section[name]


def _section(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = _get(document, key, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"'{key}' must be a JSON object")
    return cast("dict[str, Any]", value)


def _set(document: dict[str, Any], path: list[str], value: str) -> None:
    section: dict[str, Any] = document
    for key in path[:-1]:
        name = _find(section, key) or key
        if not isinstance(section.get(name), dict):
            section[name] = {}
        section = section[name]
    section[_find(section, path[-1]) or path[-1]] = value


def _integer(section: Mapping[str, Any], key: str, default: int, *, low: int, high: int) -> int:
    raw = _get(section, key, default)
    try:
        number = int(raw)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"host.json: {key} must be a whole number, not {raw!r}") from error
    if not low <= number <= high:
        raise ConfigurationError(f"host.json: {key} must be {low} to {high}, not {number}")
    return number


def _seconds(section: Mapping[str, Any], key: str, default: float) -> float:
    raw = _get(section, key)
    if raw is None:
        return default
    seconds = parse_time_span(str(raw))
    if seconds is None:
        raise ConfigurationError(f"host.json: {key} must be a time span such as 00:00:02, not {raw!r}")
    return seconds
