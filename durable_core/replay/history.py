"""The file of an exported history: readable JSON, from which an equal history can be read.

The form of the file (docs/adr/0016): named fields in a fixed order, DurableTask's event names, a format number. Fields
with their default value are omitted, so that a file without a newer field is read the same. Users' values keep the
order of their keys, because code may iterate over its input.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast, get_args

from ..engine.events import Event, Incoming, Outgoing, Segment
from ..errors import HistoryFileError, NewerFormatError
from ..models import JSON, FailureDetails, ParentLink, RuntimeStatus
from .replayer import History

FORMAT = 1
"""The version of the file's form. It changes only if a reader of the earlier version would misread a file."""

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (*get_args(Incoming), *get_args(Outgoing))}
_HALF_PAIR = re.compile(r"[\ud800-\udfff]")


def read_history(path: Path) -> History:
    """Read a file. HistoryFileError if it is missing, not JSON, or not a history; NewerFormatError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise HistoryFileError(path, f"cannot be read: {error}") from error
    try:
        return from_text(text)
    except ValueError as error:
        raise HistoryFileError(path, f"is not an exported history: {error}") from error
    except NewerFormatError as error:
        raise NewerFormatError(f"{path}: {error}") from error


def write_history(history: History, path: Path) -> None:
    """Write a file. OSError if it cannot be written."""
    path.write_bytes(to_text(history).encode())


def to_text(history: History) -> str:
    """The file's content."""
    text = json.dumps(_to_json(history), indent=1, ensure_ascii=False, allow_nan=False)
    return _HALF_PAIR.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n"


def from_text(text: str) -> History:
    """The inverse of ``to_text``. ValueError, with the place of the fault; NewerFormatError."""
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is not JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    return _from_json(_object(document, "the file"))


# ---------------------------------------------------------------- writing


def _to_json(history: History) -> JSON:
    instance: dict[str, JSON] = {
        "id": history.instance_id,
        "execution": history.execution_id,
        "generation": history.generation,
        "name": history.name,
        "version": history.version,
        "status": history.status.value,
        "created": _time(history.created),
        "build": history.build,
    }
    if (parent := history.parent) is not None:
        instance["parent"] = {f.name: getattr(parent, f.name) for f in fields(ParentLink)}
    document: dict[str, JSON] = {"format": FORMAT, "instance": instance}
    if history.headers:
        instance["headers"] = dict(history.headers)
    if history.seen:
        document["seen"] = list(history.seen)
    document["commits"] = [
        {
            "seq": segment.seq,
            "id": segment.commit_id,
            "time": _time(segment.timestamp),
            "events": [event_to_json(event) for event in segment.events],
        }
        for segment in history.segments
    ]
    return document


def event_to_json(event: Event) -> dict[str, JSON]:
    """An event with its name, and the fields that do not have their default value."""
    named: dict[str, JSON] = {"event": type(event).__name__}
    for f in fields(event):
        value = getattr(event, f.name)
        if f.default is not MISSING and value == f.default and type(value) is type(f.default):
            continue
        if isinstance(value, datetime):
            value = _time(value)
        elif isinstance(value, FailureDetails):
            value = value.to_json()
        named[f.name] = value
    return named


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


# ---------------------------------------------------------------- reading


