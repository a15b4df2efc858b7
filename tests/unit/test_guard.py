"""The run-time guard: orchestrator code is stopped at the line that uses what it must not; everybody else goes on."""

from __future__ import annotations

import concurrent.futures
import glob
import http.client
import io
import linecache
import logging
import os
import pdb
import random
import secrets
import shutil
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import urllib.request
import uuid
import warnings
import zoneinfo
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from time import time as renamed
from typing import Any

import pytest
from pydantic import BaseModel

from durable_core import Orchestration, OrchestrationContext
from durable_core.converter import Converter
from durable_core.engine.events import EventRaised, ExecutionCompleted, ExecutionStarted, TaskCompleted
from durable_core.engine.executor import OrchestrationExecutor
from durable_core.errors import ConfigurationError, DeterminismError, QueryFailedError
from durable_core.guard import watch_of
from durable_core.guard_rules import needs_profiler
from durable_core.hosting.callback_urls import SignedCallbackUrls
from durable_core.hosting.signed_urls import CapabilitySigner
from durable_core.hosting.signing_keys import signing_keys
from durable_core.settings import Settings
from orchestrators.approval import approval
from orchestrators.order import order
from orchestrators.watch_url import watch_url
from orchestrators.word_count import word_count
from tests.unit.engine_driver import Driver

HERE = Path(__file__)


def _open() -> object:
    return open(__file__)


def _start_a_thread() -> None:
    threading.Thread(target=print).start()


def _start_a_pool() -> None:
    concurrent.futures.ThreadPoolExecutor().submit(print)


FORBIDDEN: dict[str, tuple[Callable[[], Any], str]] = {
    "open": (_open, "activity"),
    "Path.read_text": (lambda: HERE.read_text(), "activity"),
    "os.open": (lambda: os.open(__file__, os.O_RDONLY), "activity"),
    "os.mkdir": (lambda: os.mkdir("/nowhere/x"), "activity"),
    "os.remove": (lambda: os.remove("/nowhere/x"), "activity"),
    "os.rename": (lambda: os.rename("/nowhere/x", "/nowhere/y"), "activity"),
    "os.listdir": (lambda: os.listdir("/"), "activity"),
    "os.walk": (lambda: list(os.walk("/nowhere")), "activity"),
    "os.chdir": (lambda: os.chdir("/"), "activity"),
    "glob": (lambda: glob.glob("/*"), "activity"),
    "shutil.rmtree": (lambda: shutil.rmtree("/nowhere/x"), "activity"),
    "tempfile": (lambda: tempfile.mkstemp(), "activity"),
    "subprocess": (lambda: subprocess.run(["true"], check=False), "activity"),
    "os.system": (lambda: os.system("true"), "activity"),  # pyright: ignore[reportDeprecated]
    "os.fork": (lambda: os.fork(), "activity"),
    "os.exec": (lambda: os.execv("/nowhere/x", ["x"]), "activity"),
    "os.spawn": (lambda: os.posix_spawn("/nowhere/x", ["x"], {}), "activity"),
    "socket": (lambda: socket.socket(), "activity"),
    "getaddrinfo": (lambda: socket.getaddrinfo("localhost", 1), "activity"),
    "sqlite3": (lambda: sqlite3.connect(":memory:"), "activity"),
    "urllib": (lambda: urllib.request.urlopen("http://127.0.0.1:1"), "activity"),
    "http.client": (lambda: http.client.HTTPConnection("127.0.0.1", 1).request("GET", "/"), "activity"),
    "time.sleep": (lambda: time.sleep(0), "ctx.create_timer"),
    "Thread.start": (_start_a_thread, "ctx.task_all"),
    "ThreadPoolExecutor": (_start_a_pool, "ctx.task_all"),
    "datetime.now": (lambda: datetime.now(), "ctx.current_utc_datetime"),
    "datetime.today": (lambda: datetime.today(), "ctx.current_utc_datetime"),
    "date.today": (lambda: date.today(), "ctx.current_utc_datetime"),
    "time.time": (lambda: time.time(), "ctx.current_utc_datetime"),
    "time.time by another name": (lambda: renamed(), "ctx.current_utc_datetime"),
    "time.monotonic": (lambda: time.monotonic(), "ctx.current_utc_datetime"),
    "time.perf_counter_ns": (lambda: time.perf_counter_ns(), "ctx.current_utc_datetime"),
    "random.random": (lambda: random.random(), "ctx.random"),
    "random.randint": (lambda: random.randint(1, 6), "ctx.random"),
    "random.choice": (lambda: random.choice([1, 2]), "ctx.random"),
    "random.Random without a seed": (lambda: random.Random(), "ctx.random"),
    "random.SystemRandom": (lambda: random.SystemRandom().random(), "activity"),
    "uuid1": (lambda: uuid.uuid1(), "ctx.new_uuid"),
    "uuid4": (lambda: uuid.uuid4(), "ctx.new_uuid"),
    "secrets.token_hex": (lambda: secrets.token_hex(), "activity"),
    "secrets.choice": (lambda: secrets.choice([1, 2]), "activity"),
    "os.urandom": (lambda: os.urandom(4), "activity"),
    "os.environ[]": (lambda: os.environ["PATH"], "input"),
    "os.environ.get": (lambda: os.environ.get("PATH"), "input"),
    "os.getenv": (lambda: os.getenv("PATH"), "input"),
}


