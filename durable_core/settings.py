"""The settings of an app, read once from the environment."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import ConfigurationError
from .host_json import app_folder, function_timeout_in, hub_name
from .lazy_dataclass import dataclass, fields_of
from .models import RuntimeStatus

if TYPE_CHECKING:
    from .prices import Prices

DEFAULT_STORE = ".durable/durable.db"
LONGEST_LEASE = 604_800  # seconds; Azure Queues hides a message for seven days at most

_ENVIRONMENT = {
    "hub": "DURABLE_HUB",
    "partitions": "DURABLE_PARTITIONS",
    "store": "DURABLE_STORE",
    "warm_cache": "DURABLE_WARM_CACHE",
    "warm_instances": "DURABLE_WARM_INSTANCES",
    "inline_default": "DURABLE_INLINE",
    "turns_at_work": "DURABLE_TURNS_AT_WORK",
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
    "instance_log": "DURABLE_INSTANCE_LOG",
    "retention": "DURABLE_RETENTION",
    "timer_rows_from": "DURABLE_TIMER_ROWS_FROM",
    "prices": "DURABLE_PRICES",
    "azure_sdk": "DURABLE_AZURE_SDK",
}
_SWITCH = "true, false, 1 or 0"
_WANTED = {
    "partitions": "a whole number, 1 to 64",
    "warm_cache": "a whole number of bytes, such as 67108864, at least 0",
    "warm_instances": "a whole number, at least 0",
    "max_payload": "a whole number of bytes, such as 10485760, at least 1",
    "max_threads": "a whole number, at least 1",
    "message_lease": f"a number of seconds, 1 to {LONGEST_LEASE:,}",
    "code_limit": "a number of seconds, at least 0; 0 for no limit",
    "timer_rows_from": "a number of seconds, 60 to 600",
    "inline_default": _SWITCH,
    "guard": _SWITCH,
    "metrics": _SWITCH,
    "instance_log": _SWITCH,
    "azure_sdk": _SWITCH,
    "http_allow": "a list of at least one host, such as api.example.com, *.example.org; unset it to allow every host",
}
"""What a setting takes that is not a text, for the error about a value that cannot be read."""
_HUB_PATTERN = re.compile(r"[A-Za-z][A-Za-z0-9]{2,39}")
_HOST_PATTERN = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?(:[0-9]{1,5})?|\[[0-9a-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings of an app. ``docs/settings.md`` names the environment variable of each field.

    hub: name of the task hub, a prefix of its tables and queues; 3 to 40 letters and digits, begins with a letter.
        Without DURABLE_HUB it is ``extensions.durableTask.hubName`` of host.json, as in Durable Functions.
    partitions: number of control queues, work queues and catalogue shards of the hub, 1 to 64; fixed once the hub
        exists.
    store: path of the embedded SQLite file, used if no ``AzureWebJobsStorage`` is set; ``:memory:`` stores nothing on
        disk.
    connection: the ``AzureWebJobsStorage*`` settings, by their part after that name ('' for the connection string).
    warm_cache: bytes of memory, estimated, for warm instances, their histories and locals; 0 replays at every message.
    warm_instances: highest number of warm instances in one process, whatever memory they need.
    inline_default: whether an activity that was scheduled alone may run in the turn that scheduled it.
    turns_at_work: whether the host that has run the only open activity of a short instance runs the next turn, too, and
        up to four such activities in a row; else it sends each result by a control queue.
    message_lease: seconds of the lease on a message, before any renewal; 1 to 604,800.
    function_timeout: seconds after which the host ends a function, as ``functionTimeout`` of host.json or the plan has
        it; None: never. What can be handed over is, before that.
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
    timer_rows_from: seconds, 60 to 600; a timer or a retry that is further away is a row of the timers table, not a
        delayed message, for which Azure would start machines. The same for all hosts of a hub.
    code_limit: seconds for which orchestrators, async activities, validators and codecs may block the event loop
        before they are interrupted; 0: no limit.
    instance_log: whether the start and the end of each instance is logged, by ``durable_core.instances``. The local
        host turns it on unless this setting is given.
    metrics: whether the process counts what it does, for ``GET /metrics``.
    prices: what storage operations cost; None: Azure's prices as ``durable_core.prices`` has them, and nothing in the
        embedded store.
    azure_sdk: whether every storage operation passes the whole pipeline of Azure's SDKs, which takes five times as much
        CPU; for what only that does, such as the SDKs' own tracing.

    Raises ConfigurationError, with the name of the environment variable, for a value out of its range.
    """

    hub: str = "durable"
    partitions: int = 1
    store: str = DEFAULT_STORE
    connection: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)  # holds the account's key
    warm_cache: int = 64 * 1024 * 1024
    warm_instances: int = 5_000
    inline_default: bool = True
    turns_at_work: bool = True
    message_lease: float = 600.0
    function_timeout: float | None = None
    max_payload: int = 10 * 1024 * 1024
    signing_keys: tuple[str, ...] = field(default=(), repr=False)
    base_url: str = ""
    app_build: str = ""
    max_threads: int = 32
    guard: bool = False
    http_allow: tuple[str, ...] = ()
    code_limit: float = 10.0
    metrics: bool = False
    instance_log: bool = False
    prices: Prices | None = None
    azure_sdk: bool = False
    timer_rows_from: float = 600.0
    retention: Mapping[RuntimeStatus, timedelta] = field(default_factory=dict[RuntimeStatus, timedelta])

    def __post_init__(self) -> None:
        if not _HUB_PATTERN.fullmatch(self.hub):
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
        if not 60 <= self.timer_rows_from <= 600:
            raise ConfigurationError(
                f"timer_rows_from must be 60 to 600 seconds, not {self.timer_rows_from} (DURABLE_TIMER_ROWS_FROM)"
            )
        if self.function_timeout is not None and not self.function_timeout > 0:
            raise ConfigurationError(
                "function_timeout must be a number of seconds above 0, or None for no limit, not "
                f"{self.function_timeout} (functionTimeout of host.json)"
            )
        if not 1 <= self.message_lease <= LONGEST_LEASE:
            raise ConfigurationError(
                f"message_lease must be 1 to {LONGEST_LEASE:,} seconds, not {self.message_lease} "
                "(DURABLE_MESSAGE_LEASE)"
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
    def from_environment(cls, environ: Mapping[str, str] | None = None, *, folder: Path | None = None) -> Settings:
        """Read all settings from ``environ``, or else from ``os.environ`` and the host.json of the app.

        folder: where that host.json is; None: the app's own folder, unless ``environ`` is given.
        Raises ConfigurationError, with the name of the variable, for a value that is not valid.
        """
        env = os.environ if environ is None else environ
        if folder is None and environ is None:
            folder = app_folder(env)
        values: dict[str, object] = {}
        for name in fields_of(cls):
            variable = _ENVIRONMENT.get(name)
            raw = env.get(variable) if variable else None
            if raw is None or variable is None:
                continue
            values[name] = _parse(name, variable, raw)
        if "hub" not in values and folder is not None and (name := hub_name(folder, env)) is not None:
            values["hub"] = _of_host_json(name)
        if folder is not None:
            values["function_timeout"] = function_timeout_in(folder, env)
        prefix = "AzureWebJobsStorage"
        connection = {
            name[len(prefix) :].lstrip("_"): value
            for name, value in env.items()
            if value and (name == prefix or name.startswith(prefix + "__"))
        }
        return cls(connection=connection, **values)  # pyright: ignore[reportArgumentType]


def _of_host_json(name: str) -> str:
    if not _HUB_PATTERN.fullmatch(name):
        raise ConfigurationError(
            f"host.json names the hub '{name}' (extensions.durableTask.hubName), but a hub's name has 3 to 40 letters "
            "and digits and begins with a letter; change it there, or set DURABLE_HUB, which has precedence"
        )
    return name


def _parse(name: str, variable: str, raw: str) -> object:
    try:
        match name:
            case "partitions" | "warm_cache" | "warm_instances" | "max_payload" | "max_threads":
                return int(raw)
            case "retention":
                from .retention_setting import read_retention  # few apps set it, and each worker would import it

                return read_retention(raw)
            case "prices":
                from .prices import read_prices

                return read_prices(raw)
            case "message_lease" | "code_limit" | "timer_rows_from":
                return float(raw)
            case "inline_default" | "turns_at_work" | "guard" | "metrics" | "instance_log" | "azure_sdk":
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
        why = str(error) if name in ("retention", "prices") else f"it must be {_WANTED[name]}"
        raise ConfigurationError(f"{variable}={raw!r} is not a valid value for {name}: {why}") from error
