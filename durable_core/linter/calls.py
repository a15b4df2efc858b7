"""The names of Python's library, and of some well-known packages, that orchestrator code must not use.

The keys of the tables are full names, as ``Origins`` finds them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import TypeAlias

from ..lazy_dataclass import dataclass
from .api import words

Condition: TypeAlias = Callable[[ast.Call], bool]


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A forbidden name. does: what it does, as part of the message; instead: what to use; when: which calls count."""

    code: str
    does: str
    instead: str
    when: Condition | None = None


def _has_no_arguments(call: ast.Call) -> bool:
    return not call.args and not call.keywords


def _is_seedless(call: ast.Call) -> bool:
    values = [*call.args, *(keyword.value for keyword in call.keywords)]
    return not values or (isinstance(values[0], ast.Constant) and values[0].value is None)


def _has_at_most(count: int) -> Condition:
    return lambda call: len(call.args) <= count and not call.keywords


def _is_not_of_a_number(call: ast.Call) -> bool:
    return not (len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, int))


_ACTIVITY = "an activity (ctx.call_activity) or a step (ctx.run)"
_NOW = Forbidden("DC101", "reads the clock", "ctx.current_utc_datetime")
_WATCH = Forbidden("DC102", "measures real time", "differences of ctx.current_utc_datetime, or measure in the activity")
_ZONE = Forbidden(
    "DC103",
    "depends on the machine's time zone",
    "an explicit time zone: datetime.fromtimestamp(x, UTC), .astimezone(UTC)",
)
_RANDOM = Forbidden("DC201", "draws random numbers", "ctx.random")
_ID = Forbidden("DC202", "creates an id that differs at every replay", "ctx.new_uuid() or ctx.new_guid()")
_SECRET = Forbidden(
    "DC203",
    "draws from the system's randomness",
    "ctx.run('name', secrets.token_hex), which draws once and records the value",
)
_HASH = Forbidden("DC204", "differs from process to process", "zlib.crc32 or hashlib")
_ENVIRONMENT = Forbidden(
    "DC301",
    "reads the process's environment",
    "the orchestrator's input, or an activity or step (ctx.run) that reads it",
)
_MACHINE = Forbidden("DC302", "depends on the machine or process", _ACTIVITY)
_FILES = Forbidden("DC303", "uses the file system", _ACTIVITY)
_NETWORK = Forbidden("DC304", "uses the network", f"ctx.call_http, {_ACTIVITY}")
_PROCESS = Forbidden("DC305", "runs a program", _ACTIVITY)
_SLEEP = Forbidden("DC306", "blocks the thread", "yield from ctx.create_timer(timedelta(...))")
_CONSOLE = Forbidden("DC306", "blocks the thread", "ctx.wait_for_external_event to wait for a person")
_THREADS = Forbidden(
    "DC307", "runs code in parallel to the orchestrator", "ctx.task_all over activities or steps (ctx.run)"
)
_LOOP = Forbidden("DC307", "needs an event loop, which an orchestrator does not have", _ACTIVITY)


def _of_context(instead: str) -> Forbidden:
    """What asyncio does, and what the context does in its place."""
    return Forbidden(_LOOP.code, _LOOP.does, instead)


_PRINT = Forbidden("DC309", "writes again at every replay", "ctx.logger, which writes nothing during a replay")
_LOCAL = Forbidden("DC503", "reads state outside the instance", "the orchestrator's input and its own variables")


def _only(rule: Forbidden, when: Condition) -> Forbidden:
    return Forbidden(rule.code, rule.does, rule.instead, when)


def _names(rule: Forbidden, prefix: str, names: str) -> dict[str, Forbidden]:
    return {f"{prefix}{name}": rule for name in names.split()}


