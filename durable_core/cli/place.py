"""Where a verb finds its hub: in a storage, or behind the address of a running app."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import DurableError
from ..lazy_dataclass import dataclass
from .app_options import absolute, load_code
from .exit_codes import CannotRunError
from .text import safe_lines

if TYPE_CHECKING:
    from .api.port import ManagementApi

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

URL, KEY = "DURABLE_URL", "DURABLE_KEY"

_OPTIONS = (
    click.option("--url", metavar="URL", help=f"Address of a running app; else {URL}."),
    click.option("--key", metavar="KEY", help=f"A key of that app. {KEY} keeps it out of the list of processes."),
    click.option("--hub", metavar="NAME", help="Task hub; else DURABLE_HUB."),
    click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set."),
    click.option(
        "--app", "folder", type=click.Path(path_type=Path), help="Folder of the app, for its settings, codec and code."
    ),
    click.option("--modules", metavar="NAME,NAME", help="Take the code of these modules, not of a function_app.py."),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The options of a command line that say where the hub is."""

    url: str | None = None
    key: str | None = None
    hub: str | None = None
    store: str | None = None
    folder: Path | None = None
    modules: str | None = None

    @property
    def names_storage(self) -> bool:
        return any(each is not None for each in (self.hub, self.store, self.folder, self.modules))


def place_options(command: F) -> F:
    """``--url``, ``--key``, ``--hub``, ``--store``, ``--app``, ``--modules``: given to the verb as one ``place``."""

    @wraps(command)
    def with_place(*args: Any, **more: Any) -> Any:
        names = ("url", "key", "hub", "store", "folder", "modules")
        place = Place(**{name: more.pop(name) for name in names})
        return command(*args, place=place, **more)

    for option in reversed(_OPTIONS):
        option(with_place)
    return with_place  # pyright: ignore[reportReturnType]  click calls it by keyword


def run_at(place: Place, work: Callable[[ManagementApi], Awaitable[T]], *, needs_code: bool = False) -> T:
    """Run ``work`` with the management API of the hub. Errors become one line on stderr and exit code 2.

    needs_code: over storage, whether the orchestrators of the app are needed: those in the working directory unless the
    place names others.
    """
    _log_to_stderr()

    async def run() -> T:
        async with connect(place, needs_code=needs_code) as api:
            return await work(api)

    try:
        return asyncio.run(run())
    except DurableError as error:
        raise CannotRunError(str(error)) from error


@asynccontextmanager
async def connect(place: Place, *, needs_code: bool = False) -> AsyncGenerator[ManagementApi]:
    """The management API of the hub. CannotRunError, ConfigurationError; nothing is created in a storage."""
    if place.url is not None and place.names_storage:
        raise CannotRunError("--url is for a running app, --hub, --store, --app and --modules are for storage; use one")
    url = place.url or (None if place.names_storage else os.environ.get(URL))
    if url:
        from .api.over_http import OverHttp

        yield OverHttp(url, place.key or os.environ.get(KEY, ""))
        return
    if place.key is not None:
        raise CannotRunError(f"--key is for a running app; name the app with --url or in {URL}")
    from ..hosting.app_loader import with_place
    from ..registry import Registry
    from ..settings import Settings
    from .api.in_process import open_in_process

    store = absolute(place.store)
    has_code = needs_code or place.folder is not None or place.modules is not None
    code = load_code(place.folder or Path("."), place.modules) if has_code else None
    settings = with_place(Settings.from_environment() if code is None else code.settings, place.hub, store)
    registry, codec = (Registry(), None) if code is None else (code.registry, code.codec)
    async with open_in_process(settings, registry, codec) as api:
        yield api


class _SafeFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return safe_lines(super().format(record))


def _log_to_stderr() -> None:
    """Warnings of this process, which over storage does the work of an app, without escape sequences of others."""
    handler = logging.StreamHandler()
    handler.setFormatter(_SafeFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
