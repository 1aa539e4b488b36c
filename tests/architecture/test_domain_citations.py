"""Every citation of docs/domain.md leads somewhere: to a section, a rule, a fact or a scenario that the page has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from care.coverage import told
from shared.contracts.names import NAMES

ROOT = Path(__file__).resolve().parents[2]
DOMAIN = ROOT / "docs" / "domain.md"
PATH = "docs/domain.md"
TREES = ("bench", "care", "chaos", "demo", "deploy", "docs", "services", "shared", "tests")
SUFFIXES = {".md", ".py", ".toml"}

# A citation is the path of the page and one target or several: "3.4 (Groups), scenarios 5 and 9". It may run over the
# end of a line of a docstring or a comment. A number without a word before it is of the same kind as the one before.
SPACE = r"\s+(?:#\s+)?"
TARGET = re.compile(
    rf"(?:(?P<kind>section|rule|fact|scenario)s?{SPACE})?(?P<number>\d+(?:\.\d+)?)(?![\w-])"
    rf"(?:{SPACE}\((?P<title>[^()]+)\))?"
)
BETWEEN = re.compile(rf",{SPACE}and{SPACE}|,{SPACE}|{SPACE}and{SPACE}|{SPACE}to{SPACE}")
NEXT = re.compile(SPACE)
FACT = re.compile(r"\b[Ff]acts? (\d+\.\d+(?:(?:, | and | or | to )\d+\.\d+)*)")


@dataclass(frozen=True)
class Cited:
    """One target of one citation."""

    where: str
    kind: str
    number: str
    title: str | None = None
    section: str | None = None
    """Of a rule: the section that it belongs to."""


@dataclass(frozen=True)
class Page:
    """What there is to cite."""

    sections: dict[str, str]
    rules: dict[str, frozenset[str]]
    facts: dict[str, str]
    scenarios: frozenset[str]

    def lacks(self, cited: Cited) -> str | None:
        """Why a citation leads nowhere; None when it leads somewhere."""
        what = f"{cited.where}: {cited.kind} {cited.number}"
        if cited.kind == "rule":
            found = cited.number in self.rules.get(cited.section or "", frozenset())
        elif cited.kind == "section":
            found = cited.number in self.sections
        else:
            found = cited.number in (self.facts if cited.kind == "fact" else self.scenarios)
        if not found:
            return f"{what} does not exist"
        if cited.title is not None and cited.title != self.sections.get(cited.number):
            return f"{what} is not named {cited.title!r}"
        return None


@cache
def page() -> Page:
    text = DOMAIN.read_text(encoding="utf-8")
    parts = re.split(r"^##+ (\d+(?:\.\d+)?)\.? (.+)$", text, flags=re.MULTILINE)[1:]
    numbers, titles, bodies = parts[::3], parts[1::3], parts[2::3]
    body = dict(zip(numbers, bodies, strict=True))
    return Page(
        sections=dict(zip(numbers, titles, strict=True)),
        rules={n: frozenset(re.findall(r"^(\d+)\. ", b, re.MULTILINE)) for n, b in body.items()},
        facts=dict(re.findall(r"^\| (\d+\.\d+) \| (.+?) \|", body["1"], re.MULTILINE)),
        scenarios=frozenset(re.findall(r"^\| (\d+) \|", body["8"], re.MULTILINE)),
    )


@cache
def sources() -> dict[str, str]:
    """Every file that may cite the page, but for the page and this test."""
    files = [path for tree in TREES for path in (ROOT / tree).rglob("*")]
    files += [ROOT / "README.md", ROOT / "pyproject.toml"]
    return {
        str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
        for path in sorted(files)
        if path.suffix in SUFFIXES and path not in (DOMAIN, Path(__file__).resolve())
    }


def citations(name: str, text: str) -> Iterator[Cited]:
    """The targets that a text cites; a mention of the page without a target is a section that does not exist."""
    for mention in re.finditer(rf"(?<!\]\(){re.escape(PATH)}", text):  # a link is no citation
        where = f"{name}:{text.count(chr(10), 0, mention.start()) + 1}"
        kind, section, at, between = "section", "", mention.end(), NEXT
        found = False
        while (gap := between.match(text, at)) and (target := TARGET.match(text, gap.end())):
            kind, title = target["kind"] or kind, target["title"]
            section = target["number"] if kind == "section" else section
            tidy = None if title is None else re.sub(SPACE, " ", title)
            yield Cited(where, kind, target["number"], tidy, section)
            found, at, between = True, target.end(), BETWEEN
        if not found:
            yield Cited(where, "section", "(none)")


def all_citations() -> list[Cited]:
    return [cited for name, text in sources().items() for cited in citations(name, text)]


def test_every_citation_leads_somewhere() -> None:
    assert [why for cited in all_citations() if (why := page().lacks(cited))] == []


def test_there_are_citations_of_every_kind_and_by_every_service() -> None:
    found = all_citations()
    assert {cited.kind for cited in found} == {"section", "rule", "fact", "scenario"}
    for service in ("attendance", "followup", "intake", "plans"):
        assert [cited for cited in found if cited.where.startswith(f"services/{service}/")]


def test_nothing_cites_the_page_in_another_way() -> None:
    phrase = re.compile(r"domain(?:\s+(?:#\s+)?)reference", re.IGNORECASE)
    assert [name for name, text in sources().items() if phrase.search(text)] == []


def test_every_fact_that_a_profile_names_is_there() -> None:
    named = {
        (name, number)
        for name, text in sources().items()
        if name.startswith("shared/programs/profiles/")
        for numbers in FACT.findall(text)
        for number in re.findall(r"\d+\.\d+", numbers)
    }
    assert named
    assert [pair for pair in sorted(named) if pair[1] not in page().facts] == []


def test_the_page_and_the_marks_on_tests_know_the_same() -> None:
    """Facts by number and words, scenarios by number, and the clinical names by example."""
    facts, scenarios = told()
    assert page().facts == facts
    assert page().scenarios == set(scenarios)
    text = DOMAIN.read_text(encoding="utf-8").partition("## 6. ")[2].partition("## 7. ")[0]
    assert set(re.findall(r"`(\w+)`", text)) <= set(NAMES)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Source: docs/domain.md 3.99.", "section 3.99 does not exist"),
        ("Source: docs/domain.md 3.4 (Rooms).", "section 3.4 is not named 'Rooms'"),
        ("Source: docs/domain.md 3.4 (Groups), scenarios 5 and 99.", "scenario 99 does not exist"),
        ("Source: docs/domain.md facts 1.10 and\n    7.1.", "fact 7.1 does not exist"),
        ("# Source: docs/domain.md\n# 2.5 (Derivation), rule 12", "rule 12 does not exist"),
        ("As docs/domain.md says.", "section (none) does not exist"),
    ],
)
def test_a_citation_that_leads_nowhere_is_found(text: str, why: str) -> None:
    found = [page().lacks(cited) for cited in citations("planted.py", text)]
    assert [one for one in found if one] == [f"planted.py:1: {why}"]


def test_a_citation_may_name_several_targets_over_the_end_of_a_line() -> None:
    text = "Source: docs/domain.md 3.15\n(Measures), fact 1.10 and scenarios 5 and 9. Then 3 more."
    found = [(cited.kind, cited.number) for cited in citations("planted.py", text)]
    assert found == [("section", "3.15"), ("fact", "1.10"), ("scenario", "5"), ("scenario", "9")]
    assert [page().lacks(cited) for cited in citations("planted.py", text)] == [None] * 4
