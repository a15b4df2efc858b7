"""``recover``: rebuilds the messages of a hub from its tables."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from .app_options import run_on_hub

if TYPE_CHECKING:
    from ..runtime.client import DurableClient


@click.command()
@click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set.")
@click.option("--timer", "quick", is_flag=True, help="Do only the work of the app's recovery timer.")
def recover(store: str | None, quick: bool) -> None:
    """Rebuild every message of the hub from its tables, and recover the messages in its poison queues.

    Safe at any time, but activities that are under way may run once more.
    """

    async def work(client: DurableClient) -> None:
        for name, count in asdict(await client.recover(full=not quick)).items():
            click.echo(f"{name.replace('_', ' ')}: {count}")

    run_on_hub(store, work)