def _from_json(document: Mapping[str, JSON]) -> History:
    form = _field(document, "format", _int, "the file")
    if form > FORMAT:
        raise NewerFormatError(f"the history is of file format {form}; this version reads {FORMAT}")
    instance = _object(_field(document, "instance", _any, "the file"), "instance")
    status = _field(instance, "status", _text, "instance")
    if status not in set(RuntimeStatus):
        raise NewerFormatError(f"the instance is {status!r}, a status that this version does not know")
    parent = instance.get("parent")
    commits = _list(_field(document, "commits", _any, "the file"), "commits")
    return History(
        instance_id=_field(instance, "id", _text, "instance"),
        execution_id=_field(instance, "execution", _text, "instance"),
        generation=_field(instance, "generation", _int, "instance"),
        name=_field(instance, "name", _text, "instance"),
        version=_field(instance, "version", _text, "instance"),
        status=RuntimeStatus(status),
        created=_field(instance, "created", _moment, "instance"),
        build=_field(instance, "build", _text, "instance"),
        parent=None if parent is None else _fill(ParentLink, _object(parent, "parent"), "parent"),
        segments=tuple(_segment(_object(each, f"commit {at}"), f"commit {at}") for at, each in enumerate(commits)),
        headers=_object(instance.get("headers", {}), "headers"),
        seen=tuple(_text(key) for key in _list(document.get("seen", []), "seen")),
    )


def _segment(document: Mapping[str, JSON], where: str) -> Segment:
    events = _list(_field(document, "events", _any, where), f"{where}: events")
    return Segment(
        seq=_field(document, "seq", _int, where),
        commit_id=_field(document, "id", _text, where),
        timestamp=_field(document, "time", _moment, where),
        events=tuple(event_from_json(_object(e, where), f"{where}, event {at}") for at, e in enumerate(events)),
    )


def event_from_json(named: Mapping[str, JSON], where: str) -> Event:
    """The inverse of ``event_to_json``. ValueError; NewerFormatError for an event or a field not known here."""
    name = _field(named, "event", _text, where)
    kind = _KINDS.get(name)
    if kind is None:
        raise NewerFormatError(f"{where} is of kind '{name}', which this version does not know")
    return _fill(kind, {key: value for key, value in named.items() if key != "event"}, f"{where} ({name})")


def _fill(kind: type[Any], named: Mapping[str, JSON], where: str) -> Any:
    known = {f.name: f for f in fields(kind)}
    if unknown := named.keys() - known.keys():
        raise NewerFormatError(f"{where} has fields that this version does not know: {', '.join(sorted(unknown))}")
    values: dict[str, Any] = {}
    for name, f in known.items():
        if name in named or f.default is MISSING:
            values[name] = _field(named, name, _READERS[str(f.type)], where)
    return kind(**values)


def _field(named: Mapping[str, JSON], name: str, read: Callable[[JSON], Any], where: str) -> Any:
    if name not in named:
        raise ValueError(f"{where} has no '{name}'")
    try:
        return read(named[name])
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{where}: '{name}' does not fit: {error}") from error


def _object(value: JSON, where: str) -> dict[str, JSON]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be an object, not {_shown(value)}")
    return cast("dict[str, JSON]", value)


def _list(value: JSON, where: str) -> list[JSON]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list, not {_shown(value)}")
    return cast("list[JSON]", value)


def _any(value: JSON) -> JSON:
    return value


def _text(value: JSON) -> str:
    if not isinstance(value, str):
        raise ValueError(f"text is expected, not {_shown(value)}")
    return value


def _int(value: JSON) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"a whole number is expected, not {_shown(value)}")
    return value


def _number(value: JSON) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError(f"a number is expected, not {_shown(value)}")
    return value


def _bool(value: JSON) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"true or false is expected, not {_shown(value)}")
    return value


def _moment(value: JSON) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    if moment.tzinfo is None:
        raise ValueError(f"the time {value!r} has no time zone")
    return moment.astimezone(UTC)


def _optional(read: Callable[[JSON], Any]) -> Callable[[JSON], Any]:
    return lambda value: None if value is None else read(value)


def _shown(value: JSON) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


_READERS: dict[str, Callable[[JSON], Any]] = {  # by a field's annotation, as it is written
    "JSON": _any,
    "int": _int,
    "float": _number,
    "str": _text,
    "bool": _bool,
    "datetime": _moment,
    "datetime | None": _optional(_moment),
    "FailureDetails": FailureDetails.from_json,
    "str | None": _optional(_text),
    "FailureDetails | None": _optional(FailureDetails.from_json),
}
