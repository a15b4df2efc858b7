"""The code of a journaled activity, run over its recorded steps under pdb.

Each recorded value is printed before the code gets it. The code stops for good before the first step that is not
recorded, which is not run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

from ..converter import Converter
from ..definitions import ActivityDefinition
from ..hub.journals import Entry
from ..source_location import short
from .journaled_code import CodeEnd, RecordedCall, run_code
from .steps import in_words
from .user_pdb import QuitDebuggerError, UserPdb, shown


def debug_call(
    definition: ActivityDefinition,
    call: RecordedCall,
    *,
    converter: Converter | None = None,
    say: Callable[[str], None] = print,
) -> CodeEnd | None:
    """Run the code under pdb on standard input and output, from its first line. Says at the end where it would go on,
    or why it does not fit its journal. Returns that; None after ``q``."""
    debugger = UserPdb(definition.fn)

    def follow(entry: Entry, line: str) -> None:
        say(f"{in_words(entry)}{_moved(entry, line)}")

    def begin() -> None:
        say(f"call {call.part.task_id} of activity '{definition.name}' begins at {short(definition.location)}")
        debugger.set_trace(sys._getframe())  # pyright: ignore[reportPrivateUsage]

    async def run() -> CodeEnd:
        try:
            end = await run_code(definition, call, converter or Converter(), follow=follow, begin=begin, patience=None)
        finally:
            sys.settrace(None)
        return end

    try:
        end = asyncio.run(run())
    except QuitDebuggerError:
        return None
    for line in in_lines(end):
        say(line)
    return end


def _moved(entry: Entry, line: str) -> str:
    return f" (now at {line})" if line and entry.line and line != entry.line else ""


def in_lines(end: CodeEnd) -> list[str]:
    """How a run of the code has ended, for people."""
    after = f"after {end.told:,} recorded {'end' if end.told == 1 else 'ends'} of steps and waits"
    if not end.fits:
        return [str(end.error)]
    if end.error is not None:
        return [f"{after} the code raised {type(end.error).__name__}: {end.error}"]
    if not end.ahead:
        return [f"{after} the code returned {shown(end.result)}"]
    return [
        f"{after} the code waits for {each.step} at {each.line}"
        if each.is_wait
        else f"{after} the code goes on with step {each.step} at {each.line}, which is not recorded and was not run"
        for each in end.ahead
    ]
