"""What a whole run of tests has tried: counts that tests add to, printed at the end of the run.

A test takes the fixture ``totals`` and calls ``totals.add("simulation", seeds=1, faults=7)``; each group is one line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


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

    def lines(self) -> list[str]:
        found: list[str] = []
        for group, counts in self.groups.items():
            listed = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
            note = f" ({self.notes[group]})" if group in self.notes else ""
            found.append(f"{group}: {listed}{note}")
        return found
