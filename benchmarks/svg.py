"""The file of a chart: the same figures make the same SVG, whose text stays text."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def figure(path: Path, width: float, height: float) -> Generator[Any]:
    """A matplotlib figure of so many inches, which is written to the path at the end."""
    import matplotlib
    from matplotlib.figure import Figure  # by itself: no window, no global state

    mpl: Any = matplotlib  # its types are known in part only
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "durable_core", "font.family": "sans-serif"}):
        drawn: Any = Figure(figsize=(width, height), layout="constrained")
        yield drawn
        path.parent.mkdir(parents=True, exist_ok=True)
        drawn.savefig(path, format="svg", metadata={"Date": None})
    # Trailing spaces would come back with every drawing as a difference that is none.
    path.write_text("".join(f"{line.rstrip()}\n" for line in path.read_text("utf-8").splitlines()), "utf-8")
