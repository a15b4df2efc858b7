"""The tables of the run-time guard: forbidden uses by audit event and by function, and what to use instead.

Also finds out whether a function's code mentions a clock or chance at all. ``guard`` decides when code is checked.
"""

from __future__ import annotations

import _thread
import datetime
import dis
import os
import random
import secrets
import threading
import time
import types
import uuid
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, TypeVar, cast

from .definitions import ActivityDefinition, definition_of
from .lazy_dataclass import dataclass
from .source_location import is_library

T = TypeVar("T")

ACTIVITY = "do it in an activity: x = yield from ctx.call_activity(...)"
CLOCK = "take the time from history: ctx.current_utc_datetime"
CHANCE = "take random numbers from ctx.random, which gives the same at every replay"
NEW_ID = "take a new id from ctx.new_uuid(), which gives the same at every replay"
SECRET = "make it in an activity, whose result is kept: x = yield from ctx.call_activity(...)"
TIMER = "wait by a durable timer: yield from ctx.create_timer(timedelta(seconds=...))"
SETTING = "hand it over with the input, or read it in an activity"
TOGETHER = "let activities run at once: yield from ctx.task_all([...])"


@dataclass(frozen=True, slots=True)
class Use:
    """A forbidden use. ``used`` names it as the code spells it, ``replacement`` says what to do instead."""

    used: str
    replacement: str


# ---------------------------------------------------------------- by audit event

_AUDITED = {
    "open": ACTIVITY,
    "time.sleep": TIMER,
    "_thread.start_new_thread": TOGETHER,
    "_thread.start_joinable_thread": TOGETHER,
}
_AUDITED_FAMILIES = frozenset(  # "os" stands for every event whose name begins with "os."
    (
        *("os", "shutil", "tempfile", "glob", "pathlib", "mmap", "fcntl", "msvcrt", "winreg", "sqlite3"),
        *("subprocess", "pty", "signal", "syslog", "webbrowser"),
        *("socket", "ssl", "urllib", "http", "ftplib", "imaplib", "poplib", "smtplib", "nntplib", "telnetlib"),
    )
)
_THREAD = "a thread"
_READABLE = {"_thread.start_new_thread": _THREAD, "_thread.start_joinable_thread": _THREAD}


@lru_cache(maxsize=1024)
def audited(event: str) -> Use | None:
    """The forbidden use that an audit event reports; None if the event is allowed."""
    replacement = _AUDITED.get(event)
    if replacement is None and event.partition(".")[0] in _AUDITED_FAMILIES and "." in event:
        replacement = ACTIVITY
    return None if replacement is None else Use(_READABLE.get(event, event), replacement)


# ---------------------------------------------------------------- by what is called

_CLOCKS = frozenset(
    f"{name}{unit}"
    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime")
    for unit in ("", "_ns")
)
_NOW = frozenset({"now", "utcnow", "today"})
_ENTROPY = frozenset({"urandom", "getrandom"})
_ENVIRONMENT = frozenset({"environ", "environb", "getenv", "getenvb"})
_IDS = frozenset({"uuid1", "uuid4"})

C_NAMES_OF_INTEREST = (
    _CLOCKS | _NOW | _ENTROPY | {"sleep", "start_new_thread", "random", "seed", "getrandbits", "getstate", "setstate"}
)
"""The names of all C functions that ``c_function`` recognises."""
_SHARED_RANDOM: object = cast(
    "Any", random
)._inst  # the generator behind random.random() and the other functions of the module


def c_function(fn: Any) -> Use | None:
    """The forbidden use in a call of a function written in C; None if the call is allowed."""
    name: str = fn.__name__
    owner: object = getattr(fn, "__self__", None)
    if name in _NOW and isinstance(owner, type) and issubclass(owner, datetime.date):
        return Use(f"{owner.__name__}.{name}", CLOCK)
    if name == "sleep" and owner is time:  # audited from Python 3.13 on only
        return Use("time.sleep", TIMER)
    if name == "start_new_thread" and owner is _thread:  # from Python 3.12 on
        return Use(_THREAD, TOGETHER)
    if name in _CLOCKS and owner is time:
        return Use(f"time.{name}", CLOCK)
    if owner is _SHARED_RANDOM:
        return Use(f"random.{name}", CHANCE)
    if name in _ENTROPY and isinstance(owner, types.ModuleType) and owner.__name__ in ("posix", "nt"):
        return Use(f"os.{name}", SECRET)
    return None


