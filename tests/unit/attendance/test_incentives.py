"""Incentives: the target behavior alone, steps up, back to the base, restored, and one cap per person and year."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.attendance.app import SERVICE
from services.attendance.episode import reward_ladder
from services.attendance.episode.values import Earned, TakenOut, WentBack
from services.attendance.screening import breath_tests, incentives, screen_mistakes
from services.attendance.screening.incentives import TargetBehavior
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import LedgerCorrection, NotProvidedKind
from shared.contracts.codes import MistakeReason
from shared.contracts.terms import IncentiveTerms, ProgramTerms
from shared.decision import HandoffBody
from shared.errors import CareError
from tests.unit.attendance.screened import (
    ABSENT,
    EXPECTED,
    MONDAY,
    NEGATIVE,
    PRESUMPTIVE,
    UNEXPECTED,
    Screened,
    prescribed,
)
from tests.unit.attendance.world import NO_SHOW, local
from tests.unit.support import EPISODE_ID, History, fact, uid

TERMS = IncentiveTerms()
BOTH = ProgramTerms(incentives=IncentiveTerms(behaviors=("screen", "attendance")))
SCREEN, ATTENDANCE = TargetBehavior.SCREEN, TargetBehavior.ATTENDANCE
PERSON_ID = uid("person")


class Rewarded(Screened):
    """An episode whose person is rewarded."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(person_id=PERSON_ID, **changes)
        self.collect()
        self.result()
        self.interpret()

    def earn(self, of: str | None = None, behavior: TargetBehavior = SCREEN) -> int:
        outcome = self.command(lambda s, c: incentives.earn(s, behavior, of or self.screen_id, c))
        assert outcome.answer["person_id"] == PERSON_ID
        return outcome.answer["cents_before_cap"]

    @property
    def told(self) -> list[HandoffBody]:
        """What the ledger of the person was told."""
        assert {h.subject for h in self.handing if h.subject.startswith("person/")} <= {
            f"person/{PERSON_ID}"
        }
        return [h.body for h in self.handing if h.subject.startswith("person/")]


class Ledger(History):
    """A person's ledger."""

    def __init__(self, person_id: str = PERSON_ID) -> None:
        super().__init__(
            SERVICE.source,
            SERVICE.kinds["person"],
            SERVICE.reactions,
            SERVICE.handoffs,
            subject=f"person/{person_id}",
        )

    def earn(self, key: str, cents: int, cap: int = 75_000, year: int = 2026) -> None:
        body = Earned(key=key, episode_id=EPISODE_ID, cents=cents, cap_cents=cap, year=year)
        self.handed(body)

    @property
    def amounts(self) -> list[tuple[int, int]]:
        told = self.of(attendance.IncentiveEarned)
        return [(event.amount_cents, event.total_cents) for event in told]


# --- the ladder ------------------------------------------------------------------------------------------


def worths(row: str, terms: IncentiveTerms = TERMS) -> list[int | None]:
    """What each screen of a row (`+` as wanted, `-` not) was worth."""
    told = tuple((str(n), sign == "+") for n, sign in enumerate(row))
    return [reward_ladder.worth_of(name, told, terms) for name, _ in told]


@pytest.mark.parametrize(
    ("row", "cents"),
    [
        ("+", [250]),
        ("++++", [250, 375, 500, 625]),
        ("-", [None]),
        ("-+", [None, 250]),
        ("++-+", [250, 375, None, 250]),
        ("++++-+++++", [250, 375, 500, 625, None, 250, 375, 500, 750, 875]),
        ("++++-+-+++++", [250, 375, 500, 625, None, 250, None, 250, 375, 500, 750, 875]),
        ("-++++", [None, 250, 375, 500, 625]),
    ],
)
def test_up_with_each_back_to_the_base_and_restored(row: str, cents: list[int | None]) -> None:
    assert worths(row) == cents


@given(st.text("+-", max_size=60), st.builds(IncentiveTerms, most_cents=st.integers(250, 5000)))
def test_no_step_is_below_the_base_or_above_the_most(row: str, terms: IncentiveTerms) -> None:
    for sign, cents in zip(row, worths(row, terms), strict=True):
        assert (cents is None) == (sign == "-")
        assert cents is None or terms.base_cents <= cents <= terms.most_cents


# --- an episode ------------------------------------------------------------------------------------------


