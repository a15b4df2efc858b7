"""The rules of orchestrator code, each with its reason, its replacement and an example of wrong and right code.

The documentation and ``lint --explain`` are made of these objects; the checks are in ``body`` and ``statements``.
"""

from __future__ import annotations

from .durable import RULES_OF_THE_API
from .rule import Rule
from .state import RULES_OF_COMMENTS, RULES_OF_STATE
from .time_and_chance import RULES_OF_CHANCE, RULES_OF_TIME
from .world import RULES_OF_THE_WORLD

GROUPS: tuple[tuple[str, tuple[Rule, ...]], ...] = (
    ("Time", RULES_OF_TIME),
    ("Chance and ids", RULES_OF_CHANCE),
    ("Environment, input and output, waiting", RULES_OF_THE_WORLD),
    ("The durable API", RULES_OF_THE_API),
    ("State and order", RULES_OF_STATE),
    ("Comments that silence a rule", RULES_OF_COMMENTS),
)

RULES: dict[str, Rule] = {rule.code: rule for _, rules in GROUPS for rule in rules}

__all__ = ["GROUPS", "RULES", "Rule"]
