"""Clinical reviews: what asks for one, by when it is done, and what happens when it is not."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from services.plans.episode_state import Review
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import (
    BreathOutcome,
    NotProvidedKind,
    PauseEnd,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import ClearedReason
from shared.contracts.event import Event
from shared.contracts.followup import OutreachCause
from shared.contracts.plans import ReviewOutcome, ReviewTrigger
from shared.errors import Refused, Unknown
from shared.runtime.core.work import OutcomeStatus
from tests.unit.plans.world import D5, DAY, Plans, failed, in_treatment, short, week, with_plan
from tests.unit.support import START, fact, uid


def outreach(cause: OutreachCause, tier: int) -> followup.OutreachEscalated:
    return fact(followup.OutreachEscalated, cause=cause, tier=tier)


TRIGGERS: list[tuple[Event, ReviewTrigger | None]] = [
    (fact(attendance.ScreenFailed), ReviewTrigger.SCREEN),
    (fact(attendance.AbsenceThresholdReached), ReviewTrigger.ABSENCE),
    (fact(attendance.ParticipationPaused), ReviewTrigger.ABSENCE),
    (fact(attendance.ParticipationResumed), None),
    (fact(attendance.ParticipationResumed, reason=PauseEnd.CORRECTED), None),
    (fact(attendance.WeeklyHoursShortfallDetected, projected=False), ReviewTrigger.HOURS),
    (fact(attendance.WeeklyHoursShortfallDetected, projected=True), None),
    (fact(attendance.ScreenNotProvided, kind=NotProvidedKind.REFUSED), ReviewTrigger.REFUSAL),
    *[
        (fact(attendance.ScreenNotProvided, kind=kind), None)
        for kind in NotProvidedKind
        if kind is not NotProvidedKind.REFUSED
    ],
    (outreach(OutreachCause.SESSION_MISSED, 1), None),
    (outreach(OutreachCause.SESSION_MISSED, 2), ReviewTrigger.ABSENCE),
    (outreach(OutreachCause.SESSION_MISSED, 3), ReviewTrigger.ABSENCE),
    (outreach(OutreachCause.CHECK_IN_MISSED, 3), None),
    (fact(followup.ReturnToUseReported), ReviewTrigger.RETURN_TO_USE),
    *[
        (fact(attendance.ScreenResulted, validity=validity), trigger)
        for validity, trigger in (
            (SpecimenValidity.VALID, None),
            (SpecimenValidity.DILUTE, ReviewTrigger.VALIDITY),
            (SpecimenValidity.SUBSTITUTED, ReviewTrigger.VALIDITY),
            (SpecimenValidity.ADULTERATED, ReviewTrigger.VALIDITY),
            (SpecimenValidity.INVALID, ReviewTrigger.VALIDITY),
            (SpecimenValidity.UNKNOWN, None),
        )
    ],
    *[
        (fact(attendance.BreathTestRecorded, outcome=outcome), trigger)
        for outcome, trigger in (
            (BreathOutcome.NEGATIVE, None),
            (BreathOutcome.RETEST, None),
            (BreathOutcome.POSITIVE, ReviewTrigger.SCREEN),
        )
    ],
    *[
        (fact(attendance.ScreenInterpreted, classification=found), None)
        for found in ScreenClass
        if found not in (ScreenClass.EXPECTED_ABSENT, ScreenClass.INVALID)
    ],
    (
        fact(attendance.ScreenInterpreted, classification=ScreenClass.INVALID),
        ReviewTrigger.VALIDITY,
    ),
]


@pytest.mark.fact("1.8")
@pytest.mark.scenario(2)
class TestRequest:
    @pytest.mark.parametrize(("event", "trigger"), TRIGGERS)
    def test_what_asks_for_one(self, event: Event, trigger: ReviewTrigger | None) -> None:
        history = with_plan()
        outcome = history.hear(event)
        assert outcome.status is OutcomeStatus.APPLIED
        requested = history.of(plans.ClinicalReviewRequested)
        assert [one.trigger for one in requested] == ([] if trigger is None else [trigger])
        for one in requested:
            assert one.due_at == START + DAY
            assert history.state.reviews[one.review_id].open

    @pytest.mark.parametrize(("event", "_trigger"), TRIGGERS)
    def test_none_after_the_episode_ended(
        self, event: Event, _trigger: ReviewTrigger | None
    ) -> None:
        history = with_plan()
        history.discharge()
        history.hear(event)
        assert history.of(plans.ClinicalReviewRequested) == []

    def test_a_specimen_that_cannot_be_judged_is_looked_at_once(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenResulted, validity=SpecimenValidity.DILUTE))
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.complete(requested.review_id)
        history.hear(fact(attendance.ScreenInterpreted, classification=ScreenClass.INVALID))
        assert history.of(plans.ClinicalReviewRequested) == [requested]

    def test_a_pause_is_known_until_it_ends_and_with_a_positive_asks_for_a_new_level(self) -> None:
        history = with_plan()
        history.hear(failed())
        paused = fact(attendance.ParticipationPaused)
        history.hear(paused)
        assert history.state.paused_until == paused.resumes_at
        assert all(item.reassess for item in history.state.reviews.values())
        history.hear(fact(attendance.ParticipationResumed))
        assert history.state.paused_until is None
        assert len([item for item in history.state.reviews.values() if item.open]) == 2

    def test_one_open_per_reason(self) -> None:
        history = with_plan()
        history.hear_all([failed("one"), failed("two")])
        history.hear_all([fact(attendance.AbsenceThresholdReached)])
        history.hear(outreach(OutreachCause.SESSION_MISSED, 2))
        triggers = [one.trigger for one in history.of(plans.ClinicalReviewRequested)]
        assert triggers == [ReviewTrigger.SCREEN, ReviewTrigger.ABSENCE]
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id, drivers=())
        history.hear(failed("three"))
        assert len(history.of(plans.ClinicalReviewRequested)) == 3

    def test_is_asked_for_before_the_admission_is_heard(self) -> None:
        history = Plans()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        assert requested.due_at == START + DAY


class TestDeadline:
    @pytest.mark.parametrize(
        ("hours", "overdue"), [(23, []), (24, [0]), (48, [0, 24]), (200, [0, 24])]
    )
    def test_said_a_day_apart_until_the_director_has_it(
        self, hours: int, overdue: list[int]
    ) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        found = history.after(hours=hours).of(plans.ClinicalReviewOverdue)
        assert [event.hours_overdue for event in found] == overdue

    def test_completing_it_ends_it(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.after(hours=30).complete(requested.review_id)
        [completed] = history.of(plans.ClinicalReviewCompleted)
        assert completed.review_id == requested.review_id
        assert completed.outcome is ReviewOutcome.INTENSIFY
        assert len(history.after(days=9).of(plans.ClinicalReviewOverdue)) == 1

    def test_discharge_ends_it(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        history.discharge()
        assert history.after(days=9).of(plans.ClinicalReviewOverdue) == []
        assert not any(item.open for item in history.state.reviews.values())


class TestIllegal:
    def test_not_twice(self) -> None:
        history = in_treatment()
        history.hear(fact(attendance.ScreenFailed))
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.complete(requested.review_id)
        with pytest.raises(Refused) as refused:
            history.complete(requested.review_id)
        assert refused.value.code == "review-closed"

    def test_unknown(self) -> None:
        with pytest.raises(Unknown):
            in_treatment().complete(uid("none"))

    def test_nobody_graduates_while_one_is_open(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenFailed))
        with pytest.raises(Refused) as refused:
            history.graduate()
        assert refused.value.code == "review-open"
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id)
        history.after(hours=float(timedelta(days=1) / timedelta(hours=1))).ready().graduate()
        assert history.names[-1] == "episode-discharged"


WEEKS = [date(2026, 3, 2), date(2026, 3, 9)]


def open_reviews(history: Plans) -> list[Review]:
    return [item for item in history.state.reviews.values() if item.open]


class TestReassess:
    @pytest.mark.parametrize(("days", "flagged"), [(0, True), (14, True), (14.5, False)])
    def test_two_unexpected_positives_within_fourteen_days(
        self, days: float, flagged: bool
    ) -> None:
        history = with_plan()
        history.hear(failed("one"))
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id)
        history.after(days=days).hear(failed("two", history.now))
        assert [item.reassess for item in open_reviews(history)] == [flagged]

    def test_the_same_screen_twice_is_one_positive(self) -> None:
        history = with_plan()
        history.hear_all([failed(), failed()])
        assert [item.reassess for item in open_reviews(history)] == [False]

    @pytest.mark.parametrize("positive_first", [True, False])
    def test_a_positive_and_absences_in_either_order(self, positive_first: bool) -> None:
        events: list[Event] = [failed(), fact(attendance.AbsenceThresholdReached)]
        history = with_plan().hear_all(events if positive_first else events[::-1])
        assert [item.reassess for item in open_reviews(history)] == [True, True]

    def test_absences_alone_do_not(self) -> None:
        history = with_plan()
        history.hear_all([fact(attendance.AbsenceThresholdReached)] * 3)
        assert [item.reassess for item in open_reviews(history)] == [False]

    @pytest.mark.parametrize("overdose", [True, False])
    def test_any_overdose(self, overdose: bool) -> None:
        history = with_plan()
        history.hear(fact(followup.ReturnToUseReported, overdose=overdose))
        assert [item.reassess for item in open_reviews(history)] == [overdose]

    def test_whoever_completes_it_names_the_drivers(self) -> None:
        history = with_plan()
        history.hear(fact(followup.ReturnToUseReported, overdose=True))
        [requested] = history.of(plans.ClinicalReviewRequested)
        with pytest.raises(Refused) as refused:
            history.complete(requested.review_id)
        assert refused.value.code == "reassessment-missing"
        history.complete(requested.review_id, drivers=(D5,))
        assert history.state.drivers == (D5,)


@pytest.mark.scenario(3)
class TestAdherence:
    def test_what_is_missing_is_talked_about_in_private(self) -> None:
        history = with_plan()
        said = len(history.said)
        absent = fact(attendance.ScreenInterpreted, classification=ScreenClass.EXPECTED_ABSENT)
        history.hear(absent)
        [(review_id, item)] = history.state.reviews.items()
        assert (item.trigger, item.private) == (ReviewTrigger.ADHERENCE, True)
        history.complete(review_id)
        assert len(history.said) == said, "nothing is published"

    def test_late_it_goes_to_the_next_owner_without_saying_what_it_is(self) -> None:
        history = with_plan()
        history.hear(fact(attendance.ScreenInterpreted, classification=ScreenClass.EXPECTED_ABSENT))
        history.after(days=2)
        assert history.of(plans.ClinicalReviewOverdue) == []
        assert history.of(plans.LoopEscalated)


@pytest.mark.scenario(17)
class TestSameThingTwice:
    @pytest.mark.parametrize(
        "event",
        [
            failed(),
            fact(attendance.ScreenResulted, validity=SpecimenValidity.DILUTE),
            fact(attendance.ScreenNotProvided, kind=NotProvidedKind.REFUSED),
            fact(attendance.BreathTestRecorded, outcome=BreathOutcome.POSITIVE),
        ],
    )
    def test_a_screen_is_looked_at_once(self, event: Event) -> None:
        history = with_plan()
        history.hear(event)
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id)
        history.hear(event)
        assert len(history.of(plans.ClinicalReviewRequested)) == 1

    def test_a_retest_is_the_same_matter(self) -> None:
        history = with_plan()
        first = {
            "outcome": BreathOutcome.POSITIVE,
            "screen_id": uid("a"),
            "retest_of_screen_id": None,
        }
        history.hear(fact(attendance.BreathTestRecorded, **first))
        again = {
            "outcome": BreathOutcome.POSITIVE,
            "screen_id": uid("b"),
            "retest_of_screen_id": uid("a"),
        }
        history.hear(fact(attendance.BreathTestRecorded, **again))
        assert list(history.state.positives) == [uid("a")]


@pytest.mark.fact("0.2")
@pytest.mark.scenario(8)
class TestHours:
    def test_a_correction_that_mends_the_week_supersedes_the_review(self) -> None:
        history = with_plan()
        history.hear_all([week(WEEKS[0], met=False), short(WEEKS[0])])
        [requested] = history.of(plans.ClinicalReviewRequested)
        history.after(hours=30).hear(week(WEEKS[0], met=True))
        [completed] = history.of(plans.ClinicalReviewCompleted)
        assert (completed.review_id, completed.outcome) == (requested.review_id, ReviewOutcome.NONE)
        [cleared] = history.of(plans.EscalationCleared)
        assert cleared.reason is ClearedReason.SUPERSEDED
        assert history.open == []

    def test_one_of_two_weeks_is_not_enough(self) -> None:
        history = with_plan()
        history.hear_all([short(WEEKS[0]), short(WEEKS[1]), week(WEEKS[0], met=True)])
        assert [item.weeks for item in open_reviews(history)] == [(WEEKS[1],)]
        history.hear(week(WEEKS[1], met=True))
        assert open_reviews(history) == []

    def test_another_review_is_not_touched(self) -> None:
        history = with_plan()
        history.hear_all([failed(), short(WEEKS[0]), week(WEEKS[0], met=True)])
        assert [item.trigger for item in open_reviews(history)] == [ReviewTrigger.SCREEN]

    def test_what_the_program_did_not_offer_is_the_programs_matter(self) -> None:
        history = with_plan()
        history.hear(week(WEEKS[0], met=False, offered=360))
        assert (history.open, history.of(plans.ClinicalReviewRequested)) == (["program_hours"], [])

    @pytest.mark.parametrize("weeks", [1, 10])
    def test_never_a_discharge(self, weeks: int) -> None:
        history = with_plan()
        for n in range(weeks):
            monday = WEEKS[0] + timedelta(weeks=n)
            history.hear_all([week(monday, met=False), short(monday)])
        assert history.after(days=60).of(plans.EpisodeDischarged) == []


@pytest.mark.scenario(15)
class TestDanger:
    def test_it_stops_what_is_scheduled_and_is_looked_at_within_hours(self) -> None:
        history = with_plan()
        history.change_level(effective_at=START + DAY)
        history.hear(fact(intake.ImminentDangerIdentified))
        [requested] = history.of(plans.ClinicalReviewRequested)
        assert requested.due_at == START + timedelta(hours=4)
        history.after(days=3)
        assert history.of(plans.LevelOfCareChanged) == []

    def test_before_the_admission_it_is_intakes(self) -> None:
        history = Plans()
        history.hear(fact(intake.ImminentDangerIdentified))
        assert history.of(plans.ClinicalReviewRequested) == []

    @pytest.mark.parametrize("danger_first", [True, False])
    def test_with_a_risk_from_a_check_in_the_earlier_deadline_holds(
        self, danger_first: bool
    ) -> None:
        events: list[Event] = [
            fact(intake.ImminentDangerIdentified),
            fact(followup.CheckInCompleted, risk_flags=(followup.RiskFlag.SUICIDE_RISK,)),
        ]
        history = with_plan().hear_all(events if danger_first else events[::-1])
        [item] = open_reviews(history)
        assert (item.due_at, item.reassess) == (START + timedelta(hours=4), True)