@pytest.mark.parametrize("what", list(FORBIDDEN))
def test_a_forbidden_use_is_stopped_at_its_line_and_its_replacement_is_named(what: str) -> None:
    use, replacement = FORBIDDEN[what]

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity("a")
        use()

    driver = Driver(code)
    for live in (guarded(driver), guarded(driver)):
        live.replay(driver.live.history)
        with pytest.raises(DeterminismError) as caught:
            live.step(driver.now, [TaskCompleted(1)])
        live.close()
        line = use.__code__.co_firstlineno + (use.__name__ != "<lambda>")
        assert caught.value.location == f"unit/test_guard.py:{line}"
        assert replacement in caught.value.replacement
        assert caught.value.used in str(caught.value)


class _Writes(logging.Handler):
    """A handler of the project's own that opens a file and looks at the clock, as handlers do."""

    def emit(self, record: logging.LogRecord) -> None:
        with open(os.devnull, "a") as out:
            out.write(f"{datetime.now()} {record.getMessage()}")


def _log() -> None:
    logger = logging.getLogger("tests.guard")
    logger.propagate = False
    if not logger.handlers:
        logger.addHandler(_Writes())
    logger.warning("seen")


def _format_a_traceback() -> str:
    try:
        raise ValueError
    except ValueError:
        linecache.clearcache()
        return traceback.format_exc()


def _import_something() -> object:
    sys.modules.pop("wave", None)
    import wave

    return wave


class _Address(BaseModel):
    street: str = ""


def _make_a_model() -> object:
    class Order(BaseModel):
        address: _Address

    return Order.model_validate({"address": {"street": "x"}}).model_json_schema()


class _ClosesLate:
    def __del__(self) -> None:
        open(os.devnull).close()


def _collect_garbage() -> None:
    left = _ClosesLate()
    del left


class _RaisesLate:
    def __del__(self) -> None:
        raise ValueError("Python prints this, with its source line")


def _raise_in_a_finalizer() -> None:
    ours, sys.unraisablehook = sys.unraisablehook, sys.__unraisablehook__  # pytest's is written in Python
    try:
        left = _RaisesLate()
        del left
    finally:
        sys.unraisablehook = ours


def _warn() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.warn("x", stacklevel=1)


def _debug() -> None:
    debugger = pdb.Pdb(stdin=io.StringIO("p 1\nlist\nc\n"), stdout=io.StringIO(), readrc=False)
    debugger.use_rawinput = False
    linecache.clearcache()
    debugger.set_trace()
    debugger.stdout.flush()


ALLOWED: dict[str, Callable[[], Any]] = {
    "an import": _import_something,
    "an error in a finalizer": _raise_in_a_finalizer,
    "a time zone": lambda: zoneinfo.ZoneInfo.no_cache("Europe/Berlin"),
    "logging": _log,
    "a traceback": _format_a_traceback,
    "a new pydantic model": _make_a_model,
    "a finalizer": _collect_garbage,
    "a warning": _warn,
    "a debugger": _debug,
    "seeded random numbers": lambda: random.Random(7).randint(1, 6),
    "a date that is read": lambda: datetime.fromisoformat("2030-01-01"),
    "a date that is parsed": lambda: datetime.strptime("2030", "%Y"),
    "an id that is derived": lambda: uuid.uuid5(uuid.NAMESPACE_DNS, "x"),
    "a path that is joined": lambda: os.path.join("a", "b"),
    "secrets that are compared": lambda: secrets.compare_digest("a", "b"),
    "print": lambda: print("seen"),
}


