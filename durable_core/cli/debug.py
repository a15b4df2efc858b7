"""``debug``: replays the history of one instance under pdb."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..errors import NonDeterminismError
from .app_options import absolute, code_options, hub_options, load_code, or_cannot_run

if TYPE_CHECKING:
    from ..hosting.app_loader import AppCode
    from ..replay.replayer import History


@click.command()
@click.argument("target", metavar="INSTANCE|FILE")
@click.option("--at", type=click.IntRange(1), metavar="EVENT", help="Stop after this event of the history; 1 is first.")
@click.option(
    "--call", type=click.IntRange(1), metavar="N", help="Step through the journaled activity of call N, over its steps."
)
@code_options
@hub_options
def debug(
    target: str, at: int | None, call: int | None, folder: Path, modules: str | None, hub: str | None, store: str | None
) -> None:
    """Replay an instance, or an exported FILE, under pdb: step through its orchestrator, with the result of each yield.

    Behind the call of a journaled activity its recorded steps are shown, with their lines and values. With --call N its
    code runs over them: a recorded step returns its value, none runs, and the code ends before the first that is not
    recorded. Exit code 1: the code does not fit the history, or the journal.

    The hub is only read: no activity runs, and the instance does not change. Commands are pdb's: n (next line), s (into
    a function), p EXPR (print), b FILE:LINE (breakpoint), c (to the end, or the next breakpoint), q (quit).
    """
    path, store = Path(target).absolute(), absolute(store)
    is_file = path.is_file() or path.suffix == ".json"
    if call is not None and is_file:
        raise click.UsageError("an exported history has no recorded steps: for --call name the instance, not a file")
    if call is not None and at is not None:
        raise click.UsageError("--at is an event of the orchestrator, --call a call that it has made: give one of them")
    with or_cannot_run():
        from ..replay.debugger import debug_history
        from ..replay.replayer import History, definition_for

        code = load_code(folder, modules)
        if call is not None:
            _debug_call(code, target, call, hub, store)
            return
        history, steps = (History.read(path), {}) if is_file else asyncio.run(_load(code, target, hub, store))
        definition = definition_for(code.registry, history.name, history.version)
        click.echo(
            f"instance '{history.instance_id}' of '{history.name}', {history.status.value}: "
            f"{len(history.events)} events, code at {definition.location}"
        )
        try:
            debug_history(definition, history, at=at, converter=code.converter, say=click.echo, steps=steps)
        except NonDeterminismError as error:
            click.echo(str(error))
            sys.exit(1)


def _debug_call(code: AppCode, instance_id: str, number: int, hub: str | None, store: str | None) -> None:
    from ..replay.call_debugger import debug_call
    from ..replay.journaled_code import RecordedCall, load_call, part_of
    from ..replay.replayer import load_history

    async def load() -> RecordedCall:
        from ..hosting.app_loader import open_to_read, with_place

        async with open_to_read(with_place(code.settings, hub, store), code.codec) as opened:
            history = await load_history(opened, instance_id)
            return await load_call(opened, history, part_of(code.registry, history, number))

    call = asyncio.run(load())
    end = debug_call(code.registry.activity(call.part.name), call, converter=code.converter, say=click.echo)
    if end is not None and not end.fits:
        sys.exit(1)


async def _load(
    code: AppCode, instance_id: str, hub: str | None, store: str | None
) -> tuple[History, dict[int, list[str]]]:
    from ..hosting.app_loader import open_to_read, with_place
    from ..replay.replayer import load_history
    from ..replay.steps import load_steps

    async with open_to_read(with_place(code.settings, hub, store), code.codec) as opened:
        history = await load_history(opened, instance_id)
        return history, await load_steps(opened, history)
