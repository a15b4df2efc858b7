"""The command line: ``python -m durable_core``. Each verb is a module, which imports its dependencies when it runs."""

from __future__ import annotations

import sys

try:
    import click
except ImportError:
    sys.exit("the command line needs the extra 'local': pip install 'durable_core[local]'")

from .group import LazyGroup
from .verbs import VERBS


def _print_versions(context: click.Context, _: click.Parameter, is_given: bool) -> None:
    if is_given and not context.resilient_parsing:
        from .installed import versions

        click.echo(versions())
        context.exit()


@click.group(
    cls=LazyGroup, verbs=VERBS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_versions,
    help="Print the versions of this package, of Python, SQLite and the SDKs, and exit.",
)
def main() -> None:
    """Durable execution for Python on plain Azure Storage.

    Verbs for one hub work on its storage (--store FILE, or AzureWebJobsStorage with --hub NAME), or through a running
    app (--url URL with --key KEY, or DURABLE_URL and DURABLE_KEY).

    Exit codes: 0 fine, 1 a finding, 2 the verb could not run, 3 nothing matched.
    """
