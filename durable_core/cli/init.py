"""``init`` and ``wheel``: make an app of one's own, and the wheel of durable_core that it brings along."""

from __future__ import annotations

from pathlib import Path

import click

from .app_options import or_cannot_run
from .exit_codes import FINE, CannotRunError
from .new_app.rendering import PYTHONS, TEMPLATES


@click.command()
@click.argument("folder", metavar="NAME", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(list(TEMPLATES)),
    default="package",
    show_default=True,
    help="; ".join(f"{name}: {template.title}" for name, template in TEMPLATES.items()) + ".",
)
@click.option("--python", type=click.Choice(PYTHONS), default="3.12", show_default=True, help="The Python in Azure.")
def init(folder: Path, template: str, python: str) -> int:
    """Make an app in the new folder NAME: code, a test, and all that deploys it to Azure with 'azd up'.

    The last part of NAME is the name of the app: lower-case letters, digits and hyphens. Nothing is overwritten. The
    app brings along a wheel of this durable_core, because no package index has a release of it.
    """
    from .new_app.own_wheel import wheel_name, write_wheel
    from .new_app.rendering import NewApp

    with or_cannot_run():
        app = NewApp(name=folder.resolve().name, template=template, python=python, wheel=wheel_name())
        _expect_empty(folder)
        files = app.files()
        try:
            write_wheel(folder / "wheels")
            for name, content in files.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(content, encoding="utf-8", newline="\n")
        except OSError as error:
            raise CannotRunError(f"{folder} cannot be written: {error}") from error
    click.echo(f"{folder}: {len(files) + 1} files. Next:\n")
    click.echo(f"  cd {folder}\n  python3 -m venv .venv\n  .venv/bin/pip install -r requirements-dev.txt")
    click.echo(
        "  .venv/bin/python -m pytest\n  .venv/bin/durable_core host\n\nREADME.md says how to go on, and to Azure."
    )
    return FINE


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("wheels"))
def wheel(folder: Path) -> int:
    """Write the wheel of this durable_core into FOLDER, for an app that is deployed with a remote build.

    Put it into the app's folder, and its path into requirements.txt: ./wheels/durable_core-...-py3-none-any.whl
    """
    from .new_app.own_wheel import write_wheel

    with or_cannot_run():
        try:
            path = write_wheel(folder)
        except OSError as error:
            raise CannotRunError(f"{folder} cannot be written: {error}") from error
    click.echo(str(path))
    return FINE


def _expect_empty(folder: Path) -> None:
    """CannotRunError if there is anything in the way."""
    try:
        there = sorted(path.name for path in folder.iterdir())
    except FileNotFoundError:
        return
    except OSError as error:  # a file, or a folder that cannot be read
        raise CannotRunError(f"{folder} cannot be the folder of a new app: {error}") from error
    if there:
        named = ", ".join(there[:5]) + (" ..." if len(there) > 5 else "")
        raise CannotRunError(f"{folder} is not empty ({named}); name a folder that does not exist yet")
