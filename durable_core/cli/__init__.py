"""The command line: ``python -m durable_core``. Each verb is a module, which imports its dependencies when it runs."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:
    sys.exit("the command line needs the extra 'local': pip install 'durable_core[local]'")

from .. import __version__
from .group import LazyGroup

VERBS = {
    "backup": "backup",
    "bulk": "bulk",
    "cancel": "requests",
    "check-deploy": "check_deploy",
    "completion": "completion",
    "debug": "debug",
    "events": "show",
    "explain": "explain",
    "fork": "fork",
    "history": "history",
    "host": "host",
    "hosts": "hub",
    "lint": "lint",
    "list": "list_instances",
    "purge": "purge",
    "query": "query",
    "queues": "hub",
    "raise": "requests",
    "recover": "recover",
    "replay": "replay",
    "restart": "restart",
    "restore": "backup",
    "resume": "requests",
    "rewind": "rewind",
    "schedules": "schedules",
    "show": "show",
    "start": "start",
    "stats": "hub",
    "suspend": "requests",
    "tail": "tail",
    "terminate": "requests",
    "timers": "hub",
    "tree": "explain",
}
"""Each verb with the module that holds it."""


@click.group(
    cls=LazyGroup, modules=VERBS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="durable_core", message="%(prog)s %(version)s")
def main() -> None:
    """Durable execution for Python on plain Azure Storage.

    Verbs for one hub work on its storage (--store FILE, or AzureWebJobsStorage with --hub NAME), or through a running
    app (--url URL with --key KEY, or DURABLE_URL and DURABLE_KEY).

    Exit codes: 0 fine, 1 a finding, 2 the verb could not run, 3 nothing matched.
    """
