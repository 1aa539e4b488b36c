"""Positives, absences and the reviews they ask for follow from the facts that hold, whatever is said and taken back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import (
    BreathOutcome,
    NotProvidedKind,
    PauseEnd,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import ClearedReason, FollowupLoop
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind, OutreachCause
from shared.contracts.plans import CriterionResult, DischargeKind, ReviewTrigger
from shared.contracts.terms import ProgramTerms
from shared.errors import Refused
from tests.unit.plans.world import DAY, LOWER, Plans, failed, with_plan
from tests.unit.support import START, fact, uid

MOMENTS = [START + n * DAY for n in range(0, 40, 9)]


def interpreted(screen: str, found: ScreenClass, at: datetime = START) -> list[Event]:
    """What attendance says of an interpretation, in order."""
    said = {"screen_id": uid(screen), "collected_at": at}
    first = fact(attendance.ScreenInterpreted, classification=found, **said)
    if found is not ScreenClass.UNEXPECTED_POSITIVE:
        return [first]
    return [first, fact(attendance.ScreenFailed, **said)]


def breath(screen: str, outcome: BreathOutcome, at: datetime) -> Event:
    said = {"screen_id": uid(screen), "tested_at": at, "retest_of_screen_id": None}
    return fact(attendance.BreathTestRecorded, outcome=outcome, **said)


Move = tuple[str, Any]
"""What is said or taken back of a thing: its key, and what holds of it from then on; None: nothing."""

screens = st.tuples(
    st.sampled_from(["screen one", "screen two", "screen three"]),
    st.sampled_from([*(c for c in ScreenClass if c is not ScreenClass.UNKNOWN), None]),
)
tests = st.tuples(st.just("breath"), st.sampled_from([BreathOutcome.POSITIVE, None]))
refusals = st.tuples(st.just("refusal"), st.sampled_from([NotProvidedKind.REFUSED, None]))
thresholds = st.tuples(st.sampled_from(["away one", "away two"]), st.sampled_from([True, None]))
moves = st.lists(st.one_of(screens, tests, refusals, thresholds), max_size=14)


def moment(key: str) -> datetime:
    """When each thing was."""
    keys = ["screen one", "screen two", "screen three", "away one", "away two", "breath", "refusal"]
    return MOMENTS[keys.index(key) % len(MOMENTS)]


def told(key: str, what: Any) -> list[Event]:
    at = moment(key)
    if key.startswith("screen"):
        if what is None:
            return [fact(attendance.InterpretationUndone, screen_id=uid(key))]
        return interpreted(key, what, at)
    if key == "breath":
        undone = fact(attendance.BreathTestUndone, screen_id=uid(key), retest_of_screen_id=None)
        return [undone if what is None else breath(key, what, at)]
    if key == "refusal":
        kind = attendance.ScreenNotProvided if what else attendance.ScreenNotProvidedUndone
        return [fact(kind, screen_id=uid(key), kind=NotProvidedKind.REFUSED)]
    kind = attendance.AbsenceThresholdReached if what else attendance.AbsenceThresholdUndone
    return [fact(kind, reached_at=at)]


TRIGGERS: Mapping[Any, ReviewTrigger] = {
    ScreenClass.UNEXPECTED_POSITIVE: ReviewTrigger.SCREEN,
    ScreenClass.EXPECTED_ABSENT: ReviewTrigger.ADHERENCE,
    BreathOutcome.POSITIVE: ReviewTrigger.SCREEN,
    NotProvidedKind.REFUSED: ReviewTrigger.REFUSAL,
    True: ReviewTrigger.ABSENCE,
}


@given(moves)
@pytest.mark.fault("F18")
def test_any_order_and_any_overturning_ends_in_the_facts_that_hold(said: list[Move]) -> None:
    history = with_plan()
    holds: dict[str, Any] = {}
    for key, what in said:
        history.hear_all(told(key, what))
        holds[key] = what
    bad = (ScreenClass.UNEXPECTED_POSITIVE, BreathOutcome.POSITIVE)
    positive = {uid(key): moment(key) for key, what in holds.items() if what in bad}
    away = {moment(key) for key, what in holds.items() if what is True}
    assert history.state.positives == positive
    assert set(history.state.absences.values()) == away
    open_now = {r.trigger for r in history.state.reviews.values() if r.open}
    open_now.discard(ReviewTrigger.VALIDITY)
    assert open_now == {TRIGGERS[what] for what in holds.values() if what in TRIGGERS}
    looked = {loop.id for loop in history.state.loops.values() if loop.kind == "clinical_review"}
    assert looked == {key for key, r in history.state.reviews.items() if r.open}
    near = any(
        abs(one - other) <= timedelta(days=14)
        for key, one in positive.items()
        for other in [*(at for k, at in positive.items() if k != key), *away]
    )
    concerned = (ReviewTrigger.SCREEN, ReviewTrigger.ABSENCE)
    reviews = [r for r in history.state.reviews.values() if r.open and r.trigger in concerned]
    assert all(r.reassess is near for r in reviews)


def graduates(history: Plans) -> bool:
    met = CriterionResult(code="clean-days", met=True)
    results = history.state.terms.graduation_criteria
    assert results == ("clean-days",)
    try:
        history.graduate((met,))
    except Refused:
        return False
    return True


@pytest.mark.fact("1.8")
@pytest.mark.scenario(2)
class TestOverturned:
    @pytest.mark.fault("F18")
    def test_it_stands_in_nobodys_way(self) -> None:
        terms = ProgramTerms(graduation_criteria=("clean-days",), review_every_days=300)
        history = with_plan(terms=terms)
        history.hear_all(interpreted("one", ScreenClass.UNEXPECTED_POSITIVE))
        assert not graduates(history)
        history.hear_all(interpreted("one", ScreenClass.NEGATIVE))
        assert graduates(history)

    def test_a_step_down_is_not_refused_because_of_it(self) -> None:
        history = with_plan()
        history.hear_all(interpreted("one", ScreenClass.UNEXPECTED_POSITIVE))
        history.hear_all(interpreted("one", ScreenClass.NEGATIVE))
        with pytest.raises(Refused) as error:
            history.change_level(LOWER, although=None)
        assert error.value.code == "step-down-criteria-not-met"
        assert "clean-days" not in error.value.detail

    def test_a_true_one_later_counts_as_one(self) -> None:
        history = with_plan()
        history.hear_all(interpreted("one", ScreenClass.UNEXPECTED_POSITIVE))
        history.hear_all(interpreted("one", ScreenClass.NEGATIVE))
        history.after(days=2).hear_all(
            interpreted("two", ScreenClass.UNEXPECTED_POSITIVE, history.now)
        )
        assert list(history.state.positives) == [uid("two")]
        [item] = [r for r in history.state.reviews.values() if r.open]
        assert item.reassess is False

    def test_its_review_is_superseded_and_says_so(self) -> None:
        history = with_plan()
        history.hear_all(interpreted("one", ScreenClass.UNEXPECTED_POSITIVE))
        [asked] = history.of(plans.ClinicalReviewRequested)
        history.after(days=4)
        history.hear_all(interpreted("one", ScreenClass.NEGATIVE))
        [done] = history.of(plans.ClinicalReviewCompleted)
        assert (done.review_id, done.outcome) == (asked.review_id, "none")
        assert asked.review_id in {e.loop_id for e in history.of(plans.EscalationCleared)}

    def test_overturned_twice_it_is_asked_for_again(self) -> None:
        history = with_plan()
        for found in (ScreenClass.UNEXPECTED_POSITIVE, ScreenClass.NEGATIVE) * 2:
            history.hear_all(interpreted("one", found))
        history.hear_all(interpreted("one", ScreenClass.UNEXPECTED_POSITIVE))
        assert len(history.of(plans.ClinicalReviewRequested)) == 3
        assert len([r for r in history.state.reviews.values() if r.open]) == 1


def test_a_specimen_counts_from_when_it_was_taken() -> None:
    """A result that took a month is not a use of today."""
    terms = ProgramTerms(graduation_criteria=("clean-days",), review_every_days=300)
    history = with_plan(terms=terms)
    history.after(days=31)
    history.hear(failed("old", START))
    history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id)
    assert graduates(history)


Word = tuple[str, Any]
words: st.SearchStrategy[list[Word]] = st.lists(
    st.one_of(
        st.tuples(
            st.just("result"), st.sampled_from([SpecimenValidity.VALID, SpecimenValidity.DILUTE])
        ),
        st.tuples(
            st.just("read"),
            st.sampled_from([ScreenClass.INVALID, ScreenClass.EXPECTED_ABSENT, None]),
        ),
    ),
    max_size=8,
)


@given(words)
def test_a_specimen_is_looked_at_while_somebody_says_that_it_cannot_be_judged(
    said: list[Word],
) -> None:
    """The laboratory or a clinician, each by the latest word; a clinician who could judge it outweighs both."""
    history = with_plan()
    holds: dict[str, Any] = {"result": None, "read": None}
    for who, what in said:
        holds[who] = what
        if who == "result":
            history.hear(fact(attendance.ScreenResulted, screen_id=uid("one"), validity=what))
        elif what is None:
            history.hear(fact(attendance.InterpretationUndone, screen_id=uid("one")))
        else:
            history.hear_all(interpreted("one", what))
        wanted = ScreenClass.INVALID is holds["read"] or (
            holds["result"] is SpecimenValidity.DILUTE and holds["read"] is None
        )
        waits = {r.trigger for r in history.state.reviews.values() if r.open}
        if who == "read":
            assert (ReviewTrigger.VALIDITY in waits) is wanted


class TestAbsences:
    def test_a_pause_that_was_a_mistake_asks_for_nothing(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ParticipationPaused))
        history.hear(fact(attendance.ParticipationResumed, reason=PauseEnd.CORRECTED))
        assert history.state.absences == {}
        assert not any(r.open for r in history.state.reviews.values())

    def test_who_is_not_paused_does_not_come_back_from_a_pause(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ParticipationPaused))
        history.hear(fact(attendance.ParticipationResumed, reason=PauseEnd.OVER))
        before = history.state
        history.hear(fact(attendance.ParticipationResumed, reason=PauseEnd.CORRECTED))
        assert history.state == before

    @pytest.mark.parametrize("reason", [PauseEnd.OVER, PauseEnd.LIFTED])
    def test_one_that_was_none_goes_on_being_reviewed(self, reason: PauseEnd) -> None:
        history = with_plan()
        history.hear(fact(attendance.ParticipationPaused))
        history.hear(fact(attendance.ParticipationResumed, reason=reason))
        assert [r.trigger for r in history.state.reviews.values() if r.open] == [
            ReviewTrigger.ABSENCE
        ]

    @pytest.mark.parametrize("reason", [ClearedReason.WITHDRAWN, ClearedReason.RESOLVED])
    def test_an_outreach_without_a_miss_behind_it_asks_for_nothing(
        self, reason: ClearedReason
    ) -> None:
        history = with_plan()
        why = OutreachCause.SESSION_MISSED
        history.hear(fact(followup.OutreachEscalated, cause=why, tier=2))
        history.hear(fact(followup.EscalationCleared, loop=FollowupLoop.OUTREACH, reason=reason))
        still = [r for r in history.state.reviews.values() if r.open]
        assert bool(still) is (reason is ClearedReason.RESOLVED)

    def test_another_reason_keeps_it_open(self) -> None:
        history = with_plan()
        why = OutreachCause.SESSION_MISSED
        history.hear(fact(attendance.AbsenceThresholdReached))
        history.hear(fact(followup.OutreachEscalated, cause=why, tier=2))
        history.hear(fact(attendance.AbsenceThresholdUndone))
        assert [r.because for r in history.state.reviews.values() if r.open] == [("outreach",)]


class TestCircumstances:
    """Who died, is in jail or has moved away while in treatment: a clinician decides how the episode ends."""

    @pytest.mark.parametrize("kind", [k for k in CircumstanceKind if k.name != "UNKNOWN"])
    def test_the_discharge_is_decided_on(self, kind: CircumstanceKind) -> None:
        history = with_plan()
        history.hear(fact(followup.CircumstanceRecorded, kind=kind))
        waits = [loop for loop in history.state.loops.values() if loop.kind == "discharge"]
        assert bool(waits) is (kind is not CircumstanceKind.HOSPITALIZED)

    @pytest.mark.parametrize("over", [followup.CircumstanceEnded, followup.CircumstanceUndone])
    def test_it_is_not_when_it_is_over(self, over: type[Event]) -> None:
        history, never = with_plan(), with_plan()
        history.hear_all([fact(followup.CircumstanceRecorded), fact(over)])
        assert history.state == never.state

    def test_whichever_of_it_and_the_admission_is_known_first(self) -> None:
        recorded, admitted = fact(followup.CircumstanceRecorded), fact(intake.PatientAdmitted)
        before, after = Plans(), Plans()
        before.hear_all([recorded, admitted])
        after.hear_all([admitted, recorded])
        assert {"discharge"} <= {loop.kind for loop in before.state.loops.values()}
        assert {*before.state.loops} == {*after.state.loops}

    @pytest.mark.parametrize("at", range(4))
    def test_it_outlasts_an_admission_that_is_undone(self, at: int) -> None:
        """It is the person's, and not the admission's."""
        course: list[Event] = [
            fact(intake.PatientAdmitted),
            fact(intake.AdmissionUndone),
            fact(intake.PatientAdmitted),
        ]
        course.insert(at, fact(followup.CircumstanceRecorded))
        history = Plans().hear_all(course)
        assert "discharge" in {loop.kind for loop in history.state.loops.values()}
        history.hear(fact(intake.AdmissionUndone))
        history.hear(fact(followup.CircumstanceUndone))
        history.hear(fact(intake.PatientAdmitted))
        assert "discharge" not in {loop.kind for loop in history.state.loops.values()}

    def test_a_discharge_ends_it(self) -> None:
        history = with_plan()
        history.hear(fact(followup.CircumstanceRecorded))
        history.discharge(DischargeKind.DECEASED)
        assert history.state.loops == {}

    def test_after_the_end_nothing_has_to_be_decided(self) -> None:
        history = with_plan()
        history.discharge(DischargeKind.AGAINST_ADVICE)
        history.hear(fact(followup.CircumstanceRecorded))
        assert history.state.loops == {}


@pytest.mark.parametrize("overdose", [True, False])
def test_a_return_to_use_that_was_a_mistake_asks_for_nothing(overdose: bool) -> None:
    history = with_plan()
    report = fact(followup.ReturnToUseReported, report_id=uid("one"), overdose=overdose)
    other = fact(followup.ReturnToUseReported, report_id=uid("two"), overdose=False)
    history.hear_all([report, other])
    history.hear(fact(followup.ReturnToUseUndone, report_id=uid("one")))
    [item] = [r for r in history.state.reviews.values() if r.open]
    assert (item.because, item.reassess) == ((f"report:{uid('two')}",), False)
    history.hear(fact(followup.ReturnToUseUndone, report_id=uid("two")))
    assert not any(r.open for r in history.state.reviews.values())


def test_a_risk_of_a_check_in_that_was_a_mistake_is_not_looked_at() -> None:
    history = with_plan()
    history.discharge()
    history.hear(fact(followup.CheckInCompleted, risk_flags=(followup.RiskFlag.SUICIDE_RISK,)))
    assert any(r.open for r in history.state.reviews.values())
    history.hear(fact(followup.CheckInUndone))
    assert history.state.loops == {}
