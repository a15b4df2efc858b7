"""Result lines: one JSON object for each repetition, kept in files that only grow; and their medians.

A line names ``engine``, ``variant``, ``w`` (the workload, with its size if that is not the usual one) and ``rep``; then
come figures, or ``error``. ``foreign_cores`` is what else ran on the machine, ``cpu_s`` the CPU seconds by role.
Programs that measure other engines write the same lines.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, cast

from .catalogue import Metric
from .machine import NOISE

ENGINE = "durable_core"

Line = dict[str, Any]

_MUST_BE_ZERO = ("lost", "missing", "not_completed")


class Failed:
    """In place of a median: at least half of the repetitions failed."""

    def __repr__(self) -> str:
        return "failed"


FAILED = Failed()


def keep(line: Line, folder: Path) -> Line:
    """Append a line to the file of its engine and store; returned as it was written, rounded."""
    rounded = {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{line['engine']}-{line['variant']}.jsonl").open("a") as file:
        file.write(json.dumps(rounded) + "\n")
    return rounded


def read(folder: Path) -> list[Line]:
    """All lines of a folder, in the order of the files' names. ValueError names the file and line that is none."""
    lines: list[Line] = []
    for path in sorted(folder.glob("*.jsonl")):
        for number, text in enumerate(path.read_text("utf-8").splitlines(), 1):
            if not text.strip():
                continue
            try:
                line: Any = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{path.name}, line {number}: not JSON: {error}") from error
            if not isinstance(line, dict) or not all(
                isinstance(cast(Line, line).get(key), str) for key in ("engine", "variant", "w")
            ):
                raise ValueError(f"{path.name}, line {number}: not a result line: {text[:80]}")
            lines.append(cast(Line, line))
    return lines


def forget(folder: Path, variant: str) -> None:
    """Put our earlier lines of a store aside, as ``*.earlier``: a new run does not mix with them."""
    path = folder / f"{ENGINE}-{variant}.jsonl"
    if path.exists():
        path.replace(path.with_suffix(".earlier"))


def of(lines: Iterable[Line], engine: str, variant: str, w: str) -> list[Line]:
    return [line for line in lines if (line["engine"], line["variant"], line["w"]) == (engine, variant, w)]


def has_failed(line: Line) -> bool:
    """Whether the repetition counts as failed: an error, or something lost."""
    return "error" in line or any(line.get(key) for key in _MUST_BE_ZERO)


def median(lines: Sequence[Line], metric: Metric) -> float | Failed | None:
    """Of the repetitions that did not fail. None if no line has this figure."""
    if lines and 2 * sum(map(has_failed, lines)) >= len(lines):
        return FAILED
    found = [metric.of(line) for line in lines if not has_failed(line)]
    values = [value for value in found if value is not None]
    return statistics.median(values) if values else None


def is_doubtful(lines: Iterable[Line]) -> bool:
    """Whether at least half of the repetitions were disturbed, as far as that is known."""
    noise = _noise(lines)
    return bool(noise) and 2 * sum(value > NOISE for value in noise) >= len(noise)


def _noise(lines: Iterable[Line]) -> list[float]:
    return [float(line["foreign_cores"]) for line in lines if isinstance(line.get("foreign_cores"), int | float)]


def noise_of(lines: Iterable[Line]) -> str:
    """What else ran meanwhile, in a sentence."""
    noise = _noise(lines)
    if not noise:
        return "Nobody looked at what else ran on the machine."
    doubtful = sum(value > NOISE for value in noise)
    return (
        f"Other processes used {statistics.median(noise):.2f} cores meanwhile (median; at most {max(noise):.2f}); "
        + (
            f"{doubtful} of {len(noise)} repetitions were disturbed (above {NOISE}): measure again on a quiet machine."
            if doubtful
            else "the machine was quiet."
        )
    )
