"""Writes the rules of the linter into docs/linter-rules.md: ``python -m tools.linter_rules``. A test checks it."""

from __future__ import annotations

import re
from pathlib import Path

from durable_core.linter import GROUPS, Rule

PAGE = Path(__file__).resolve().parents[1] / "docs" / "linter-rules.md"

_RULES = re.compile(r"(<!-- rules -->\n).*(<!-- end of rules -->\n)", re.DOTALL)


def with_rules(page: str) -> str:
    """The page with the rules as they are."""
    return _RULES.sub(lambda found: found.group(1) + "\n" + rendered() + "\n" + found.group(2), page)


def rendered() -> str:
    parts: list[str] = []
    for title, rules in GROUPS:
        rows = "".join(f"| [{rule.code}](#{_anchor(rule)}) | {rule.name} |\n" for rule in rules)
        parts.append(f"## {title}\n\n| Rule | What it finds |\n|---|---|\n{rows}")
        parts.extend(section(rule) for rule in rules)
    return "\n".join(parts)


def section(rule: Rule) -> str:
    """A rule, with its wrong and its right code side by side."""
    return (
        f"### {_title(rule)}\n\n{rule.what}\n\n*Why:* {rule.why}\n\n*Instead:* {rule.instead}\n\n"
        "<table>\n<tr><th>Wrong</th><th>Right</th></tr>\n<tr><td>\n\n"
        f"```python\n{rule.wrong.rstrip()}\n```\n\n</td><td>\n\n```python\n{rule.right.rstrip()}\n```\n\n"
        "</td></tr>\n</table>\n"
    )


def _title(rule: Rule) -> str:
    return f"{rule.code}: {rule.name}"


def _anchor(rule: Rule) -> str:
    """As GitHub makes it of the heading."""
    return re.sub(r"[^\w\- ]", "", _title(rule).lower()).replace(" ", "-")


def main() -> None:
    PAGE.write_text(with_rules(PAGE.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    main()
