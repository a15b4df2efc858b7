"""``host``: runs a function app on this machine."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import traceback
from pathlib import Path

import click

from ..errors import DurableError
from .exit_codes import CannotRunError
from .output import unblock_output
from .signals import on_end_signals

AZURE_LIKE = (
    "As in Azure: a send wakes no listener, queues are only polled; and functionTimeout ends the process with all that "
    "runs in it, which begins again."
)
SAME_SIGNAL = 0.5  # seconds within which two signals are one, with --reload
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
@click.option(
    "--look-key",
    metavar="KEY",
    help="With --require-keys: a second key, which may only look (GET). Or in DURABLE_HOST_LOOK_KEY.",
)
@click.option("--grace", type=float, default=10.0, show_default=True, help="Seconds for what runs when stopped.")
@click.option(
    "--reload",
    "reloads",
    is_flag=True,
    help="Start again when a source file of the app changes. What runs gets the grace time; the store is kept.",
)
@click.option("-v", "--verbose", is_flag=True, help="Log at debug level.")
def host(
    folder: Path,
    address: str,
    port: int,
    store: str | None,
    azure_like: bool,
    only: str | None,
    key: str | None,
    look_key: str | None,
    grace: float,
    reloads: bool,
    verbose: bool,
) -> None:
    """Run the function_app.py of a folder on this machine, under the Azure Functions host's rules.

    The working directory becomes the app's folder, as in Azure. Every timer also runs once, 2 seconds after the start.
    """
    from ..hosting.local.host import HostOptions, run_host
    from ..hosting.local.reload import CHANGED, WATCHED_BY, shown, stamps, wait_for_change, watch_over
    from ..hosting.local.worker_restart import Restart

    restart = Restart() if azure_like else None  # before anything below changes the folder or the environment
    if reloads and os.environ.pop(WATCHED_BY, None) is None:
        if (store or os.environ.get("DURABLE_STORE")) == ":memory:":
            raise CannotRunError("--reload starts new processes, which would lose the store ':memory:'; name a file")
        command = [sys.executable, *sys.orig_argv[1:]]
        raise click.exceptions.Exit(watch_over(command, lambda line: print(line, file=sys.stderr, flush=True)))
    unblock_output()
    logging.basicConfig(
        level=logging.DEBUG if verbose else logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for noisy in ("azure", "asyncio", "aiohttp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    if store is not None:
        os.environ["DURABLE_STORE"] = store if store == ":memory:" else os.path.abspath(store)
    try:
        folder = folder.resolve(strict=True)
        os.chdir(folder)
    except OSError as error:
        raise CannotRunError(f"--app: {error}") from error
    options = HostOptions(
        app=folder, host=address, port=port, only=only,
        azure_like=azure_like, key=key, look_key=look_key, grace=grace,
    )  # fmt: skip

    has_changed, parent = False, os.getppid()

    before = stamps(folder) if reloads else dict[Path, tuple[int, int]]()

    async def end_when_changed(stop: asyncio.Event) -> None:
        nonlocal has_changed
        change = asyncio.create_task(wait_for_change(folder, before))
        while not change.done():
            if os.getppid() != parent:  # the process that watches was killed: nobody would start the next host
                change.cancel()
                stop.set()
                return
            await asyncio.wait({change}, timeout=1.0)
        has_changed = True
        print(f"{shown(change.result(), folder)} changed", file=sys.stderr, flush=True)
        stop.set()

    async def serve() -> None:
        stop = asyncio.Event()
        watching = asyncio.create_task(end_when_changed(stop)) if reloads else None

        told = 0.0

        def on_signal(number: int) -> None:
            nonlocal told
            if stop.is_set():
                if reloads and time.monotonic() - told < SAME_SIGNAL:  # from the terminal, and from who watches
                    return
                os._exit(128 + number)
            told = time.monotonic()
            stop.set()
            print("stopping; once more to stop at once", file=sys.stderr, flush=True)

        on_end_signals(asyncio.get_running_loop(), on_signal)

        def begin_again(function: str) -> None:
            if restart is not None and not stop.is_set():  # a host that is to stop must not be restarted
                restart(function)

        try:
            has_ended = await run_host(
                options,
                stop=stop,
                say=lambda line: print(line, flush=True),
                on_timeout=begin_again if azure_like else None,
            )
        except BaseException as error:
            if watching is None or not isinstance(error, Exception | SystemExit):
                raise
            _show(error)
            await stop.wait()
            has_ended = True
        if not (has_ended and await _all_tasks_end()):
            # A thread or a task that does not end must not keep the process alive: its message was released already.
            logging.shutdown()
            sys.stdout.flush()
            os._exit(CHANGED if has_changed else 0)

    try:
        asyncio.run(serve())
    except DurableError as error:
        raise CannotRunError(str(error)) from error
    if has_changed:
        raise click.exceptions.Exit(CHANGED)


def _show(error: BaseException) -> None:
    """Say why the host cannot run, and that it waits for a change of the code."""
    if not isinstance(error, DurableError):
        traceback.print_exception(error)
    why = str(error) if isinstance(error, DurableError) else f"{type(error).__name__}: {error}"
    print(f"the host cannot run: {why}\nwaiting for a change", file=sys.stderr, flush=True)


async def _all_tasks_end() -> bool:
    """Cancel the tasks that the app has left. False if some ignore that: ``asyncio.run`` would wait for ever."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if not left:
        return True
    for task in left:
        task.cancel()
    _, stubborn = await asyncio.wait(left, timeout=STUBBORN)
    return not stubborn
