"""host.json of an app: read as the Functions host reads it, with the overrides of the environment.

Owns how the file is found, read and looked up, and the settings that more than one layer asks for. What the others mean
is known by those who ask for them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Any, cast

from .errors import ConfigurationError
from .lazy_dataclass import dataclass
from .lenient_json import parse_lenient

HOST_JSON = "host.json"
_OVERRIDE_PREFIX = "azurefunctionsjobhost__"
_SCRIPT_ROOT = "AzureWebJobsScriptRoot"
_TIME_SPAN = re.compile(
    r"(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{1,2})(?::(?P<seconds>\d{1,2}(?:\.\d+)?))?"
)
_SKU = "WEBSITE_SKU"
_CONSUMPTION = "dynamic"  # the plan whose functions end after five minutes, as WEBSITE_SKU names it
CONSUMPTION_TIMEOUT, USUAL_TIMEOUT = 300.0, 1800.0
SHORTEST_TIMEOUT = 1.0


@dataclass(frozen=True, slots=True)
class JsonFile:
    """A JSON file with an object. remarks: what was ignored in it. A file that does not exist has no entries."""

    entries: dict[str, Any] = field(default_factory=dict[str, Any])
    remarks: Sequence[str] = ()


def read_json_file(path: Path) -> JsonFile:
    """Read a JSON object with comments and trailing commas. ConfigurationError names the file and what is wrong."""
    try:
        document = parse_lenient(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        return JsonFile()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path.name} cannot be read: {error}") from error
    entries: object = document.value
    if not isinstance(entries, dict):
        raise ConfigurationError(f"{path.name} must hold a JSON object")
    return JsonFile(cast("dict[str, Any]", entries), document.remarks)


def read_host_json(folder: Path, environ: Mapping[str, str]) -> JsonFile:
    """host.json of an app's folder, with the ``AzureFunctionsJobHost__a__b`` of the environment set in it."""
    file = read_json_file(folder / HOST_JSON)
    for name, value in environ.items():
        if name.lower().startswith(_OVERRIDE_PREFIX):
            _set(file.entries, name[len(_OVERRIDE_PREFIX) :].split("__"), value)
    return file


def app_folder(environ: Mapping[str, str]) -> Path:
    """The folder of the app that runs: the working directory, or where Azure says that it is if that has no host.json.

    A worker of Azure that has not changed to the app's folder yet still has the address of it in its environment.
    """
    here, root = Path.cwd(), environ.get(_SCRIPT_ROOT)
    return Path(root) if root and not (here / HOST_JSON).is_file() else here


def hub_name(folder: Path, environ: Mapping[str, str]) -> str | None:
    """``extensions.durableTask.hubName`` of host.json, where Durable Functions has the name of the hub, or None.

    ``%NAME%`` in it is an app setting, as in Durable Functions. ConfigurationError if that is not set.
    """
    return _of_durable_task(folder, environ, "hubName")


def default_version(folder: Path, environ: Mapping[str, str]) -> str | None:
    """``extensions.durableTask.defaultVersion`` of host.json: the version of an instance whose start names none."""
    return _of_durable_task(folder, environ, "defaultVersion")


def _of_durable_task(folder: Path, environ: Mapping[str, str], key: str) -> str | None:
    section = get_section(get_section(read_host_json(folder, environ).entries, "extensions"), "durableTask")
    value = get_value(section, key)
    return None if value is None else resolve_settings(str(value), environ)


def function_timeout(entries: Mapping[str, Any], environ: Mapping[str, str]) -> float | None:
    """``functionTimeout`` of a host.json: seconds for which the host lets a function run; None: for any time.

    Where it is not set, it is that of the plan: five minutes on Consumption (``WEBSITE_SKU``), else half an hour.
    ConfigurationError for what is no time span, and for less than a second, which Azure refuses, too.
    """
    default = CONSUMPTION_TIMEOUT if environ.get(_SKU, "").lower() == _CONSUMPTION else USUAL_TIMEOUT
    if str(get_value(entries, "functionTimeout", "")).strip() == "-1":
        return None
    limit = get_seconds(entries, "functionTimeout", default)
    if limit < SHORTEST_TIMEOUT:
        raise ConfigurationError("host.json: functionTimeout must be at least 00:00:01, or -1 for no limit")
    return limit


def function_timeout_in(folder: Path, environ: Mapping[str, str]) -> float | None:
    """That of the host.json in this folder."""
    return function_timeout(read_host_json(folder, environ).entries, environ)


def own_function_timeout(environ: Mapping[str, str]) -> float | None:
    """That of the app that runs."""
    return function_timeout_in(app_folder(environ), environ)


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


def get_seconds(section: Mapping[str, Any], key: str, default: float) -> float:
    """The seconds of a key whose value is a TimeSpan. ConfigurationError for any other value."""
    raw = get_value(section, key)
    if raw is None:
        return default
    seconds = parse_time_span(str(raw))
    if seconds is None:
        raise ConfigurationError(f"host.json: {key} must be a time span such as 00:00:02 or 1.12:00:00, not {raw!r}")
    return seconds


def resolve_settings(text: str, environ: Mapping[str, str]) -> str:
    """Replace ``%NAME%`` by the app setting of that name, as binding expressions do. ConfigurationError if unset."""

    def value(match: re.Match[str]) -> str:
        name = match[1]
        if name not in environ:
            raise ConfigurationError(f"'{text}' names the app setting '{name}', which is not set")
        return environ[name]

    return re.sub(r"%([^%]+)%", value, text)


def get_value(section: Mapping[str, Any], key: str, default: Any = None) -> Any:
    """The value of a key, in whatever case it is spelled: .NET configuration ignores it. A null is the default."""
    name = _find(section, key)
    return default if name is None or section[name] is None else section[name]


def get_section(entries: Mapping[str, Any], key: str) -> dict[str, Any]:
    """The object of a key, empty where there is none. ConfigurationError for any other value."""
    value = get_value(entries, key, {})
    if not isinstance(value, dict):
        raise ConfigurationError(f"'{key}' must be a JSON object")
    return cast("dict[str, Any]", value)


def _find(section: Mapping[str, Any], key: str) -> str | None:
    return next((name for name in section if name.lower() == key.lower()), None)


def _set(document: dict[str, Any], path: list[str], value: str) -> None:
    section: dict[str, Any] = document
    for key in path[:-1]:
        name = _find(section, key) or key
        if not isinstance(section.get(name), dict):
            section[name] = {}
        section = section[name]
    section[_find(section, path[-1]) or path[-1]] = value
