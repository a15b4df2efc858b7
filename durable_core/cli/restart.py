"""``restart``: starts the orchestrator of an instance again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from .app_options import run_on_hub

if TYPE_CHECKING:
    from ..runtime.client import DurableClient


def _json(_: click.Context, option: click.Parameter, text: str | None) -> Any:
    try:
        return None if text is None else (json.loads(text),)
    except ValueError as error:
        raise click.BadParameter(f"is not JSON: {error}") from None


@click.command()
@click.argument("instance_id", metavar="ID")
@click.option("--id", "new_id", metavar="NEW-ID", help="Id of the new instance; else a random one.")
@click.option("--same-id", is_flag=True, help="Replace the instance, which must have ended.")
@click.option("--input", "given", callback=_json, metavar="JSON", help="Another input.")
@click.option("--version", metavar="VERSION", help="Version of the orchestrator; else the default or newest one.")
@click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set.")
def restart(
    instance_id: str,
    new_id: str | None,
    same_id: bool,
    given: tuple[Any] | None,
    version: str | None,
    store: str | None,
) -> None:
    """Start the orchestrator of the instance ID again, with the same input, and print the id of the new instance.

    The new instance is shown with the instance of which it is a restart. A host of the app must run to carry it out.
    """
    if same_id and new_id is not None:
        raise click.UsageError("choose one of --id and --same-id")

    async def work(client: DurableClient) -> None:
        other: dict[str, Any] = {} if given is None else {"client_input": given[0]}
        click.echo(await client.restart(instance_id, not same_id, new_instance_id=new_id, version=version, **other))

    run_on_hub(store, work)