CALLS: dict[str, Forbidden] = {
    # ------------------------------------------------------------ time
    **_names(_NOW, "datetime.", "datetime.now datetime.utcnow datetime.today date.today"),
    **_names(_NOW, "time.", "time time_ns clock_gettime clock_gettime_ns"),
    **_names(_only(_NOW, _has_no_arguments), "time.", "gmtime asctime"),
    "time.strftime": _only(_NOW, _has_at_most(1)),
    **_names(_NOW, "pandas.Timestamp.", "now utcnow today"),
    **_names(_NOW, "pendulum.", "now today tomorrow yesterday"),
    **_names(_NOW, "arrow.", "now utcnow"),
    "django.utils.timezone.now": _NOW,
    **_names(
        _WATCH,
        "time.",
        "monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time thread_time_ns",
    ),
    **_names(_WATCH, "timeit.", "timeit repeat default_timer"),
    **_names(_only(_ZONE, _has_at_most(1)), "datetime.datetime.", "fromtimestamp"),
    "datetime.date.fromtimestamp": _ZONE,
    **_names(_ZONE, "time.", "localtime mktime ctime"),
    **_names(_ZONE, "dateutil.tz.", "tzlocal"),
    "tzlocal.get_localzone": _ZONE,
    # ------------------------------------------------------------ chance
    "random.*": _RANDOM,
    "random.Random": _only(_RANDOM, _is_seedless),
    "numpy.random.*": _RANDOM,
    **_names(_only(_RANDOM, _is_seedless), "numpy.random.", "default_rng RandomState Generator SeedSequence"),
    **_names(_ID, "uuid.", "uuid1 uuid4 uuid6 uuid7 uuid8 getnode"),
    **_names(_ID, "", "ulid.new shortuuid.uuid nanoid.generate ksuid.ksuid bson.ObjectId bson.objectid.ObjectId"),
    "secrets.*": _SECRET,
    **_names(_SECRET, "", "random.SystemRandom secrets.SystemRandom os.urandom os.getrandom"),
    "builtins.hash": _only(_HASH, _is_not_of_a_number),
    # ------------------------------------------------------------ environment, machine
    **_names(_ENVIRONMENT, "os.", "getenv getenvb putenv unsetenv"),
    **_names(
        _MACHINE,
        "os.",
        "getcwd getcwdb chdir getpid getppid getlogin getuid geteuid getgid uname cpu_count process_cpu_count "
        "getloadavg sched_getaffinity times",
    ),
    "platform.*": _MACHINE,
    **_names(_MACHINE, "", "socket.gethostname socket.getfqdn getpass.getuser multiprocessing.cpu_count"),
    **_names(_MACHINE, "psutil.", "cpu_percent virtual_memory cpu_count disk_usage Process"),
    # ------------------------------------------------------------ files
    **_names(_FILES, "", "builtins.open io.open codecs.open gzip.open bz2.open lzma.open tokenize.open"),
    **_names(
        _FILES,
        "os.",
        "open read write listdir scandir walk fwalk stat lstat access remove unlink rename renames replace mkdir "
        "makedirs rmdir removedirs link symlink readlink chmod chown truncate utime statvfs",
    ),
    **_names(
        _FILES,
        "os.path.",
        "exists lexists isfile isdir islink ismount getsize getmtime getatime getctime realpath abspath samefile "
        "expanduser",
    ),
    **_names(_FILES, "glob.", "glob iglob"),
    "shutil.*": _FILES,
    "tempfile.*": _FILES,
    **_names(_FILES, "tempfile.", "NamedTemporaryFile TemporaryFile TemporaryDirectory SpooledTemporaryFile"),
    **_names(_FILES, "pathlib.Path.", "cwd home"),
    **_names(_FILES, "", "sqlite3.connect shelve.open dbm.open zipfile.ZipFile tarfile.open importlib.resources.files"),
    **_names(_FILES, "pandas.", "read_csv read_json read_parquet read_excel read_sql"),
    # ------------------------------------------------------------ network
    **_names(
        _NETWORK,
        "socket.",
        "socket create_connection create_server getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo",
    ),
    **_names(_NETWORK, "urllib.request.", "urlopen urlretrieve build_opener"),
    **_names(_NETWORK, "http.client.", "HTTPConnection HTTPSConnection"),
    **_names(_NETWORK, "requests.", "get post put patch delete head options request Session session Session().*"),
    **_names(
        _NETWORK,
        "httpx.",
        "get post put patch delete head options request stream Client AsyncClient Client().* AsyncClient().*",
    ),
    **_names(_NETWORK, "aiohttp.", "request ClientSession ClientSession().*"),
    **_names(_NETWORK, "urllib3.", "request PoolManager PoolManager().*"),
    **_names(_NETWORK, "", "smtplib.SMTP smtplib.SMTP_SSL ftplib.FTP imaplib.IMAP4_SSL poplib.POP3 telnetlib.Telnet"),
    **_names(_NETWORK, "boto3.", "client resource Session client().* resource().*"),
    **_names(_NETWORK, "", "redis.Redis redis.from_url redis.Redis().* redis.asyncio.Redis pymongo.MongoClient"),
    **_names(_NETWORK, "", "psycopg.connect psycopg2.connect pyodbc.connect asyncpg.connect pymysql.connect"),
    **_names(_NETWORK, "", "mysql.connector.connect sqlalchemy.create_engine sqlalchemy.create_engine().*"),
    **_names(_NETWORK, "", "websockets.connect paramiko.SSHClient grpc.insecure_channel grpc.secure_channel"),
    # ------------------------------------------------------------ programs, waiting, threads
    **_names(_PROCESS, "subprocess.", "run Popen call check_call check_output getoutput getstatusoutput"),
    **_names(_PROCESS, "os.", "system popen fork forkpty kill killpg abort posix_spawn posix_spawnp startfile"),
    **_names(_PROCESS, "os.", "spawnl spawnle spawnlp spawnv spawnve spawnvp execl execle execlp execv execve execvp"),
    **_names(_SLEEP, "", "time.sleep select.select select.poll signal.pause signal.sigwait os.wait os.waitpid"),
    **_names(_SLEEP, "threading.", "Event().wait Condition().wait Lock().acquire"),
    **_names(_CONSOLE, "", "builtins.input getpass.getpass"),
    **_names(_THREADS, "threading.", "Thread Timer Event Lock RLock Condition Semaphore Barrier"),
    **_names(_THREADS, "concurrent.futures.", "ThreadPoolExecutor ProcessPoolExecutor wait as_completed"),
    **_names(_THREADS, "multiprocessing.", "Process Pool Queue Manager Pipe"),
    "asyncio.*": _LOOP,
    "asyncio.sleep": _of_context("ctx.create_timer(timedelta(...))"),
    **_names(_of_context("ctx.gather or ctx.task_all"), "asyncio.", "gather TaskGroup"),
    **_names(_of_context("ctx.branch"), "asyncio.", "create_task ensure_future"),
    **_names(_of_context("ctx.with_timeout"), "asyncio.", "wait_for"),
    **_names(_of_context("ctx.as_completed or ctx.task_any"), "asyncio.", "as_completed wait"),
    **_names(_of_context("a variable and ctx.wait_condition"), "asyncio.", "Event Condition Queue"),
    **_names(_of_context("ctx.lock of an entity, or ctx.slot"), "asyncio.", "Lock Semaphore"),
    "asyncio.Runner": _LOOP,
    **_names(_THREADS, "", "_thread.start_new_thread trio.run anyio.run anyio.from_thread.run"),
    # ------------------------------------------------------------ hints, state
    "builtins.print": _PRINT,
    **_names(_PRINT, "logging.", "debug info warning error exception critical log"),
    **_names(_PRINT, "logging.getLogger().", "debug info warning error exception critical log"),
    **_names(_PRINT, "loguru.logger.", "debug info warning error exception critical log success trace"),
    **_names(_PRINT, "structlog.get_logger().", "debug info warning error exception critical msg"),
    "contextvars.ContextVar().get": _LOCAL,
}

