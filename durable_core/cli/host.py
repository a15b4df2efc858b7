"""``host``: runs a function app on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from pathlib import Path

import click

from ..errors import DurableError
from .output import unblock_output

AZURE_LIKE = (
    "As in Azure: a send wakes no listener, queues are only polled; and functionTimeout ends the process with all that "
    "runs in it, which begins again."
)
STUBBORN = 5.0  # seconds for what still runs when the host has stopped, and is cancelled


@click.command()
@click.option("--app", "folder", type=click.Path(path_type=Path), default=Path("."), help="Folder of function_app.py.")
@click.option("--host", "address", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=7071, show_default=True, help="0 picks a free one.")
@click.option("--store", type=click.Path(), help="Embedded store, used when AzureWebJobsStorage is not set.")
@click.option("--azure-like", is_flag=True, help=AZURE_LIKE)
@click.option(
    "--only",
    metavar="ROLE",
    help="Serve only these queues: control (with HTTP and timers), work, or work:NAME for one of an activity's own.",
)
@click.option(
    "--require-keys",
    "key",
    metavar="KEY",
    help="Ask this key of functions that are not anonymous. DURABLE_HOST_KEY holds it out of the list of processes.",
)
@click.option("--grace", type=float, default=10.0, show_default=True, help="Seconds for what runs when stopped.")
@click.option("-v", "--verbose", is_flag=True, help="Log at debug level.")
def host(
    folder: Path,
    address: str,
    port: int,
    store: str | None,
    azure_like: bool,
    only: str | None,
    key: str | None,
    grace: float,
    verbose: bool,
) -> None:
    """Run the function_app.py of a folder on this machine, under the Azure Functions host's rules.

    The working directory becomes the app's folder, as in Azure. Every timer also runs once, 2 seconds after the start.
    """
    from ..hosting.local.host import HostOptions, run_host
    from ..hosting.local.worker_restart import Restart

    unblock_output()
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("azure", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    restart = Restart() if azure_like else None  # before anything below changes the folder or the environment
    if store is not None:
        os.environ["DURABLE_STORE"] = store if store == ":memory:" else os.path.abspath(store)
    try:
        folder = folder.resolve(strict=True)
        os.chdir(folder)
    except OSError as error:
        raise click.ClickException(f"--app: {error}") from error
    options = HostOptions(
        app=folder, host=address, port=port, only=only,
        azure_like=azure_like, key=key, grace=grace,
    )  # fmt: skip

    async def serve() -> None:
        stop = asyncio.Event()

        def on_signal(number: int) -> None:
            if stop.is_set():
                os._exit(128 + number)
            stop.set()
            print("stopping; once more to stop at once", file=sys.stderr, flush=True)

        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, on_signal, number)

        def begin_again(function: str) -> None:
            if restart is not None and not stop.is_set():  # a host that is to stop must not be restarted
                restart(function)

        has_ended = await run_host(
            options,
            stop=stop,
            say=lambda line: print(line, flush=True),
            on_timeout=begin_again if azure_like else None,
        )
        if not (has_ended and await _all_tasks_end()):
            # A thread or a task that does not end must not keep the process alive: its message was released already.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(0)

    try:
        asyncio.run(serve())
    except DurableError as error:
        raise click.ClickException(str(error)) from error


async def _all_tasks_end() -> bool:
    """Cancel the tasks that the app has left. False if some ignore that: ``asyncio.run`` would wait for ever."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return True
    for task in left:
        task.cancel()
    _, stubborn = await asyncio.wait(left, timeout=STUBBORN)
    return not stubborn
