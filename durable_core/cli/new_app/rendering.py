"""Renders the templates of this package: which files a new app has, and what they hold. Writes nothing.

A template is the folder ``shared`` and a folder of its own. ``<<word>>`` in a file is replaced by a value; ``dot_`` at
the beginning of a name stands for a dot, because tools that pack and scan folders leave out names that begin with one;
and ``.in`` at the end of a name is dropped, because tools would take a ``pyproject.toml`` here for one of their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import ConfigurationError
from ...lazy_dataclass import dataclass

FOLDER = Path(__file__).with_name("templates")
SHARED = "shared"
PYTHONS = ("3.11", "3.12", "3.13")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_PLACE = re.compile(r"<<(\w+)>>")
_DOT, _IN = "dot_", ".in"


@dataclass(frozen=True, slots=True)
class Template:
    """folders: in ``templates``; a file of a later one takes the place of that of an earlier one.

    lint: what the workflow lints. start: a shell command that starts an instance. packages, tools: what the app needs
    beyond durable_core, in Azure and on a developer's machine.
    """

    folders: tuple[str, ...]
    title: str
    lint: str
    start: str
    packages: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()


_START = """curl -s -X POST http://127.0.0.1:7071/api/{path} -H 'Content-Type: application/json' \\
    -d '{{"order_id": "o-1", "cents": 4200}}'"""
TEMPLATES: Mapping[str, Template] = {
    "package": Template(
        ("package",),
        "orchestrators and activities in packages, with durable_core's own names",
        "orchestrators",
        _START.format(path="durabletask/orchestrators/order/o-1"),
    ),
    "durable-functions": Template(
        ("durable_functions",),
        "one file in the style of Durable Functions",
        "function_app.py",
        _START.format(path="orders"),
    ),
    "fastapi": Template(
        ("package", "fastapi"),
        "the same, and routes by FastAPI that start and query instances",
        "orchestrators",
        _START.format(path="orders"),
        packages=("fastapi>=0.115,<1",),
        tools=("httpx2>=2,<3", "uvicorn>=0.30,<1"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApp:
    """An app to be made. name: of the app. python: the version of Python in Azure. wheel: file name of durable_core.

    ConfigurationError for a name, a template or a Python that does not fit.
    """

    name: str
    template: str = "package"
    python: str = "3.12"
    wheel: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or not 2 <= len(self.name) <= 32:
            raise ConfigurationError(
                f"'{self.name}' cannot be the name of an app: use 2 to 32 lower-case letters, digits and single "
                "hyphens, beginning with a letter, such as order-service"
            )
        if self.template not in TEMPLATES:
            raise ConfigurationError(f"there is no template '{self.template}'; there are: {', '.join(TEMPLATES)}")
        if self.python not in PYTHONS:
            raise ConfigurationError(f"Python {self.python} is not supported in Azure; use one of {', '.join(PYTHONS)}")

    @property
    def hub(self) -> str:
        """The name of the app's task hub: that of the app, without hyphens."""
        return f"{self.name.replace('-', '')}hub"[:40]

    def files(self) -> dict[str, str]:
        """The content of each file by its path, with slashes."""
        template = TEMPLATES[self.template]
        values = {
            "name": self.name,
            "hub": self.hub,
            "python": self.python,
            "wheel": self.wheel,
            "requirements": "-r requirements-dev.txt",
            "lint": template.lint,
            "test": "python -m pytest",
            "timeout": "15",
            "try": template.start,
            "packages": "".join(f"{each}\n" for each in template.packages),
            "tools": "".join(f"{each}\n" for each in template.tools),
        }
        return dict(file for folder in (SHARED, *template.folders) for file in rendered(folder, values))


def rendered(folder: str, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Each file of a template's folder: its path in an app, and its content. KeyError for a word without a value."""
    root = FOLDER / folder
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            parts = path.relative_to(root).as_posix().removesuffix(_IN).split("/")
            name = "/".join(f".{part.removeprefix(_DOT)}" if part.startswith(_DOT) else part for part in parts)
            yield name, _PLACE.sub(lambda match: values[match[1]], path.read_text("utf-8"))
