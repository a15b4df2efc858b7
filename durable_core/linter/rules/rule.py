"""The class of a rule."""

from __future__ import annotations

from ...lazy_dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule.

    code: the code by which it is reported and silenced, such as DC101.
    name: a short name.
    what: the code that it reports.
    why: what goes wrong with such code.
    instead: what to write instead.
    wrong, right: an example of each, at module level, without imports.
    is_hint: whether such code breaks nothing: reported only with ``--hints``, and never a reason to fail.
    """

    code: str
    name: str
    what: str
    why: str
    instead: str
    wrong: str
    right: str
    is_hint: bool = False