@pytest.mark.scenario(3)
@pytest.mark.parametrize(
    ("prescribes", "positives", "meaning", "worth"),
    [
        ([], [], NEGATIVE, 375),
        (["buprenorphine"], ["buprenorphine"], EXPECTED, 375),
        (["buprenorphine"], [], ABSENT, 375),
        ([], ["cocaine"], UNEXPECTED, None),
    ],
)
def test_what_is_prescribed_keeps_the_row(
    prescribes: list[str], positives: list[str], meaning: str, worth: int | None
) -> None:
    episode = Rewarded()
    assert episode.earn() == 250
    analytes = tuple(prescribed(code) for code in prescribes)
    episode.hear(fact(plans.ExpectedAnalytesUpdated, analytes=analytes))
    assert episode.screened(*positives) == meaning
    if worth is not None:
        assert episode.earn() == worth
        assert not [body for body in episode.told if isinstance(body, WentBack)]
        return
    with pytest.raises(CareError) as refused:
        episode.earn()
    assert refused.value.code == "behavior-not-shown"
    [back] = [body for body in episode.told if isinstance(body, WentBack)]
    assert (back.next_cents, back.year) == (250, 2026)


@pytest.mark.scenario(4)
@pytest.mark.parametrize(
    ("kind", "goes_back"),
    [("refused", True), ("unable", False), ("no_show", False), ("excused", False)],
)
def test_a_refusal_goes_back_and_no_other_missing_specimen_does(kind: str, goes_back: bool) -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    episode.order()
    episode.not_provided(NotProvidedKind(kind))
    assert any(isinstance(body, WentBack) for body in episode.told) is goes_back
    episode.screened()
    assert episode.earn() == (250 if goes_back else 375)


@pytest.mark.fact("1.8")
@pytest.mark.parametrize(("second", "goes_back"), [(0, False), (75, True)])
def test_a_confirmed_positive_breath_test_goes_back_like_an_unexpected_positive(
    second: int, goes_back: bool
) -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    blown = episode.command(lambda s, c: breath_tests.record(s, reading(80), c)).answer["screen_id"]
    assert not [body for body in episode.told if isinstance(body, WentBack)], "not yet confirmed"
    episode.at(episode.now + breath_tests.RETEST_AFTER)
    episode.command(lambda s, c: breath_tests.record(s, reading(second, of=blown), c))
    assert any(isinstance(body, WentBack) for body in episode.told) is goes_back
    episode.at(episode.now + timedelta(days=1))
    episode.screened()
    assert episode.earn() == (250 if goes_back else 375)


def reading(mg: int, *, of: str | None = None) -> breath_tests.Reading:
    return breath_tests.Reading(
        mg_per_210l=mg, device_id="fuel-cell-2", observed_minutes=15, retest_of=of
    )


def test_a_dilute_specimen_neither_earns_nor_resets() -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    episode.order()
    episode.collect()
    episode.result("cocaine", validity=attendance.SpecimenValidity.DILUTE)
    episode.interpret()
    with pytest.raises(CareError) as refused:
        episode.earn()
    assert refused.value.code == "behavior-not-shown"
    assert not [body for body in episode.told if isinstance(body, WentBack)]
    episode.screened()
    assert episode.earn() == 375


def _overturned(episode: Rewarded) -> None:
    episode.order()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    episode.interpret()
    episode.result()
    episode.interpret()


def _read_by_mistake(episode: Rewarded) -> None:
    episode.screened("cocaine")
    why = MistakeReason.NOT_INTENDED
    episode.command(lambda s, c: screen_mistakes.undo_interpretation(s, episode.screen_id, why, c))


def _refused_by_another(episode: Rewarded) -> None:
    episode.order()
    episode.not_provided(NotProvidedKind.REFUSED)
    why = MistakeReason.WRONG_PERSON
    episode.command(lambda s, c: screen_mistakes.undo_not_provided(s, episode.screen_id, why, c))


def _blown_by_another(episode: Rewarded) -> None:
    blown = episode.command(lambda s, c: breath_tests.record(s, reading(80), c)).answer["screen_id"]
    episode.at(episode.now + breath_tests.RETEST_AFTER)
    again = episode.command(lambda s, c: breath_tests.record(s, reading(75, of=blown), c))
    why, key = MistakeReason.WRONG_PERSON, again.answer["screen_id"]
    episode.command(lambda s, c: breath_tests.undo(s, key, why, c))


@pytest.mark.parametrize(
    "mistaken", [_overturned, _read_by_mistake, _refused_by_another, _blown_by_another]
)
def test_what_set_it_back_by_mistake_is_taken_back_in_the_ledger(
    mistaken: Callable[[Rewarded], None],
) -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    mistaken(episode)
    first, second = (body for body in episode.told if isinstance(body, WentBack))
    assert (first.undone, first.next_cents) == (False, 250)
    assert (second.undone, second.next_cents) == (True, 375 if mistaken is not _overturned else 500)
    assert first.screen_id == second.screen_id
    assert episode.state.resets == ()
    ledger = Ledger()
    ledger.earn("a/1", 250)
    ledger.handed(first)
    ledger.handed(second)
    [undone] = ledger.of(attendance.IncentiveResetUndone)
    assert (undone.screen_id, undone.total_cents) == (first.screen_id, 250)


