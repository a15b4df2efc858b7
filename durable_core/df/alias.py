"""``import azure.durable_functions as df`` for apps that are to stay unchanged: ``install()`` makes it this package.

The app calls it before that import, at the top of ``function_app.py``::

    from durable_core.df import alias

    alias.install()
"""

from __future__ import annotations

import importlib.util
import sys
from importlib import import_module
from pkgutil import walk_packages
from types import ModuleType

from ..errors import ConfigurationError

NAME = "azure.durable_functions"


def install() -> None:
    """Let the name ``azure.durable_functions``, with all its modules, be this package.

    May be called again. ConfigurationError if the package azure-functions-durable is installed or was imported: an app
    would have classes of both.
    """
    from .. import df

    present = sys.modules.get(NAME)
    if present is df:
        return
    if present is not None or _is_installed():
        raise ConfigurationError(
            "azure-functions-durable is installed, so azure.durable_functions is that package: uninstall it "
            "(pip uninstall azure-functions-durable), or write 'import durable_core.df as df'"
        )
    import azure  # pyright: ignore[reportMissingTypeStubs]

    package: ModuleType = azure
    setattr(package, NAME.rpartition(".")[2], df)
    sys.modules[NAME] = df
    for found in walk_packages(df.__path__, f"{df.__name__}."):  # all: else each would be loaded a second time
        sys.modules[NAME + found.name.removeprefix(df.__name__)] = import_module(found.name)


def _is_installed() -> bool:
    try:
        return importlib.util.find_spec(NAME) is not None
    except ModuleNotFoundError:
        return False
