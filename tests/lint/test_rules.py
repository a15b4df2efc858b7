"""Every rule finds its own wrong example and is silent about its right one; the page about them is current."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from durable_core.linter import GROUPS, RULES, Finding, lint_paths
from durable_core.linter.calls import CALLS, VALUES
from tests.lint.examples_of_rules import PRELUDE
from tools.linter_rules import PAGE, with_rules

SOURCES = Path(__file__).resolve().parents[2] / "durable_core" / "linter"


def findings_of(tmp_path: Path, code: str) -> tuple[Finding, ...]:
    path = tmp_path / "example.py"
    path.write_text(PRELUDE + code, "utf-8")
    report = lint_paths([path], hints=True)
    assert not report.unreadable
    assert report.orchestrators
    return report.findings


@pytest.mark.parametrize("code", RULES)
def test_the_wrong_example_of_a_rule_breaks_it(code: str, tmp_path: Path) -> None:
    assert {finding.code for finding in findings_of(tmp_path, RULES[code].wrong)} == {code}


@pytest.mark.parametrize("code", RULES)
def test_the_right_example_of_a_rule_breaks_none(code: str, tmp_path: Path) -> None:
    assert findings_of(tmp_path, RULES[code].right) == ()


def test_every_code_is_one_rules_and_belongs_to_its_group() -> None:
    listed = [rule.code for _, rules in GROUPS for rule in rules]
    assert listed == sorted(set(listed))
    for _, rules in GROUPS:
        assert len({rule.code[:3] for rule in rules}) == 1


def test_every_code_that_the_linter_reports_is_a_rule() -> None:
    told = {code for path in SOURCES.glob("*.py") for code in re.findall(r'"(DC\d{3})"', path.read_text("utf-8"))}
    assert told - {"DC301", "DC302"}
    assert told <= set(RULES)
    assert {rule.code for rule in [*CALLS.values(), *VALUES.values()]} <= set(RULES)


def test_the_page_of_the_rules_is_current() -> None:
    page = PAGE.read_text("utf-8")
    assert page == with_rules(page), "run: python -m tools.linter_rules"
