"""host.json and local.settings.json, read as the Azure Functions host reads them.

Owns the names and defaults of the host's settings. Knows nothing of functions, storage or HTTP.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, MutableMapping
from dataclasses import field
from pathlib import Path
from typing import Any

from ...errors import ConfigurationError
from ...host_json import (
    HOST_JSON,
    function_timeout,
    get_seconds,
    get_section,
    get_value,
    read_host_json,
    read_json_file,
)
from ...lazy_dataclass import dataclass
from .host_json_advice import LACKS_POLLING, lacks_polling

log = logging.getLogger(__name__)

AZURES_POLLING_INTERVAL = 60.0
LOCAL_POLLING_INTERVAL = 2.0
"""Seconds, if host.json does not set it: a message of another process wakes no listener, and a developer waits."""
HOST_KEY, LOOK_KEY = "DURABLE_HOST_KEY", "DURABLE_HOST_LOOK_KEY"


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


def apply_local_settings(folder: Path, environ: MutableMapping[str, str]) -> None:
    """Put ``Values`` of local.settings.json where the environment lacks them; as in Azure's tools, it wins."""
    values = get_section(read_json_file(folder / "local.settings.json").entries, "Values")
    for name, value in values.items():
        if value is not None:
            environ.setdefault(name, value if isinstance(value, str) else json.dumps(value))


def host_key(option: str | None, environ: Mapping[str, str]) -> str | None:
    """The key that the host asks: that of the command line, else DURABLE_HOST_KEY; None if there is neither.

    ConfigurationError if it is empty: a host whose secret is missing must not be open to everybody.
    """
    return _key("--require-keys", option, HOST_KEY, environ)


def look_key(option: str | None, environ: Mapping[str, str], full: str | None) -> str | None:
    """The key that the host accepts for GET alone; None if there is none. ``full``: the key for every request.

    ConfigurationError if it is empty, or if the host asks no key, so that it would accept every request anyway.
    """
    key = _key("--look-key", option, LOOK_KEY, environ)
    if key is not None and full is None:
        raise ConfigurationError(
            "a key that may only look protects nothing where no key is required; give --require-keys as well"
        )
    return key


def _key(option: str, given: str | None, variable: str, environ: Mapping[str, str]) -> str | None:
    name, key = (option, given) if given is not None else (variable, environ.get(variable))
    if key is not None and not key.strip():
        raise ConfigurationError(f"{name} is empty, so it cannot protect any function; give a key, or remove {name}")
    return key


def read_host_config(folder: Path, environ: Mapping[str, str] | None = None, *, azure_like: bool = False) -> HostConfig:
    """Read host.json of the app folder, with ``AzureFunctionsJobHost__a__b`` overrides.

    azure_like: take all defaults of the Functions host; else idle queues are polled more often. The log warns of a
    host.json that does not say how often, and of what was ignored in it.
    ConfigurationError names the key whose value does not fit.
    """
    environ = os.environ if environ is None else environ
    file = read_host_json(folder, environ)
    for remark in file.remarks:
        log.warning("%s, %s", HOST_JSON, remark)
    document = file.entries
    extensions = get_section(document, "extensions")
    http, queues = get_section(extensions, "http"), get_section(extensions, "queues")

    polling = get_seconds(queues, "maxPollingInterval", AZURES_POLLING_INTERVAL)
    if lacks_polling(document):
        if not azure_like:
            polling = LOCAL_POLLING_INTERVAL
        log.warning(
            "%s; this host polls them every %g s. Add, or let 'durable_core host-json --write' add:\n%s",
            *(LACKS_POLLING.problem, polling, LACKS_POLLING.lines),
        )
    batch_size = _integer(queues, "batchSize", 16, low=1, high=32)
    processors = os.cpu_count() or 1
    return HostConfig(
        route_prefix=str(get_value(http, "routePrefix", "api")).strip("/"),
        function_timeout=function_timeout(document, environ),
        queues=QueueOptions(
            batch_size=batch_size,
            new_batch_threshold=_integer(queues, "newBatchThreshold", batch_size // 2 * processors, low=0, high=1000),
            max_polling_interval=max(0.1, polling),
            visibility_timeout=get_seconds(queues, "visibilityTimeout", 0.0),
            max_dequeue_count=_integer(queues, "maxDequeueCount", 5, low=1, high=1_000_000),
        ),
    )


def _integer(section: Mapping[str, Any], key: str, default: int, *, low: int, high: int) -> int:
    raw = get_value(section, key, default)
    try:
        number = int(raw)
    except (TypeError, ValueError) as error:
        raise ConfigurationError(f"host.json: {key} must be a whole number, not {raw!r}") from error
    if not low <= number <= high:
        raise ConfigurationError(f"host.json: {key} must be {low} to {high}, not {number}")
    return number