def test_a_wanted_screen_that_is_taken_back_sets_nothing_back() -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    episode.screened()
    why = MistakeReason.NOT_INTENDED
    episode.command(lambda s, c: screen_mistakes.undo_interpretation(s, episode.screen_id, why, c))
    assert not [body for body in episode.told if isinstance(body, WentBack)]


def test_whoever_was_never_rewarded_has_nothing_to_reset() -> None:
    episode = Rewarded()
    episode.screened("cocaine")
    assert episode.told == []


@pytest.mark.scenario(17)
def test_a_definitive_result_that_clears_a_screen_gives_the_row_back() -> None:
    episode = Rewarded()
    episode.earn()
    episode.at(episode.now + timedelta(days=1))
    episode.order()
    episode.collect()
    episode.result("cocaine", stage=PRESUMPTIVE)
    episode.interpret()
    episode.result()
    assert episode.interpret() == NEGATIVE
    assert episode.earn() == 375


def test_attendance_is_rewarded_where_the_program_says_so_and_only_if_it_was() -> None:
    episode = Rewarded(terms=BOTH)
    there = episode.book(local("2026-03-03 18:00"))
    missed = episode.book(local("2026-03-04 18:00"))
    episode.at(local("2026-03-05 09:00"))
    episode.roll(there)
    episode.roll(missed, NO_SHOW)
    assert episode.earn(there.session_id, ATTENDANCE) == 100
    for of, code in [
        (missed.session_id, "behavior-not-shown"),
        (there.session_id, "already-rewarded"),
        (uid("another"), "unknown-session"),
    ]:
        with pytest.raises(CareError) as refused:
            episode.earn(of, ATTENDANCE)
        assert refused.value.code == code


@pytest.mark.parametrize(
    ("behavior", "of", "code"),
    [
        (ATTENDANCE, None, "not-the-target-behavior"),
        (SCREEN, uid("another"), "unknown-screen"),
        (SCREEN, None, "already-rewarded"),
    ],
)
def test_what_is_not_rewarded(behavior: TargetBehavior, of: str | None, code: str) -> None:
    episode = Rewarded()
    episode.earn()
    with pytest.raises(CareError) as refused:
        episode.earn(of, behavior)
    assert refused.value.code == code


def test_a_screen_that_was_not_interpreted_is_not_rewarded() -> None:
    episode = Rewarded()
    episode.order()
    with pytest.raises(CareError) as refused:
        episode.earn()
    assert refused.value.code == "behavior-not-shown"


@pytest.mark.parametrize(
    ("ends", "code"),
    [
        (fact(plans.EpisodeDischarged, discharged_at=MONDAY), "episode-closed"),
        (fact(intake.EpisodeEnteredInError), "entered-in-error"),
    ],
)
def test_nobody_is_rewarded_who_is_not_in_care(ends: Any, code: str) -> None:
    episode = Rewarded()
    episode.hear(ends)
    with pytest.raises(CareError) as refused:
        episode.earn()
    assert refused.value.code == code


# --- the ledger ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cap", "cents", "amounts"),
    [
        (75_000, [250, 375], [(250, 250), (375, 625)]),
        (7_500, [5_000, 2_500, 250], [(5_000, 5_000), (2_500, 7_500)]),
        (7_500, [7_499, 250, 1], [(7_499, 7_499), (1, 7_500)]),
        (7_500, [9_000], [(7_500, 7_500)]),
        (0, [250], []),
        (1_000, [0], []),
    ],
)
def test_never_above_the_cap(cap: int, cents: list[int], amounts: list[tuple[int, int]]) -> None:
    ledger = Ledger()
    for number, one in enumerate(cents):
        ledger.earn(f"a/{number}", one, cap)
    assert ledger.amounts == amounts


def test_each_year_has_its_own_cap() -> None:
    ledger = Ledger()
    ledger.earn("a/1", 900, 1_000)
    ledger.earn("a/2", 900, 1_000, year=2027)
    ledger.earn("a/3", 900, 1_000)
    assert ledger.amounts == [(900, 900), (900, 900), (100, 1_000)]


def test_the_same_reward_told_again_is_no_second_one() -> None:
    ledger = Ledger()
    ledger.earn("a/1", 250)
    ledger.earn("a/1", 250)
    assert ledger.amounts == [(250, 250)]


