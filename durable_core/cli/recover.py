"""``recover``: rebuilds the messages of a hub from its tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .exit_codes import FINE
from .formats import Document, Form, format_option, print_document
from .place import Place, place_options, run_at
from .text import safe

if TYPE_CHECKING:
    from .api.port import ManagementApi


@click.command()
@click.option("--timer", "quick", is_flag=True, help="Do only the work of the app's recovery timer.")
@format_option
@place_options
def recover(quick: bool, form: Form, place: Place) -> int:
    """Rebuild every message of the hub from its tables, and recover the messages in its poison queues.

    Safe at any time, but activities that are under way may run once more.
    """

    async def work(api: ManagementApi) -> Document:
        from ..hosting.http_routes import Endpoint

        query = [("full", "false")] if quick else []
        return (await api.call(Endpoint.RECOVER, query=query)).expect(200).json()

    report = run_at(place, work)
    print_document(form, report, lambda: [safe(f"{name.replace('_', ' ')}: {n}") for name, n in report.items()])
    return FINE
