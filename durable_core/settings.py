"""The settings of an app, read once from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path

from .errors import ConfigurationError
from .models import RuntimeStatus
from .retention_setting import read_retention

DEFAULT_STORE = ".durable/durable.db"

_ENVIRONMENT = {
    "hub": "DURABLE_HUB",
    "partitions": "DURABLE_PARTITIONS",
    "store": "DURABLE_STORE",
    "warm_cache": "DURABLE_WARM_CACHE",
    "warm_instances": "DURABLE_WARM_INSTANCES",
    "inline_default": "DURABLE_INLINE",
    "message_lease": "DURABLE_MESSAGE_LEASE",
    "max_payload": "DURABLE_MAX_PAYLOAD",
    "signing_keys": "DURABLE_SIGNING_KEYS",
    "base_url": "DURABLE_BASE_URL",
    "app_build": "DURABLE_APP_BUILD",
    "max_threads": "DURABLE_MAX_THREADS",
    "guard": "DURABLE_GUARD",
    "http_allow": "DURABLE_HTTP_ALLOW",
    "code_limit": "DURABLE_CODE_LIMIT",
    "metrics": "DURABLE_METRICS",
    "retention": "DURABLE_RETENTION",
}
_HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of an app. ``docs/settings.md`` names the environment variable of each field.

    hub: name of the task hub, a prefix of its tables and queues; 3 to 40 letters and digits, begins with a letter.
    partitions: number of control queues, work queues and catalogue shards of the hub, 1 to 64; fixed once the hub
        exists.
    store: path of the embedded SQLite file, used if no ``AzureWebJobsStorage`` is set; ``:memory:`` stores nothing on
        disk.
    connection: the ``AzureWebJobsStorage*`` settings, by their part after that name ('' for the connection string).
    warm_cache: bytes of memory, estimated, for warm instances, their histories and locals; 0 replays at every message.
    warm_instances: highest number of warm instances in one process, whatever memory they need.
    inline_default: whether an activity that was scheduled alone may run in the turn that scheduled it.
    message_lease: seconds of the lease on a message, before any renewal; at least 1.
    max_payload: highest number of bytes of JSON of one input, result or event.
    signing_keys: secrets by which capability URLs are signed, newest first.
    base_url: the public address of the app, such as https://orders.example.com, for all URLs that it returns; if
        empty, callback URLs have the host's own address and other URLs the address of the request.
    app_build: identifies one deployment of the app; if empty, a hash of the app's code.
    max_threads: number of threads for activities that are plain functions.
    guard: whether the guard stops orchestrator code with a DeterminismError where it uses a file, a clock, chance and
        the like. The local host turns the guard on unless this setting is given.
    http_allow: hosts to which ``ctx.call_http`` may send requests, redirects included: ``api.example.com`` (any port),
        ``api.example.com:8443``, ``*.example.com`` (every host of that domain); empty: every host, internal ones too.
    retention: for how long ended instances are kept, by their status; those of other statuses are kept for ever.
    code_limit: seconds for which orchestrators, async activities, validators and codecs may block the event loop
        before they are interrupted; 0: no limit.

    metrics: whether the process counts what it does, for ``GET /metrics``.

    Raises ConfigurationError, with the name of the environment variable, for a value out of its range.
    """

    hub: str = "durable"
    partitions: int = 1
    store: str = DEFAULT_STORE
    connection: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # holds the account's key
    warm_cache: int = 64 * 1024 * 1024
    warm_instances: int = 5_000
    inline_default: bool = True
    message_lease: float = 600.0
    max_payload: int = 10 * 1024 * 1024
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    base_url: str = ""
    app_build: str = ""
    max_threads: int = 32
    guard: bool = False
    http_allow: tuple[str, ...] = ()
    code_limit: float = 10.0
    metrics: bool = False
    retention: Mapping[RuntimeStatus, timedelta] = field(default_factory=dict[RuntimeStatus, timedelta])

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,39}", self.hub):
            raise ConfigurationError(
                f"hub name '{self.hub}' must have 3 to 40 letters and digits and begin with a letter (DURABLE_HUB)"
            )
        if not 1 <= self.partitions <= 64:
            raise ConfigurationError(f"partitions must be 1 to 64, not {self.partitions} (DURABLE_PARTITIONS)")
        if self.warm_cache < 0:
            raise ConfigurationError(
                f"warm_cache, a number of bytes, must not be negative, but is {self.warm_cache} (DURABLE_WARM_CACHE)"
            )
        if self.warm_instances < 0:
            raise ConfigurationError(
                f"warm_instances must not be negative, but is {self.warm_instances} (DURABLE_WARM_INSTANCES)"
            )
        if self.base_url and not re.fullmatch(r"https?://[^\s?#]+", self.base_url):
            raise ConfigurationError(
                f"base_url '{self.base_url}' must be an address such as https://orders.example.com (DURABLE_BASE_URL)"
            )
        if self.max_threads < 1:
            raise ConfigurationError(f"max_threads must be at least 1, not {self.max_threads} (DURABLE_MAX_THREADS)")
        if self.max_payload < 1:
            raise ConfigurationError(
                f"max_payload, a number of bytes, must be at least 1, not {self.max_payload} (DURABLE_MAX_PAYLOAD)"
            )
        for pattern in self.http_allow:
            if not _HOST_PATTERN.fullmatch(pattern):
                raise ConfigurationError(
                    f"'{pattern}' is not a host in lower case such as api.example.com, api.example.com:8443 or "
                    "*.example.com (DURABLE_HTTP_ALLOW)"
                )
        if not self.code_limit >= 0:
            raise ConfigurationError(
                f"code_limit must be a number of seconds, or 0 for no limit, not {self.code_limit} (DURABLE_CODE_LIMIT)"
            )
        if self.message_lease < 1:
            raise ConfigurationError(
                f"message_lease must be at least 1 second, not {self.message_lease} (DURABLE_MESSAGE_LEASE)"
            )

    @property
    def is_embedded(self) -> bool:
        """Whether the task hub is in the embedded SQLite store."""
        return not self.connection

    @property
    def durable_folder(self) -> Path:
        """The folder of a local host's own files, which is that of the store."""
        return Path(DEFAULT_STORE).parent if self.store == ":memory:" else Path(self.store).parent

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read all settings from ``environ``, or else from ``os.environ``.

        Raises ConfigurationError, with the name of the variable, for a value that is not valid.
        """
        env = os.environ if environ is None else environ
        values: dict[str, object] = {}
        for f in fields(cls):
            variable = _ENVIRONMENT.get(f.name)
            raw = env.get(variable) if variable else None
            if raw is None or variable is None:
                continue
            values[f.name] = _parse(f.name, variable, raw)
        prefix = "AzureWebJobsStorage"
        connection = {
            name[len(prefix) :].lstrip("_"): value
            for name, value in env.items()
            if value and (name == prefix or name.startswith(prefix + "__"))
        }
        return cls(connection=connection, **values)  # pyright: ignore[reportArgumentType]


def _parse(name: str, variable: str, raw: str) -> object:
    try:
        match name:
            case "partitions" | "warm_cache" | "warm_instances" | "max_payload" | "max_threads":
                return int(raw)
            case "retention":
                return read_retention(raw)
            case "message_lease" | "code_limit":
                return float(raw)
            case "inline_default" | "guard" | "metrics":
                if raw.lower() not in ("0", "1", "false", "true"):
                    raise ValueError(raw)
                return raw.lower() in ("1", "true")
            case "signing_keys":
                return tuple(key.strip() for key in raw.split(",") if key.strip())
            case "http_allow":
                hosts = tuple(host.strip().lower() for host in raw.split(",") if host.strip())
                if not hosts:  # an empty allow-list would allow every host
                    raise ValueError(raw)
                return hosts
            case _:
                return raw
    except ValueError as error:
        why = f": {error}" if name == "retention" else ""
        raise ConfigurationError(f"{variable}={raw!r} is not a valid value for {name}{why}") from error
