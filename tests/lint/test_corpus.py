"""The corpus: clean orchestrators full of look-alikes, and bad ones whose comments tell what must be found where."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from durable_core.linter import RULES, lint_paths

CORPUS = Path(__file__).parent / "corpus"
ROOT = Path(__file__).resolve().parents[2]
CLEAN = sorted((CORPUS / "clean").rglob("*.py"))
BAD = sorted((CORPUS / "bad").rglob("*.py"))

_EXPECTED = re.compile(r"# expect: (DC\d{3}(?:, DC\d{3})*)")


def expected(path: Path) -> Counter[tuple[str, int, str]]:
    lines = enumerate(path.read_text("utf-8").splitlines(), 1)
    return Counter(
        (path.name, number, code)
        for number, line in lines
        for found in _EXPECTED.findall(line)
        for code in found.split(", ")
    )


def test_every_finding_of_the_bad_corpus_is_expected_and_every_expected_one_is_found() -> None:
    report = lint_paths([CORPUS / "bad"], hints=True)
    assert not report.unreadable
    found = Counter((finding.path.name, finding.line, finding.code) for finding in report.findings)
    wanted = sum((expected(path) for path in BAD), Counter[tuple[str, int, str]]())
    assert found == wanted


def test_every_rule_is_broken_in_the_bad_corpus() -> None:
    assert {code for path in BAD for _, _, code in expected(path)} == set(RULES)


@pytest.mark.parametrize("path", CLEAN, ids=lambda path: path.stem)
def test_a_clean_orchestrator_raises_no_alarm(path: Path) -> None:
    report = lint_paths([path], hints=True)
    assert not report.unreadable
    assert [f"{finding.line} {finding.code} {finding.text}" for finding in report.findings] == []
    if not path.stem.startswith("_"):
        assert report.orchestrators


def test_the_clean_corpus_is_large() -> None:
    assert lint_paths([CORPUS / "clean"]).orchestrators >= 25


def test_our_own_orchestrators_raise_no_alarm() -> None:
    report = lint_paths(
        [ROOT / name for name in ("orchestrators", "docs/examples", "benchmarks", "samples", "function_app.py")]
    )
    assert not report.unreadable
    assert report.orchestrators > 50
    assert [f"{finding.path.name}:{finding.line} {finding.text}" for finding in report.findings] == []
