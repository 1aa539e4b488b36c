"""docs/performance.md shows the committed results: each generated section is what its command makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from bench import __main__ as bench
from bench import paired
from bench import report as guard
from bench.study import growth
from bench.study import report as study

MAKERS: list[Any] = [guard, study, growth]


def _page(maker: Any, texts: Mapping[str, str]) -> list[str]:
    return [
        "\n\n".join(
            (
                guard.BEGIN.format(command=maker.COMMAND, name=name),
                text,
                guard.END.format(name=name),
            )
        )
        for name, text in texts.items()
    ]


@pytest.mark.parametrize("maker", MAKERS, ids=lambda maker: maker.COMMAND)
def test_every_section_is_what_the_committed_results_make(maker: Any) -> None:
    results = json.loads(maker.RESULTS.read_text(encoding="utf-8"))
    sections = _page(maker, maker.sections(results))
    page = guard.PAGE.read_text(encoding="utf-8")
    assert sections
    for section in sections:
        assert section in page


def test_every_section_on_the_page_has_a_maker() -> None:
    made = [
        name
        for maker in MAKERS
        for name in maker.sections(json.loads(maker.RESULTS.read_text(encoding="utf-8")))
    ]
    page = guard.PAGE.read_text(encoding="utf-8")
    assert page.count("<!-- made by") == page.count("<!-- end of") == len(made)
    assert len(set(made)) == len(made)


def test_the_guard_has_committed_ratios_to_compare_with() -> None:
    commit, committed = guard.baseline()
    assert len(commit) == 40
    assert set(guard.TARGETS) <= set(committed)
    assert guard.fallen(committed, committed) == []
    assert len(guard.fallen(_times(0.5, committed), committed)) == len(guard.TARGETS)


@pytest.mark.parametrize(
    ("now", "here", "status"),
    [
        (1.0, None, 0),  # as committed: nothing is measured again
        (0.7, None, 1),  # the commit is not to be had
        (0.7, 0.7, 0),  # the machine is slower, for both alike
        (0.7, 0.8, 0),
        (0.7, 0.9, 1),  # more than the machine
        (0.7, 1.0, 1),  # the machine is as it was
    ],
)
def test_a_fall_counts_unless_the_committed_code_falls_alike_here(
    monkeypatch: pytest.MonkeyPatch, now: float, here: float | None, status: int
) -> None:
    commit, committed = guard.baseline()
    measured: list[str] = []

    def measured_here(which: str, _rounds: int) -> Mapping[str, float | None] | None:
        measured.append(which)
        return None if here is None else _times(here, committed)

    monkeypatch.setattr(bench, "measured_here", measured_here)
    assert bench.guard(_times(now, committed), 3) == status
    assert measured == ([] if now == 1.0 else [commit])


def test_a_commit_that_is_not_there_is_not_measured() -> None:
    assert paired.measured_here("0" * 40, 1) is None
    assert len(paired.commit_of_now()) in (0, 40)


def _times(factor: float, ratios: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: None if one is None else one * factor for name, one in ratios.items()}
