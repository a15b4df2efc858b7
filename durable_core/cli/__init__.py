"""The command line: ``python -m durable_core``. Each verb is a module, which imports its dependencies when it runs."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:
    sys.exit("the command line needs the extra 'local': pip install 'durable_core[local]'")

from .backup import backup, restore
from .check_deploy import check_deploy
from .debug import debug
from .history import history
from .host import host
from .lint import lint
from .purge import purge
from .recover import recover
from .replay import replay
from .restart import restart


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Durable execution for Python on plain Azure Storage."""


for verb in (host, lint, recover, restart, purge, backup, restore, history, replay, check_deploy, debug):
    main.add_command(verb)