VALUES: dict[str, Forbidden] = {
    **_names(_ENVIRONMENT, "", "os.environ os.environb sys.argv"),
    **_names(_CONSOLE, "", "sys.stdin"),
    **_names(_MACHINE, "", "sys.platform os.name sys.executable"),
    **_names(_ZONE, "time.", "tzname timezone altzone daylight"),
}
"""Names that are forbidden in every use, not only in calls."""

_OF_PATHS = words(
    "open read_text write_text read_bytes write_bytes exists is_file is_dir is_symlink iterdir glob rglob walk mkdir "
    "rmdir unlink touch rename replace stat lstat resolve absolute samefile symlink_to hardlink_to chmod owner"
)

_TO_PATHS = {"parent", "joinpath()", "with_suffix()", "with_name()", "with_stem()", "relative_to()", "expanduser()"}

_HARMLESS = {"asyncio.iscoroutinefunction", "asyncio.iscoroutine", "asyncio.timeout", "random.Random"}


def forbidden_call(dotted: str, call: ast.Call | None) -> Forbidden | None:
    """The rule against calling this name. ``call`` is None if the function is passed on instead of called here."""
    found = CALLS.get(dotted) or _of_path(dotted) or _of_package(dotted)
    if found is None:
        return None
    if call is None:
        return found if found.when is None or found is CALLS["builtins.hash"] else None
    if dotted in ("time.localtime", "time.ctime") and _has_no_arguments(call):
        return _NOW
    return found if found.when is None or found.when(call) else None


def _of_path(dotted: str) -> Forbidden | None:
    if not dotted.startswith("pathlib.Path()."):
        return None
    *way, method = dotted.removeprefix("pathlib.Path().").split(".")
    return _FILES if method in _OF_PATHS and _TO_PATHS.issuperset(way) else None


def _of_package(dotted: str) -> Forbidden | None:
    """``random.*``: every function of the package (names in lower case), but not the methods of its classes."""
    package, _, name = dotted.rpartition(".")
    found = CALLS.get(f"{package}.*")
    return found if found is not None and name[:1].islower() and dotted not in _HARMLESS else None


def is_local_zone(call: ast.Call) -> bool:
    """``x.astimezone()``: nothing else has a method of this name."""
    return isinstance(call.func, ast.Attribute) and call.func.attr == "astimezone" and _has_no_arguments(call)


LOCAL_ZONE = _ZONE
"""The rule of ``is_local_zone``."""
