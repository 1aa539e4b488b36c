"""The chain of custody: link by link from the collection, without a gap, and a link told again is no new one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import attendance
from shared.contracts.attendance import CustodyHolder
from shared.errors import Refused
from tests.unit.attendance.screened import Screened

COURIER, LABORATORY = CustodyHolder.COURIER, CustodyHolder.LABORATORY
STORAGE, COLLECTOR = CustodyHolder.STORAGE, CustodyHolder.COLLECTOR


def collected() -> Screened:
    episode = Screened()
    episode.collect()
    return episode


@pytest.mark.fact("1.8")
def test_from_the_collector_to_the_laboratory() -> None:
    episode = collected()
    [first] = episode.of(attendance.SpecimenCollected)
    assert (first.custody_sequence, first.temperature_in_range) == (1, True)
    for number, holder in enumerate((STORAGE, COURIER, LABORATORY), start=2):
        episode.hand_on(number, holder)
    links = [(e.custody_sequence, e.holder) for e in episode.of(attendance.CustodyTransferred)]
    assert links == [(2, STORAGE), (3, COURIER), (4, LABORATORY)]
    assert [link.holder for link in episode.screen.custody] == [
        COLLECTOR,
        STORAGE,
        COURIER,
        LABORATORY,
    ]


@pytest.mark.parametrize(
    ("done", "number", "holder", "code"),
    [
        ([], 3, COURIER, "custody-gap"),
        ([], 1, COURIER, "custody-conflict"),
        ([COURIER], 4, LABORATORY, "custody-gap"),
        ([COURIER], 2, LABORATORY, "custody-conflict"),
        ([COURIER, LABORATORY], 2, COURIER, "custody-conflict"),
    ],
)
def test_a_gap_or_another_link_in_its_place_is_refused(
    done: list[CustodyHolder], number: int, holder: CustodyHolder, code: str
) -> None:
    episode = collected()
    for link, who in enumerate(done, start=2):
        episode.hand_on(link, who)
    before = (episode.state, episode.names)
    with pytest.raises(Refused) as refused:
        episode.hand_on(number, holder)
    assert refused.value.code == code
    assert (episode.state, episode.names) == before


def test_the_last_link_told_again_changes_nothing() -> None:
    episode = collected()
    episode.hand_on(2, COURIER)
    before = (episode.state, list(episode.names))
    episode.hand_on(2, COURIER)
    assert (episode.state, episode.names) == before


def test_a_chain_ends_at_its_hundredth_link() -> None:
    episode = collected()
    for number in range(2, 101):
        episode.hand_on(number, STORAGE)
    with pytest.raises(Refused) as refused:
        episode.hand_on(101, LABORATORY)
    assert refused.value.code == "custody-gap"


@given(st.lists(st.tuples(st.integers(1, 6), st.sampled_from([STORAGE, COURIER, LABORATORY]))))
def test_whatever_is_told_the_chain_has_no_gap(told: list[tuple[int, CustodyHolder]]) -> None:
    episode = collected()
    for number, holder in told:
        try:
            episode.hand_on(number, holder)
        except Refused as refused:
            assert refused.code in {"custody-gap", "custody-conflict"}  # noqa: PT017
    numbers = [e.custody_sequence for e in episode.of(attendance.CustodyTransferred)]
    assert numbers == list(range(2, len(episode.screen.custody) + 1))
