"""The key of a start in the query of a request: a debounced start, or one that is made once in a window.

InvalidInputError names the parameter that is missing or cannot be read.
"""

from __future__ import annotations

from datetime import timedelta

from ..errors import InvalidInputError
from ..moments import LAST_SECONDS
from ..runtime.start import JobOptions
from ..starting import Debounce, Deduplicate
from .http_types import HttpRequest

_PARAMETERS = {"debounce": ("debouncePeriod", "debounceMaxWait"), "deduplicate": ("deduplicateWindow",)}


def key_of_start(request: HttpRequest) -> JobOptions:
    """The options of the client for a start with a key; none if the request has no key."""
    options: JobOptions = {}
    for name, others in _PARAMETERS.items():
        if name not in request.query and (stray := next((each for each in others if request.text(each)), None)):
            raise InvalidInputError(f"query parameter '{stray}' is for a start with '{name}', which is the key")
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


def _needed(request: HttpRequest, name: str) -> timedelta:
    if (time := _time(request, name)) is None:
        raise InvalidInputError(f"query parameter '{name}' must be given, in seconds")
    return time


def _time(request: HttpRequest, name: str) -> timedelta | None:
    seconds = request.seconds(name)
    return None if seconds is None else timedelta(seconds=min(seconds, LAST_SECONDS))
