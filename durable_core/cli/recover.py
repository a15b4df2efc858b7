"""``recover``: rebuilds the messages of a hub from its tables."""

from __future__ import annotations

import asyncio

import click

from ..errors import DurableError
from .app_options import absolute


@click.command()
@click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set.")
@click.option("--timer", "quick", is_flag=True, help="Do only the work of the app's recovery timer.")
def recover(store: str | None, quick: bool) -> None:
    """Rebuild every message of the hub from its tables, and recover the messages in its poison queues.

    Safe at any time, but activities that are under way may run once more.
    """
    from dataclasses import asdict

    from ..hosting.app_loader import expect_store, with_place
    from ..hosting.app_opener import open_app
    from ..registry import Registry
    from ..settings import Settings

    async def run() -> None:
        settings = with_place(Settings.from_environment(), None, absolute(store))
        expect_store(settings)
        async with open_app(Registry(), settings) as app:
            report = await app.client.recover(full=not quick)
            for name, count in asdict(report).items():
                click.echo(f"{name.replace('_', ' ')}: {count}")

    try:
        asyncio.run(run())
    except DurableError as error:
        raise click.ClickException(str(error)) from error
