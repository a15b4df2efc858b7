"""Where the time goes: ``python -m benchmarks.profiles`` runs W1-W4 under a profiler and keeps the dearest functions.

Of the thread of the event loop, where all of the product runs but the writer of the embedded store. A profiler slows
what it looks at, and calls of small functions most: read the shares, not the seconds.
"""

from __future__ import annotations

import asyncio
import cProfile
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

import click
from rich.console import Console
from rich.progress import track

from .catalogue import InProcess, Sized, parse
from .product import running_host
from .stores import RESULTS, VARIANTS, Variant, fresh_store

TOP = 12
_PLACES = ("durable_core", "benchmarks", "site-packages", "lib")  # what a path is shown from


def profile_file(folder: Path, variant: str, label: str) -> Path:
    return folder / f"profile-{variant}-{label}.txt"


async def _profiled(workloads: Sequence[Sized], variant: Variant, folder: Path) -> None:
    async with running_host() as client:
        for each in track(workloads, f"profiles on {variant}"):
            how = each.workload.how
            assert isinstance(how, InProcess), f"{each.label} runs in another process"
            await how.run(client, each.size)  # once before, so that nothing is done for the first time
            profile = cProfile.Profile()
            began, cpu = time.perf_counter(), time.thread_time()
            profile.enable()
            try:
                await how.run(client, each.size)
            finally:
                profile.disable()
            wall, busy = time.perf_counter() - began, time.thread_time() - cpu
            profile_file(folder, variant, each.label).write_text(as_text(profile, wall, busy))


def as_text(profile: cProfile.Profile, wall: float, busy: float) -> str:
    """The functions with the most time of their own."""
    entries = sorted(profile.getstats(), key=lambda entry: -entry.inlinetime)
    total = sum(entry.inlinetime for entry in entries) or 1.0
    lines = [
        f"{wall:.2f} s under the profiler, of which the loop's thread worked {busy:.2f} s",
        f"{'own s':>8} {'share':>6} {'calls':>9}  function",
    ]
    lines += [
        f"{entry.inlinetime:8.3f} {entry.inlinetime / total:6.1%} {entry.callcount:9,}  {_name(entry.code)}"
        for entry in entries[:TOP]
    ]
    return "\n".join(lines) + "\n"


def _name(code: CodeType | str) -> str:
    if isinstance(code, str):
        return code.strip("<>")
    parts = Path(code.co_filename).parts
    starts = [len(parts) - parts[::-1].index(place) - 1 for place in _PLACES if place in parts[:-1]]
    first = max(starts, default=len(parts) - 1)
    shown = parts[first + 1 :] if parts[first] in ("site-packages", "lib") else parts[first:]
    return f"{'/'.join(shown)}:{code.co_firstlineno} {code.co_qualname}"


@click.command()
@click.option("--store", "variant", type=click.Choice(VARIANTS), default="sqlite", show_default=True)
@click.option("--workloads", "names", default="w1,w2,w3,w4", show_default=True, help="Of those that run in process.")
@click.option("--results", type=click.Path(path_type=Path), default=RESULTS, help="Folder for the texts.")
def main(variant: Variant, names: str, results: Path) -> None:
    """Profile workloads on one store."""
    logging.basicConfig(level=logging.WARNING)
    results = results.resolve()
    with fresh_store(variant, results):
        asyncio.run(_profiled(parse(names), variant, results))
    for each in parse(names):
        Console(soft_wrap=True).print(
            f"{each.title}\n{profile_file(results, variant, each.label).read_text()}", markup=False
        )


if __name__ == "__main__":
    main()
