"""docs/performance.md shows the committed results: each generated section is what its command makes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

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
    committed = json.loads(guard.BASELINE.read_text(encoding="utf-8"))["ratios_of_the_best"]
    assert set(guard.TARGETS) <= set(committed)
    assert guard.fallen(committed) == []
    halved = {name: value / 2 for name, value in committed.items()}
    assert len(guard.fallen(halved)) == len(guard.TARGETS)
