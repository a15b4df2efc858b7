"""``enqueue``: runs an activity by itself, as a job, and may wait for its end."""

from __future__ import annotations

from typing import Any

import click

from .start import start_one, start_options


@click.command()
@click.argument("name", metavar="ACTIVITY")
@start_options
def enqueue(name: str, **more: Any) -> int:
    """Run ACTIVITY by itself, as a durable job, and print the id of its instance.

    The job is an instance of the orchestrator job:ACTIVITY; `list --jobs` lists all of them. Over storage, the code in
    --app checks name and input. With --wait: exit code 1 if the job has not completed.
    """
    return start_one("JOB", name, **more)