def _methods_of_random() -> Iterator[tuple[types.CodeType, str]]:
    for kind in (random.Random, random.SystemRandom):
        for name, member in vars(kind).items():
            if isinstance(member, types.FunctionType):
                yield member.__code__, name


def _by_id(uses: dict[types.CodeType, T]) -> dict[int, T]:
    """The uses by ``id`` of the code: a code object is hashed by its contents at every look-up, which is slow.

    The ids stay valid, because these code objects live as long as the process.
    """
    return {id(code): use for code, use in uses.items()}


_RANDOM_METHODS = _by_id(dict(_methods_of_random()))
_FUNCTIONS: dict[types.CodeType, Use] = {
    **{getattr(uuid, name).__code__: Use(f"uuid.{name}", NEW_ID) for name in ("uuid1", "uuid4")},
    **{
        member.__code__: Use(f"secrets.{name}", SECRET)
        for name, member in vars(secrets).items()
        if name in secrets.__all__ and name != "compare_digest" and isinstance(member, types.FunctionType)
    },
    threading.Thread.start.__code__: Use(_THREAD, TOGETHER),
    os.getenv.__code__: Use("os.getenv", SETTING),
    type(os.environ).__getitem__.__code__: Use("os.environ", SETTING),
    type(os.environ).__iter__.__code__: Use("os.environ", SETTING),
}
_FUNCTIONS_BY_ID = _by_id(_FUNCTIONS)
CODES_OF_INTEREST = {*_FUNCTIONS_BY_ID, *_RANDOM_METHODS}
"""The ids of the code of all Python functions that ``python_function`` recognises."""
_ACTIVITIES: dict[int, tuple[types.CodeType, str]] = {}
"""Activities that orchestrator code calls as plain functions: their code, which is kept alive for its id, and name."""
_PASSED_ON = (
    "threading",
    "concurrent.futures.thread",
    "os",
    "collections.abc",
    "_collections_abc",
    "random",
    "secrets",
)


def python_function(frame: types.FrameType) -> tuple[Use, types.FrameType | None] | None:
    """The forbidden use in a call of a function written in Python, and the calling frame; None if it is allowed."""
    code = frame.f_code
    caller = frame.f_back
    use = _FUNCTIONS_BY_ID.get(id(code))
    if use is None and (activity := _ACTIVITIES.get(id(code))) is not None:
        called = f"ctx.call_activity({activity[1]}, ...)"
        return Use(f"the activity {activity[1]}() as a plain function", f"write: x = yield from {called}"), caller
    if use is None:
        name = _RANDOM_METHODS.get(id(code))
        if name is None:
            return None
        owner = frame.f_locals.get("self")
        if isinstance(owner, random.SystemRandom):
            use = Use("random.SystemRandom" + ("" if name == "__init__" else f"().{name}"), SECRET)
        elif owner is _SHARED_RANDOM:
            use = Use(f"random.{name}", CHANCE)
        elif name == "__init__" and frame.f_locals.get("x") is None:
            use = Use("random.Random()", "seed it, or " + CHANCE)
        else:
            return None
    while caller is not None and caller.f_globals.get("__name__") in _PASSED_ON:
        caller = caller.f_back  # os.environ.get goes through the mapping's methods, secrets.choice through random's
    return use, caller


# ---------------------------------------------------------------- which code names any of it

_THREADS = {"threading", "concurrent", "Thread", "Timer", "ThreadPoolExecutor", "start_new_thread"}
_CHANCE = {"secrets", "Random", "SystemRandom"}  # "random" is what ctx.random is called: only the module counts
_NAMES = _CLOCKS | _NOW | _ENTROPY | _ENVIRONMENT | _IDS | _CHANCE | _THREADS | {"sleep"}
_MODULES = (random, secrets)
_MOST = 5_000  # functions looked through for one orchestrator


@lru_cache(maxsize=1024)
def needs_profiler(fn: Callable[..., Any]) -> bool:
    """Whether this function, or one of the project's that it names, mentions a use that only the profiler reports: a
    clock, chance, or an activity that it calls as a plain function.

    Compared by name, so it is True too often rather than too seldom. Functions that are reached through objects alone
    (an attribute of a parameter) are not found.
    """
    seen: set[int] = set()
    left: list[Any] = [fn]
    found = False
    while left and len(seen) < _MOST:
        value = left.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, types.FunctionType) and _is_activity(value):
            continue  # the orchestrator names an activity to schedule it, and does not run its code
        found |= _is_forbidden(value)
        named = list(_named_by(value))
        activities = [each for each in named if isinstance(each, types.FunctionType) and _is_activity(each)]
        if activities and isinstance(value, types.FunctionType):
            found |= _note_called(activities, value)
        left.extend(named)
    return found or bool(left)  # too much to look through: assume the worst


