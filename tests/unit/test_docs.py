"""The documentation does not promise what is not there: links, settings, make targets, names in the code."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from dataclasses import fields
from pathlib import Path

import pytest

from durable_core.errors import ConfigurationError
from durable_core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_LINK = re.compile(r"\]\(([^)\s]+)\)")
_FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_RULE = re.compile(r"\bR(\d{1,2})(?:-R(\d{1,2}))?\b")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", _FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing(page: Path) -> list[str]:
    """Relative links of a page that lead nowhere."""
    found: list[str] = []
    for link in _LINK.findall(_FENCE.sub("", page.read_text("utf-8"))):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.is_relative_to(ROOT) or not target.exists():
            found.append(link)
        elif anchor and anchor not in anchors(target):
            found.append(f"{link} (no such heading)")
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert missing(page) == []


def test_every_page_is_listed_in_the_index() -> None:
    index = ROOT / "docs" / "index.md"
    decisions = ROOT / "docs" / "adr" / "README.md"
    listed = {(index.parent / link).resolve() for link in _LINK.findall(index.read_text("utf-8"))}
    listed |= {(decisions.parent / link).resolve() for link in _LINK.findall(decisions.read_text("utf-8"))}
    assert {page.resolve() for page in (ROOT / "docs").rglob("*.md")} - listed == {index}


def test_no_page_is_listed_twice_in_the_index() -> None:
    rows = re.findall(r"^\| \[.*?\]\((\S+?)\) \|", (ROOT / "docs" / "index.md").read_text("utf-8"), re.MULTILINE)
    assert len(rows) > 20
    assert sorted(rows) == sorted(set(rows))


def test_every_picture_is_well_formed() -> None:
    pictures = sorted((ROOT / "docs").rglob("*.svg"))
    assert pictures
    for picture in pictures:
        assert ElementTree.parse(picture).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_every_setting_is_explained() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for field in fields(Settings):
        assert f"`{field.name}`" in page, f"{field.name} is not in docs/settings.md"


@pytest.mark.parametrize(
    "variable", sorted(set(re.findall(r"`(DURABLE_[A-Z_]+)`", Path(ROOT, "docs/settings.md").read_text("utf-8"))))
)
def test_every_variable_explained_is_known_to_the_code(variable: str) -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "durable_core").rglob("*.py"))
    assert f'"{variable}"' in code


def test_every_variable_of_the_code_is_explained() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for path in (ROOT / "durable_core").rglob("*.py"):
        for variable in re.findall(r'"(DURABLE_[A-Z_]+)"', path.read_text("utf-8")):
            assert f"`{variable}`" in page, f"{variable} ({name(path)}) is not in docs/settings.md"


def test_the_defaults_shown_are_the_defaults() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    shown = {row[1]: row[2] for row in re.findall(r"^\| `(DURABLE_\w+)` \| `(\w+)` \| `([^`]+)`", page, re.MULTILINE)}
    defaults = Settings()
    assert shown
    for field, text in shown.items():
        value = getattr(defaults, field)
        expected = (
            str(value).lower() if isinstance(value, bool) else f"{value:g}" if isinstance(value, float) else str(value)
        )
        assert text == expected, field


def test_a_variable_that_does_not_fit_is_named_in_the_error() -> None:
    with pytest.raises(ConfigurationError, match="DURABLE_PARTITIONS"):
        Settings.from_environment({"DURABLE_PARTITIONS": "many"})


def make_targets() -> set[str]:
    """What ``make`` can be asked for by name."""
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert phony is not None
    return set(phony[1].split())


def test_make_has_few_targets_and_each_says_what_it_does() -> None:
    described = re.findall(r"^([\w-]+):.*  ## .+$", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(described) == make_targets()
    assert len(described) <= 10


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_make_target_named_exists(page: Path) -> None:
    text = page.read_text("utf-8")
    commands = [*_CODE.findall(text), *re.findall(r"^(make [\w-]+.*)$", text, re.MULTILINE)]
    named = {match[1] for command in commands if (match := re.match(r"make ([\w-]+)", command))}
    assert named <= make_targets()


def test_every_make_target_named_in_the_code_exists() -> None:
    for folder in ("durable_core", "tests", "tools", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            named = set(re.findall(r"``make ([\w-]+)", path.read_text("utf-8")))
            assert named <= make_targets(), name(path)


def test_every_rule_named_in_the_code_is_explained() -> None:
    """Comments say "rule R5"; docs/architecture.md says what that is."""
    explained = {int(number) for number in re.findall(r"^\| \*\*R(\d+)\*\*", _architecture(), re.MULTILINE)}
    assert explained == set(range(1, len(explained) + 1))
    for path in (ROOT / "durable_core").rglob("*.py"):
        for line in path.read_text("utf-8").splitlines():
            if "rule" in line.lower():
                named = {int(number) for pair in _RULE.findall(line) for number in pair if number}
                assert named <= explained, f"{name(path)}: {line.strip()}"


def test_every_name_in_the_table_of_rules_is_in_the_code() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "durable_core").rglob("*.py"))
    for row in re.findall(r"^\| \*\*R\d+\*\*.*$", _architecture(), re.MULTILINE):
        where = row.rstrip("| ").rsplit("|", 1)[1]
        for dotted in _CODE.findall(where):
            for part in dotted.split("."):
                assert re.search(rf"\b(class|def) {part}\b|^    {part}: ", code, re.MULTILINE), f"{part} in {row[:9]}"


def _architecture() -> str:
    return (ROOT / "docs" / "architecture.md").read_text("utf-8")


def test_every_name_in_the_glossary_is_in_the_code() -> None:
    """A term names the class that holds it, and the file with that class where it links one."""
    rows = re.findall(
        r"^\| \*\*(.+?)\*\*.*\|(.*?)\|$", (ROOT / "docs" / "glossary.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(rows) >= 25
    code = {path: path.read_text("utf-8") for path in (ROOT / "durable_core").rglob("*.py")}
    for term, held_by in rows:
        assert held_by.strip(), f"who holds '{term}' is not said"
        linked = {(ROOT / "docs" / link.partition("#")[0]).resolve() for link in _LINK.findall(held_by)}
        texts = [text for path, text in code.items() if not linked or linked & {path, *path.parents}]
        for word in _CODE.findall(held_by):
            assert any(re.search(rf"^class {word}\b", text, re.MULTILINE) for text in texts), f"{word} of '{term}'"


def test_every_example_is_linked_by_a_page() -> None:
    linked = {(page.parent / link).resolve() for page in PAGES for link in _LINK.findall(page.read_text("utf-8"))}
    examples = {path for path in (ROOT / "docs" / "examples").rglob("*.py") if path.name != "__init__.py"}
    assert examples - linked == set()


def test_every_code_of_an_event_is_explained() -> None:
    code = (ROOT / "durable_core" / "engine" / "events.py").read_text("utf-8")
    codes = set(re.findall(r'^    "([A-Z]{2})": \w+,$', code, re.MULTILINE))
    table = (ROOT / "docs" / "storage.md").read_text("utf-8").split("| Incoming |")[1].split("\n\n")[0]
    assert codes
    assert codes == set(re.findall(r"`([A-Z]{2})`", table))


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_link_that_names_a_file_leads_to_that_file(page: Path) -> None:
    links = re.findall(r"\[`?([\w./-]+\.(?:py|md))`?\]\(([^)\s#]+)", _FENCE.sub("", page.read_text("utf-8")))
    assert [pair for pair in links if pair[0].rsplit("/", 1)[-1] != pair[1].rsplit("/", 1)[-1]] == []
