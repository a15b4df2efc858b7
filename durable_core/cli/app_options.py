"""What several verbs share: options, the way to a hub, exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ..errors import DurableError
from .exit_codes import CannotRunError

if TYPE_CHECKING:
    from ..hosting.app_loader import AppCode

F = TypeVar("F", bound=Callable[..., Any])


def code_options(command: F) -> F:
    """``--app`` and ``--modules``: the code to be used."""
    command = click.option(
        "--modules", metavar="NAME,NAME", help="Take the orchestrators of these modules, not of a function_app.py."
    )(command)
    return click.option(
        "--app",
        "folder",
        type=click.Path(path_type=Path),
        default=Path("."),
        show_default=True,
        help="Folder of function_app.py.",
    )(command)


def hub_options(command: F) -> F:
    """``--hub`` and ``--store``: the task hub to be read."""
    command = click.option(
        "--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set."
    )(command)
    return click.option("--hub", metavar="NAME", help="Task hub; else the app's own setting (DURABLE_HUB).")(command)


def absolute(path: str | None) -> str | None:
    """The absolute path of a command line argument, before the working directory becomes the app's folder."""
    return None if path is None else os.path.abspath(path)


@contextmanager
def or_cannot_run() -> Generator[None]:
    """Errors become one line on stderr and exit code 2."""
    try:
        yield
    except DurableError as error:
        raise CannotRunError(str(error)) from error


def load_code(folder: Path, modules: str | None) -> AppCode:
    """The code of the app. Its output at import goes to stderr. CannotRunError if it cannot be imported."""
    from ..hosting.app_loader import app_code

    names = [] if modules is None else [name.strip() for name in modules.split(",") if name.strip()]
    try:
        with redirect_stdout(sys.stderr):
            return app_code(folder, names)
    except DurableError:
        raise
    except Exception as error:
        traceback.print_exc()
        raise CannotRunError(f"the app cannot be imported: {type(error).__name__}: {error}") from error