def _is_activity(fn: types.FunctionType) -> bool:
    return isinstance(definition_of(fn), ActivityDefinition)


def _note_called(activities: list[types.FunctionType], fn: types.FunctionType) -> bool:
    """Keep those of these activities that the code of ``fn`` seems to call; whether there are any.

    The compiler pushes a null beside a function that is called, and none beside one that is passed to a call.
    """
    called: set[str] = set()
    codes = [fn.__code__]
    while codes:
        code = codes.pop()
        codes.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
        steps = [step for step in dis.get_instructions(code) if step.opname not in ("CACHE", "EXTENDED_ARG")]
        for before, step, after in zip([None, *steps], steps, [*steps[1:], None], strict=False):
            beside = {each.opname for each in (before, after) if each is not None}
            if "NULL" in step.argrepr or step.opname == "LOAD_METHOD" or "PUSH_NULL" in beside:
                called.add(str(step.argval))
    found = False
    names = {name: value for name, value in (*_bindings(fn),) if isinstance(value, types.FunctionType)}
    for activity in activities:
        if activity.__name__ in called or any(value is activity and name in called for name, value in names.items()):
            _ACTIVITIES[id(activity.__code__)] = (activity.__code__, activity.__name__)
            CODES_OF_INTEREST.add(id(activity.__code__))
            found = True
    return found


def _bindings(fn: types.FunctionType) -> Iterator[tuple[str, Any]]:
    """The names by which the code of a function refers to objects outside of it."""
    yield from ((name, fn.__globals__.get(name)) for name in fn.__code__.co_names)
    yield from zip(fn.__code__.co_freevars, _cells(fn), strict=False)


def _is_forbidden(value: Any) -> bool:
    if isinstance(value, types.CodeType):
        return not _NAMES.isdisjoint(value.co_names) or ("random" in value.co_names and _imports_random(value))
    if isinstance(value, types.ModuleType):
        return value in _MODULES
    if isinstance(value, types.BuiltinFunctionType):
        return c_function(value) is not None
    if value is os.environ:
        return True
    if isinstance(value, types.MethodType):
        return isinstance(value.__self__, random.Random)
    return isinstance(value, types.FunctionType) and id(value.__code__) in _FUNCTIONS_BY_ID


def _imports_random(code: types.CodeType) -> bool:
    return any(step.opname == "IMPORT_NAME" and step.argval == "random" for step in dis.get_instructions(code))


def _named_by(value: Any) -> Iterator[Any]:
    """Further objects that a function, class or container of the project refers to."""
    match value:
        case types.CodeType():
            yield from (constant for constant in value.co_consts if isinstance(constant, types.CodeType))
        case types.FunctionType() if not is_library(value.__code__.co_filename):
            yield value.__code__
            yield from _globals_named(value)
            yield from _cells(value)
            yield from value.__defaults__ or ()
            yield from (value.__kwdefaults__ or {}).values()
        case types.MethodType():
            yield value.__func__
        case partial():
            yield value.func
            yield from value.args
        case type() if value.__module__ not in ("builtins", "typing"):
            yield from value.__mro__[1:-1]
            for member in vars(value).values():
                yield from _function_of(member)
        case list() | tuple():
            yield from cast("list[Any]", value)
        case dict():
            yield from cast("dict[Any, Any]", value).values()
        case _:
            return


def _globals_named(fn: types.FunctionType) -> Iterator[Any]:
    names: set[str] = set()
    codes = [fn.__code__]
    while codes:
        code = codes.pop()
        names.update(code.co_names)
        codes.extend(constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    for name in names:
        found = fn.__globals__.get(name)
        yield found
        if isinstance(found, types.ModuleType) and not is_library(getattr(found, "__file__", None) or "<built-in>"):
            yield from (vars(found).get(inner) for inner in names)


def _cells(fn: types.FunctionType) -> Iterator[Any]:
    for cell in fn.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue


def _function_of(member: Any) -> Iterator[Any]:
    if isinstance(member, types.FunctionType):
        yield member
    elif isinstance(member, staticmethod | classmethod):
        yield cast("Any", member).__func__
    elif isinstance(member, property):
        yield from (accessor for accessor in (member.fget, member.fset) if accessor is not None)
