"""Packs the durable_core that runs into a wheel again, so that an app can bring it along: no index has a release.

It needs no network and no build tool: the files of the package are where they are imported from, and what pip has
written beside them says what they need.
"""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from ... import __version__
from ...errors import ConfigurationError

PACKAGE = "durable_core"
_PLUGIN = "durable_core_pytest.py"
_WHEEL = "Wheel-Version: 1.0\nGenerator: durable_core\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
_OF_PIP = ("RECORD", "WHEEL", "INSTALLER", "REQUESTED", "direct_url.json")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the same files make the same wheel


def wheel_name() -> str:
    """The file name of the wheel."""
    return f"{PACKAGE}-{__version__}-py3-none-any.whl"


def write_wheel(folder: Path) -> Path:
    """Write the wheel into a folder, which is made if it is not there; a wheel of the same name is replaced.

    ConfigurationError if durable_core is not installed by pip, or as another version than the one that runs.
    """
    info = f"{PACKAGE}-{__version__}.dist-info"
    record = list[str]()
    path = folder / wheel_name()
    files = [*_code(), *((f"{info}/{name}", content) for name, content in _metadata())]
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as wheel:
        for name, content in files:
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            record.append(f"{name},sha256={digest},{len(content)}\n")
            wheel.writestr(_entry(name), content)
        record.append(f"{info}/RECORD,,\n")
        wheel.writestr(_entry(f"{info}/RECORD"), "".join(record))
    return path


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = 0o644 << 16
    return entry


def _code() -> Iterator[tuple[str, bytes]]:
    root = Path(__file__).parents[2]
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield f"{PACKAGE}/{path.relative_to(root).as_posix()}", path.read_bytes()
    plugin = root.with_name(_PLUGIN)
    if plugin.is_file():
        yield _PLUGIN, plugin.read_bytes()


def _metadata() -> Iterator[tuple[str, bytes]]:
    try:
        installed = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError as error:
        raise ConfigurationError(
            "durable_core is not installed, so there is no list of what it needs: run pip install in its folder first"
        ) from error
    if installed.version != __version__:
        raise ConfigurationError(
            f"durable_core {__version__} runs, but pip has installed {installed.version}: run pip install again"
        )
    for file in installed.files or ():
        if file.parts[0].endswith(".dist-info") and file.name not in _OF_PIP:
            yield "/".join(file.parts[1:]), Path(str(file.locate())).read_bytes()
    yield "WHEEL", _WHEEL.encode()