@pytest.mark.parametrize("what", list(ALLOWED))
def test_what_libraries_do_by_themselves_is_no_false_alarm(what: str) -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[float]:
        ALLOWED[what]()
        return ctx.random.random() + len(ctx.new_uuid()) + ctx.current_utc_datetime.timestamp()
        yield

    live = guarded(Driver(code, start=False))
    watch_of(code)(ALLOWED[what])  # calls are looked at, whatever the code names
    live.step(Driver(code, start=False).now, [ExecutionStarted("code", "1")])
    assert isinstance(live.completion, ExecutionCompleted)
    assert live.completion.status == "Completed", live.completion.failure


def guarded(driver: Driver, fn: Any = None) -> OrchestrationExecutor:
    definition = driver.definition if fn is None else Driver(fn, start=False).definition
    return OrchestrationExecutor(definition, driver.info, Converter(), guard=True)


def test_the_url_of_a_callback_may_be_made_of_files(tmp_path: Path) -> None:
    """The key of the embedded store and the route prefix of the host are in files, read when the first URL is made."""

    def code(ctx: OrchestrationContext) -> Orchestration[str]:
        return ctx.callback("signature").url
        yield

    def base() -> str:
        return f"https://shop.example/{(tmp_path / 'host.json').read_text()}"

    (tmp_path / "host.json").write_text("api")
    settings = Settings(store=str(tmp_path / "durable.db"))
    urls = SignedCallbackUrls(lambda: CapabilitySigner(signing_keys(settings)), base)
    driver = Driver(code, start=False, urls=urls)
    live = guarded(driver)
    live.step(driver.now, [ExecutionStarted("code", "1")])
    assert isinstance(live.completion, ExecutionCompleted)
    assert live.completion.status == "Completed", live.completion.failure
    assert str(live.completion.result).startswith("https://shop.example/api/c/")


def test_without_a_guard_nothing_is_stopped() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[bool]:
        return bool(reads_a_file()) and time.time() > 0
        yield

    assert Driver(code).live.completion == ExecutionCompleted("Completed", True)


def run(code: Any, *incoming: Any) -> OrchestrationExecutor:
    driver = Driver(code, start=False)
    live = guarded(driver)
    live.step(driver.now, [ExecutionStarted("code", "1"), *incoming])
    return live


# ---------------------------------------------------------------- whose code, and which line


def reads_a_file() -> str:
    return HERE.read_text()


def test_a_helper_function_of_the_project_counts_and_its_line_is_named() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        reads_a_file()
        yield from ctx.call_activity("a")

    with pytest.raises(DeterminismError) as caught:
        run(code)
    assert caught.value.location == f"unit/test_guard.py:{reads_a_file.__code__.co_firstlineno + 1}"


def test_code_that_catches_the_error_is_stopped_all_the_same() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            _open()
        except Exception:  # noqa: BLE001
            yield from ctx.call_activity("a")

    def also(ctx: OrchestrationContext) -> Orchestration[str]:
        try:
            return str(time.time())
        except BaseException:  # noqa: BLE001
            return ""
        yield

    for wrong in (code, also):
        with pytest.raises(DeterminismError, match=r"unit/test_guard\.py"):
            run(wrong)


