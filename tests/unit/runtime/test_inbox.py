"""The inbox: which items are new, repeated, missed or another's, whatever came before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import inbox
from shared.inbox import NOTHING, WINDOW, Place, StreamInbox, place_of
from shared.runtime.core.record import Record
from shared.runtime.core.work import OutcomeStatus, RedriveOptions, StreamPosition, Work
from tests.unit.runtime.toy import KINDS, SOURCE, START, add, episode, poison

ONE = episode(1)
POISONED = 10**17
STREAM = "feed"

numbers = st.lists(st.integers(1, 200), min_size=1, max_size=60, unique=True).map(sorted)


def after(given_numbers: Sequence[int], kept: int = WINDOW) -> StreamInbox:
    known = NOTHING
    for number in given_numbers:
        known = inbox.with_applied(known, number, f"id {number}", kept)
    return known


@given(numbers, st.integers(1, 210), st.sampled_from([1, WINDOW]))
def test_every_number_has_the_place_that_the_whole_history_gives_it(
    applied: list[int], number: int, kept: int
) -> None:
    """The window is compared with a memory of everything."""
    known, remembered = after(applied, kept), applied[-kept:]
    span_begins = remembered[0] if len(applied) >= kept else 0
    for own in (True, False):
        found = place_of(known, number, f"id {number}" if own else "another id", kept)
        if number > applied[-1]:
            expected = Place.NEXT
        elif number in remembered:
            expected = Place.REPEATED if own else Place.CONFLICTING
        elif number > span_begins:
            expected = Place.MISSED
        else:
            expected = Place.REPEATED
        assert found is expected
    assert inbox.numbers_applied(known) == remembered
    assert len(known[1]) == 16 * len(remembered)


@given(numbers, st.integers(1, 2**62))
def test_what_was_discarded_is_known_and_moves_nothing(applied: list[int], number: int) -> None:
    before = after(applied)
    known = inbox.with_discarded(before, number, "forged")
    assert known[:2] == before[:2]
    assert place_of(known, number, "forged") is Place.REPEATED
    for own in range(applied[-1] + 1, applied[-1] + 5):
        assert place_of(known, own, f"id {own}") is Place.NEXT


@given(numbers, st.integers(0, 200))
def test_a_stream_set_back_takes_what_comes_after_and_knows_what_was_undone(
    applied: list[int], number: int
) -> None:
    known = inbox.set_back(after(applied), number)
    for one in applied[-WINDOW:]:
        assert place_of(known, one, f"id {one}") is Place.REPEATED
        if one > number:
            assert place_of(known, one, "its owner's") is Place.NEXT


@given(numbers, st.integers(0, 220), st.integers(0, 30), st.sampled_from([1, WINDOW]))
def test_after_a_set_back_nothing_that_was_applied_counts_as_missed(
    applied: list[int], number: int, more: int, kept: int
) -> None:
    """A window that lost entries was taken for one that knows all: older events became dead letters."""
    known = inbox.set_back(after(applied, kept), number, kept)
    later = range(number + 1, number + 1 + more)
    for one in later:
        known = inbox.with_applied(known, one, f"new {one}", kept)
    for one in applied:
        if one <= number:
            assert place_of(known, one, f"id {one}", kept) is Place.REPEATED
    for one in later:
        assert place_of(known, one, f"new {one}", kept) is Place.REPEATED
    assert place_of(known, number + more + 1, "next", kept) is Place.NEXT
    again = inbox.set_back(known, number, kept)
    for one in applied:
        if one <= number:
            assert place_of(again, one, f"id {one}", kept) is Place.REPEATED


def test_a_forged_number_set_back_leaves_what_was_before_it() -> None:
    known = inbox.set_back(after([*range(1, 41), 5_000]), 40)
    places = {one: place_of(known, one, f"id {one}") for one in range(1, 41)}
    assert set(places.values()) == {Place.REPEATED}
    assert place_of(known, 30, "another") is Place.CONFLICTING
    assert inbox.numbers_applied(known) == list(range(26, 41))
    beyond = inbox.with_applied(known, 42, "id 42")
    assert place_of(beyond, 41, "id 41") is Place.MISSED


def test_only_the_latest_discarded_items_are_kept() -> None:
    known = NOTHING
    for number in range(1, inbox.DISCARDED_MAX + 10):
        known = inbox.with_discarded(known, number, "forged")
    assert len(known[2]) == 16 * inbox.DISCARDED_MAX


# --- in a record ---------------------------------------------------------------------------------


def item(number: int, *, item_id: str = "", at_most: int = 2**63 - 1) -> Work:
    item_id = item_id or f"id {number}"
    return Work(
        subject=ONE,
        cause_id=item_id,
        correlation_id=item_id,
        facility_id="harbor-iop",
        now=START,
        decide=add(1),
        stream=StreamPosition(STREAM, number, item_id, at_most),
    )


def new_record() -> Record:
    return Record(ONE, KINDS["episode"], KINDS["episode"].state())


def statuses(record: Record, works: Sequence[Work]) -> list[str]:
    return [record.apply(work, SOURCE).status.value for work in works]


@pytest.mark.parametrize("number", [3, 4, 50, POISONED, 2**62])
def test_a_number_that_its_topic_cannot_hold_blocks_and_moves_nothing(number: int) -> None:
    """A forged number was applied, and every later event of the stream was a duplicate for good."""
    record = new_record()
    record.apply(item(1, at_most=1), SOURCE)
    outcome = record.apply(item(number, item_id="forged", at_most=2), SOURCE)
    assert (outcome.status, outcome.reason) == (OutcomeStatus.BLOCKED, "sequence-impossible")
    assert record.inbox[STREAM] == after([1])
    assert record.apply(item(2, at_most=4), SOURCE).reason == "stream-blocked"


@pytest.mark.parametrize("number", [2, 3, 50, POISONED])
def test_a_blocked_number_can_be_discarded_and_the_own_events_follow(number: int) -> None:
    """Discarding it moved the inbox to the forged number."""
    record = new_record()
    record.apply(item(1), SOURCE)
    forged = replace(item(number, item_id="forged"), decide=poison)
    assert record.apply(forged, SOURCE).status is OutcomeStatus.BLOCKED
    discarding = replace(forged, redrive_options=RedriveOptions(discard=True))
    assert record.apply(discarding, SOURCE).status is OutcomeStatus.DISCARDED
    record.unblock(STREAM)
    assert record.inbox[STREAM][0] == 1
    assert statuses(record, [forged, discarding]) == ["duplicate", "duplicate"]
    assert statuses(record, [item(n) for n in range(2, 6)]) == ["applied"] * 4
    assert statuses(record, [forged]) == ["duplicate"]


def test_numbers_that_a_forged_one_overtook_are_set_aside_and_the_stream_goes_on() -> None:
    record = new_record()
    works = [item(1), item(2), item(9, item_id="forged")]
    assert statuses(record, works) == ["applied"] * 3
    own = [item(n) for n in (3, 4, 8)]
    outcomes = [record.apply(work, SOURCE) for work in own]
    assert {(o.status, o.reason) for o in outcomes} == {(OutcomeStatus.MISSED, "sequence-missed")}
    assert not record.blocked
    assert record.apply(item(9), SOURCE).reason == "sequence-conflict"


def test_skipped_types_leave_no_trace() -> None:
    """A service subscribes to some types only: what it skips has numbers that it never sees."""
    record = new_record()
    wanted = [item(n) for n in range(1, 200, 7)]
    assert set(statuses(record, wanted)) == {"applied"}
    assert set(statuses(record, wanted)) == {"duplicate"}


def test_an_inbox_stays_small() -> None:
    record = new_record()
    statuses(record, [item(n) for n in range(1, 500)])
    assert len(record.inbox[STREAM][1]) == 16 * WINDOW
