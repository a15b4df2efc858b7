"""What a host.json lacks for durable_core in Azure, and the lines that it lacks, written into its text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import ConfigurationError
from ...host_json import get_section, get_value
from ...lazy_dataclass import dataclass
from ...lenient_json import as_strict

POLLING = "00:00:02"
MIN_DEQUEUES = 5
_PATH = ("extensions", "queues")
_KEY = "maxPollingInterval"


@dataclass(frozen=True, slots=True)
class Advice:
    """problem: what is wrong, in a sentence without its full stop. lines: what to add to host.json, or nothing."""

    problem: str
    lines: str = ""


LACKS_POLLING = Advice(
    f"host.json does not set extensions.queues.{_KEY}: without it Azure polls idle queues every 60 s",
    json.dumps({_PATH[0]: {_PATH[1]: {_KEY: POLLING}}}, indent=2)[2:-2],  # members of the root, without its braces
)


def lacks_polling(entries: Mapping[str, Any]) -> bool:
    """Whether host.json leaves open how often idle queues are polled. ConfigurationError if a section is no object."""
    return get_value(get_section(get_section(entries, _PATH[0]), _PATH[1]), _KEY) is None


def advise(entries: Mapping[str, Any]) -> Sequence[Advice]:
    """All that these entries of a host.json lack, or have wrong, for an app of durable_core in Azure."""
    queues = get_section(get_section(entries, _PATH[0]), _PATH[1])
    found: list[Advice] = [LACKS_POLLING] if lacks_polling(entries) else []
    encoding = str(get_value(queues, "messageEncoding", "base64"))
    if encoding.lower() != "base64":
        found.append(Advice(f"extensions.queues.messageEncoding is '{encoding}', but messages are sent as base64"))
    dequeues = get_value(queues, "maxDequeueCount", MIN_DEQUEUES)
    if isinstance(dequeues, int) and dequeues < MIN_DEQUEUES:
        found.append(
            Advice(
                f"extensions.queues.maxDequeueCount is {dequeues}: a message goes to the poison queue before its "
                f"instance shows the error; use {MIN_DEQUEUES} or more"
            )
        )
    if not get_section(entries, "extensionBundle"):
        bundle = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
        lines = json.dumps({"extensionBundle": bundle}, indent=2)[2:-2]
        found.append(Advice("host.json names no extensionBundle, without which Azure has no queue triggers", lines))
    return found


def with_polling(text: str) -> str:
    """The text of a host.json with ``maxPollingInterval`` in its queue section; comments, order and line ends are kept.

    ConfigurationError where a section on the way is no object, or the key is there without a value.
    """
    strict = as_strict(text)
    place, missing = _innermost(strict, _PATH)
    if not missing and _KEY.lower() in (key.lower() for key in _keys(strict, place)):
        raise ConfigurationError(f"extensions.queues.{_KEY} has no value; write one in its place, such as {POLLING!r}")
    unit = _unit(strict)
    depth = 1 + len(_PATH) - len(missing)
    value: object = {_KEY: POLLING}
    for name in reversed(missing):
        value = {name: value}
    lines = json.dumps(value, indent=unit).splitlines()[1:-1]
    outer = unit * (depth - 1) if isinstance(unit, str) else " " * unit * (depth - 1)
    end = "\r\n" if "\r\n" in text else "\n"
    added = end + end.join(outer + line for line in lines)
    is_empty = strict[_skip(strict, place)] == "}"
    return text[:place] + added + (end + outer if is_empty else ",") + text[place:]


def _innermost(strict: str, path: Sequence[str]) -> tuple[int, Sequence[str]]:
    """Where the innermost object on the path begins, after its brace, and the names that there are no objects for."""
    place = _skip(strict, 0) + 1
    for index, name in enumerate(path):
        inner = next((at for key, at in _members(strict, place) if key.lower() == name.lower()), None)
        if inner is None:
            return place, path[index:]
        if strict[inner] != "{":
            raise ConfigurationError(f"'{name}' must be a JSON object")
        place = inner + 1
    return place, ()


def _keys(strict: str, place: int) -> list[str]:
    return [key for key, _ in _members(strict, place)]


def _members(strict: str, place: int) -> list[tuple[str, int]]:
    """The keys of the object that begins there, each with the place of its value."""
    decoder, found = json.JSONDecoder(), list[tuple[str, int]]()
    at = _skip(strict, place)
    while strict[at] != "}":
        key, end = decoder.raw_decode(strict, at)
        value = _skip(strict, _skip(strict, end) + 1)  # after the colon
        found.append((key, value))
        at = _skip(strict, decoder.raw_decode(strict, value)[1])
        if strict[at] == ",":
            at = _skip(strict, at + 1)
    return found


def _skip(strict: str, at: int) -> int:
    while strict[at].isspace():
        at += 1
    return at


def _unit(strict: str) -> str | int:
    """How the file indents: the white space before its first member, or two spaces."""
    start = _skip(strict, 0) + 1
    before = strict[start : _skip(strict, start)].rpartition("\n")
    return before[2] if before[1] and before[2] else 2