def test_conditions_event_handlers_and_lazy_iterables_are_watched_wherever_the_engine_calls_them() -> None:
    def conditional(ctx: OrchestrationContext) -> Orchestration[None]:
        state = {"on": False}

        def ready() -> bool:
            return state["on"] and bool(os.listdir("/"))

        ctx.on_event("go", lambda _: state.update(on=True))
        yield from ctx.wait_condition(ready)

    def handling(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.on_event("go", lambda _: _open())
        yield from ctx.wait_for_external_event("end")

    def pulling(ctx: OrchestrationContext) -> Orchestration[None]:
        def calls() -> Any:
            yield ctx.wait_for_external_event("go")
            yield ctx.call_activity(str(os.listdir("/")))

        yield from ctx.task_all(calls(), max_concurrency=1)

    for code in (conditional, handling, pulling):
        live = run(code)
        with pytest.raises(DeterminismError):
            live.step(Driver(code, start=False).now, [EventRaised("go", None, "i1")])


def test_a_query_handler_is_watched_and_only_the_query_fails() -> None:
    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        ctx.set_query_handler("when", lambda: str(datetime.now()))
        yield from ctx.wait_for_external_event("end")

    live = run(code)
    with pytest.raises(QueryFailedError) as caught:
        live.query("when", None)
    assert isinstance(caught.value.__cause__, DeterminismError)
    assert live.completion is None


def test_steps_of_other_threads_are_none_of_its_business() -> None:
    entered, written = threading.Event(), threading.Event()

    def elsewhere() -> None:
        entered.wait(10)
        with open(os.devnull, "a") as out:
            out.write(str(datetime.now()))
        written.set()

    def code(ctx: OrchestrationContext) -> Orchestration[bool]:
        entered.set()
        return written.wait(10)
        yield

    thread = threading.Thread(target=elsewhere)
    thread.start()
    live = run(code)
    thread.join()
    assert live.completion == ExecutionCompleted("Completed", True)


def test_what_runs_when_code_is_dropped_is_not_watched() -> None:
    closed: list[str] = []

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        try:
            yield from ctx.call_activity("a")
        finally:
            open(os.devnull).close()
            closed.append("closed")

    run(code).close()
    assert closed == ["closed"]


# ---------------------------------------------------------------- what it costs those who do not use it


def test_outside_of_orchestrator_code_the_hook_looks_at_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def look(event: str) -> None:
        looked.append(event)

    def code(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.call_activity("a")

    monkeypatch.setattr("durable_core.guard.audited", look)
    live = run(code)
    assert looked  # sys._getframe, for the line of the call
    looked.clear()
    open(os.devnull).close()
    os.listdir("/")
    assert not looked
    live.close()


def test_no_profiler_is_set_for_code_that_names_no_clock_and_no_chance() -> None:
    profilers: list[object] = []

    def clean(ctx: OrchestrationContext) -> Orchestration[None]:
        profilers.append(sys.getprofile())
        yield from ctx.call_activity("a")

    def dirty(ctx: OrchestrationContext) -> Orchestration[None]:
        profilers.append(sys.getprofile())
        yield from ctx.call_activity(str(time.time) if ctx.is_replaying else "a")

    run(clean)
    run(dirty)
    assert profilers[0] is None
    assert profilers[1] is not None
    assert sys.getprofile() is None


@pytest.mark.parametrize("orchestrator", [order, word_count, watch_url, approval])
def test_the_samples_name_no_clock_and_no_chance_and_pay_nothing_for_it(orchestrator: Callable[..., Any]) -> None:
    assert not needs_profiler(orchestrator)


def test_a_profiler_that_is_at_work_is_left_alone() -> None:
    def look(*_: object) -> None:
        return None

    def code(ctx: OrchestrationContext) -> Orchestration[float]:
        return time.time()
        yield

    sys.setprofile(look)
    try:
        live = run(code)
        assert sys.getprofile() is look
    finally:
        sys.setprofile(None)
    assert live.completion is not None


class Prices:
    def of(self, name: str) -> float:
        return self.noise() + len(name)

    def noise(self) -> float:
        return random.random()


prices = Prices()


def priced(name: str) -> float:
    return Prices().of(name)


def test_the_functions_that_code_names_are_looked_through_for_clocks_and_chance() -> None:
    def clean(ctx: OrchestrationContext) -> Orchestration[None]:
        yield from ctx.create_timer(timedelta(days=1))

    def through_a_class(ctx: OrchestrationContext) -> Orchestration[float]:
        return priced("x")
        yield

    def by_an_import_of_its_own(ctx: OrchestrationContext) -> Orchestration[int]:
        from random import choice

        return choice([1, 2])
        yield

    def through_a_partial(ctx: OrchestrationContext) -> Orchestration[float]:
        return later()
        yield

    later = partial(priced, "x")
    assert not needs_profiler(clean)
    for code in (through_a_class, through_a_partial, by_an_import_of_its_own):
        assert needs_profiler(code)
        with pytest.raises(DeterminismError, match=r"random\.(random|choice)"):
            run(code)


def test_the_setting_is_off_unless_the_environment_turns_it_on() -> None:
    assert not Settings.from_environment({}).guard
    assert Settings.from_environment({"DURABLE_GUARD": "true"}).guard
    assert not Settings.from_environment({"DURABLE_GUARD": "0"}).guard
    with pytest.raises(ConfigurationError, match="DURABLE_GUARD"):
        Settings.from_environment({"DURABLE_GUARD": "maybe"})