@given(
    st.lists(st.tuples(st.integers(1, 3_000), st.sampled_from(["a", "b"])), max_size=30),
    st.integers(0, 20_000),
)
def test_two_episodes_of_one_person_share_the_cap(
    told: Sequence[tuple[int, str]], cap: int
) -> None:
    ledger = Ledger()
    for number, (cents, episode) in enumerate(told):
        ledger.earn(f"{episode}/{number}", cents, cap)
    earned = min(cap, sum(cents for cents, _ in told))
    assert ledger.state.total_cents(2026) == earned
    assert sum(amount for amount, _ in ledger.amounts) == earned
    totals = [total for _, total in ledger.amounts]
    assert totals == sorted(totals)


@pytest.mark.parametrize("order", list(permutations([(250, "a"), (375, "b"), (500, "a")])))
def test_the_total_does_not_depend_on_which_episode_came_first(
    order: tuple[tuple[int, str], ...],
) -> None:
    ledger = Ledger()
    for cents, episode in order:
        ledger.earn(f"{episode}/{cents}", cents, 1_000)
    assert ledger.state.total_cents(2026) == 1_000


def test_a_reset_keeps_what_is_earned() -> None:
    ledger = Ledger()
    ledger.earn("a/1", 500)
    body = WentBack(
        episode_id=EPISODE_ID, screen_id=uid("screen"), next_cents=250, cap_cents=75_000, year=2026
    )
    ledger.handed(body)
    [event] = ledger.of(attendance.IncentiveReset)
    assert (event.next_cents, event.total_cents, event.cap_cents) == (250, 500, 75_000)
    assert event.year == 2026


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("earned"), st.sampled_from("abcdef"), st.integers(1, 900)),
            st.tuples(st.just("undone"), st.sampled_from("abcdef"), st.just(0)),
            st.tuples(st.just("reset"), st.just("a"), st.integers(1, 900)),
        ),
        max_size=20,
    )
)
def test_the_published_amounts_add_up_to_the_total_after_each_event(
    told: Sequence[tuple[str, str, int]],
) -> None:
    ledger = Ledger()
    for what, key, cents in told:
        if what == "earned":
            ledger.earn(key, cents, 1_000)
        elif what == "undone":
            ledger.handed(TakenOut(keys=(key,), why=LedgerCorrection.MERGED))
        else:
            ledger.handed(
                WentBack(
                    episode_id=EPISODE_ID,
                    screen_id=uid("screen"),
                    next_cents=cents,
                    cap_cents=1_000,
                    year=2026,
                )
            )
    entries: dict[str, int] = {}
    for event in ledger.said:
        if isinstance(event, attendance.IncentiveEarned):
            entries[event.entry_id] = event.amount_cents
        elif isinstance(event, attendance.IncentiveUndone):
            assert entries.pop(event.entry_id) == event.amount_cents
        assert isinstance(
            event,
            attendance.IncentiveEarned | attendance.IncentiveUndone | attendance.IncentiveReset,
        )
        assert (event.total_cents, event.year) == (sum(entries.values()), 2026)
    assert ledger.state.total_cents(2026) == sum(entries.values())


def test_what_was_another_person_s_moves_with_the_episode() -> None:
    episode = Rewarded()
    episode.earn()
    wrong, right = Ledger(), Ledger(uid("right"))
    ledgers = {wrong.record.subject: wrong, right.record.subject: right}

    def deliver() -> None:
        for handoff in episode.handing:
            if handoff.subject in ledgers:
                ledgers[handoff.subject].handed(handoff.body)

    episode.hear(
        fact(intake.EpisodePersonCorrected, previous_person_id=PERSON_ID, person_id=uid("right"))
    )
    deliver()
    assert (wrong.state.total_cents(2026), right.state.total_cents(2026)) == (0, 250)
    assert right.amounts == [(250, 250)]
    [undone] = wrong.of(attendance.IncentiveUndone)
    assert (undone.amount_cents, undone.total_cents, undone.year) == (250, 0, 2026)
    assert undone.cause is LedgerCorrection.PERSON_CORRECTED
    [entered] = right.of(attendance.IncentiveEarned)
    assert entered.entry_id == undone.entry_id


@pytest.mark.parametrize(
    ("ends", "why"),
    [
        (intake.EpisodeEnteredInError, LedgerCorrection.ENTERED_IN_ERROR),
        (intake.AdmissionUndone, LedgerCorrection.ADMISSION_UNDONE),
        (intake.ReferralMerged, LedgerCorrection.MERGED),
    ],
)
def test_an_episode_that_never_was_leaves_the_ledger(ends: Any, why: LedgerCorrection) -> None:
    episode = Rewarded()
    episode.earn()
    key = f"{EPISODE_ID}/screen:{episode.screen_id}"
    episode.hear(fact(ends))
    assert episode.told[-1] == TakenOut(keys=(key,), why=why)
