"""host.json of an app: read as the Functions host reads it, with the overrides of the environment.

Owns how the file is found, read and looked up. What its settings mean is known by those who ask for them.
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
