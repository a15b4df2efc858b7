"""What a whole run of tests has tried: counts that tests add to, printed at the end of the run.

A test takes the fixture ``totals`` and calls ``totals.add("simulation", seeds=1, faults=7)``; each group is one line.
Where several processes run the tests, each counts its own, and the process that prints adds them up (``merge``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Totals:
    """Counts by group, and within it by what was counted, in the order in which they were first added."""

    groups: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    notes: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, group: str, **counts: int) -> None:
        """Add to a group's counts; an underscore in a name is printed as a blank."""
        present = self.groups.setdefault(group, Counter())
        for name, count in counts.items():
            present[name] += count

    def note(self, group: str, text: str) -> None:
        """What is to be said of a group beside its counts, such as how to repeat it."""
        self.notes[group] = text

    def dumped(self) -> dict[str, dict[str, Any]]:
        """The counts and notes in plain dictionaries, as another process's ``merge`` takes them."""
        return {"groups": {group: dict(counts) for group, counts in self.groups.items()}, "notes": self.notes}

    def merge(self, dumped: Mapping[str, Mapping[str, Any]]) -> None:
        """Add the counts of another process."""
        for group, counts in dumped["groups"].items():
            self.add(group, **counts)
        self.notes.update(dumped["notes"])

    def lines(self) -> list[str]:
        found: list[str] = []
        for group, counts in self.groups.items():
            listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
            note = f" ({self.notes[group]})" if group in self.notes else ""
            found.append(f"{group}: {listed}{note}")
        return found
