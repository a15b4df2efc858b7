"""Finds what orchestrator code must not do, by reading its source: ``python -m durable_core lint PATH``.

Knows the language and the names of the durable API; imports none of the code it reads, and nothing of the engine.
"""

from __future__ import annotations

from .at_run_time import Suspect, clock_and_chance_in, warn_of
from .findings import Finding
from .linting import Report, lint_paths
from .rules import GROUPS, RULES, Rule

__all__ = ["GROUPS", "RULES", "Finding", "Report", "Rule", "Suspect", "clock_and_chance_in", "lint_paths", "warn_of"]
