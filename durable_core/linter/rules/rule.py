"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    code: by which it is reported and silenced, such as DC101.
    name: a few words.
    what: which code it finds.
    why: what goes wrong otherwise.
    instead: what to write.
    wrong, right: an example each, of module level, without its imports.
    is_hint: whether it spoils only looks: reported where hints are asked for, and never a reason to fail.
    """

    code: str
    name: str
    what: str
    why: str
    instead: str
    wrong: str
    right: str
    is_hint: bool = False
