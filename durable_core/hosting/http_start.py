"""The options of a start in the query of a request: its keys, its times, its tags, its limit.

InvalidInputError names the parameter that is missing or cannot be read.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import cast, get_args

from ..errors import InvalidInputError
from ..instance_ids import check_text
from ..limits import Limit
from ..moments import LAST_SECONDS
from ..runtime.start import IfExists, JobOptions
from ..starting import Debounce, Deduplicate
from .http_filters import tags_of
from .http_types import HttpRequest

_PARAMETERS = {
    "debounce": ("debouncePeriod", "debounceMaxWait"),
    "deduplicate": ("deduplicateWindow",),
    "limit": (
        "limitConcurrency",
        "limitRate",
        "limitPer",
        "limitKey",
        "limitGroup",
        "limitEach",
        "limitPriority",
    ),
}
_WHAT_IT_IS = {"debounce": "the key", "deduplicate": "the key", "limit": "the name of the limit"}
_PRIORITY = re.compile(r"-?[0-9]{1,9}")


def options_of_start(request: HttpRequest) -> JobOptions:
    """The options that the client takes for any start: only those that the request has."""
    _refuse_strays(request)
    options: JobOptions = {}
    if (tags := tags_of(request)) is not None:
        options["tags"] = tags
    if (start_at := request.moment("startAt")) is not None:
        options["start_at"] = start_at
    if (run := _time(request, "runTimeout")) is not None:
        options["timeout"] = run
    if "ifexists" in request.query:
        options["if_exists"] = _if_exists(request, request.text("ifExists"))
    if "debounce" in request.query:
        options["debounce"] = Debounce(
            key=request.text("debounce"),
            period=_needed(request, "debouncePeriod"),
            max_wait=_time(request, "debounceMaxWait"),
        )
    if "deduplicate" in request.query:
        window = _needed(request, "deduplicateWindow")
        options["deduplicate"] = Deduplicate(key=request.text("deduplicate"), window=window)
    return options


def limit_of_start(request: HttpRequest) -> Limit | None:
    """The limit for whose slot the instance waits; None if the request names none.

    The key, the group and the priority are given as they are: the caller has made them of the input.
    """
    if "limit" not in request.query:
        return None
    key, group, priority = _text(request, "limitKey"), _text(request, "limitGroup"), _priority(request)
    per = _time(request, "limitPer")
    rate = _count(request, "limitRate")
    if per is not None and rate is None:
        raise InvalidInputError("query parameter 'limitPer' is the period of 'limitRate', which is missing")
    return Limit(
        name=request.text("limit"),
        concurrency=_count(request, "limitConcurrency"),
        rate=rate,
        per=timedelta(seconds=1) if per is None else per,
        key=None if key is None else lambda _: key,
        fair=None if group is None else lambda _: group,
        each=_count(request, "limitEach"),
        priority=None if priority is None else lambda _: priority,
    )


def _refuse_strays(request: HttpRequest) -> None:
    for name, others in _PARAMETERS.items():
        if name not in request.query and (stray := next((each for each in others if request.text(each)), None)):
            raise InvalidInputError(
                f"query parameter '{stray}' is for a start with '{name}', which is {_WHAT_IT_IS[name]}"
            )


def _if_exists(request: HttpRequest, given: str) -> IfExists:
    if given not in get_args(IfExists):
        raise InvalidInputError(
            f"query parameter 'ifExists' must be one of {', '.join(get_args(IfExists))}; not {given[:100]!r}"
        )
    if "instanceId" not in request.route:
        raise InvalidInputError(
            "query parameter 'ifExists' says what to do with an instance id that is in use: give the id in the path"
        )
    return cast("IfExists", given)


def _needed(request: HttpRequest, name: str) -> timedelta:
    if (time := _time(request, name)) is None:
        raise InvalidInputError(f"query parameter '{name}' must be given, in seconds")
    return time


def _time(request: HttpRequest, name: str) -> timedelta | None:
    seconds = request.seconds(name)
    return None if seconds is None else timedelta(seconds=min(seconds, LAST_SECONDS))


def _count(request: HttpRequest, name: str) -> int | None:
    return request.count(name, 0) or None


def _priority(request: HttpRequest) -> int | None:
    raw = request.text("limitPriority").strip()
    if raw and not _PRIORITY.fullmatch(raw):
        raise InvalidInputError(f"query parameter 'limitPriority' must be a whole number, not {raw[:100]!r}")
    return int(raw) if raw else None


def _text(request: HttpRequest, name: str) -> str | None:
    """A key or a group. An empty one is refused: it would share the slots of the starts that have none."""
    if name.lower() not in request.query:
        return None
    text = request.text(name)
    if not text:
        raise InvalidInputError(f"query parameter '{name}' is empty; leave it out for a limit without one")
    check_text(text, f"query parameter '{name}'")
    return text
