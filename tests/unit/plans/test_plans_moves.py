"""Moving on: what a review decides, changes of level, hand-overs, and who has the person meanwhile."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from services.plans import tables
from services.plans.level_changes import StepDownReason
from shared.contracts import attendance, intake, plans
from shared.contracts.codes import ClearedReason, LevelOfCare, PlansLoop
from shared.contracts.intake import ReferralOutcome
from shared.contracts.plans import (
    Direction,
    DischargeKind,
    ReviewBasis,
    ReviewDecision,
    ReviewOutcome,
)
from shared.errors import Invalid, Refused, Unknown
from tests.unit.plans.world import (
    BASIS,
    D4,
    D5,
    DAY,
    HIGHER,
    LOWER,
    OTHER,
    PARTNER,
    RESIDENTIAL,
    SAME,
    accepted,
    attended,
    failed,
    in_treatment,
    referred,
    week,
    with_plan,
)
from tests.unit.support import EPISODE_ID, START, fact, uid

ALLOWED = {
    ("progressing", "continue"),
    ("capable", "continue"),
    ("new_problem", "continue"),
    ("new_problem", "up"),
    ("new_problem", "transfer"),
    ("met", "down"),
    ("met", "transfer"),
    ("met", "discharge"),
    ("not_progressing", "continue"),
    ("not_progressing", "up"),
    ("not_progressing", "transfer"),
    ("not_progressing", "discharge"),
}
BASES = [basis for basis in ReviewBasis if basis is not ReviewBasis.UNKNOWN]
DECISIONS = list(BASIS)


def asam(code: str, edition: Any = "4") -> LevelOfCare:
    return LevelOfCare(system="asam", edition=edition, code=code)


def code_of(error: pytest.ExceptionInfo[Refused]) -> str:
    return error.value.code


class TestContinuedService:
    @pytest.mark.parametrize("decision", DECISIONS)
    @pytest.mark.parametrize("basis", BASES)
    def test_the_table(self, basis: ReviewBasis, decision: ReviewDecision) -> None:
        history = with_plan()
        if (basis.value, decision.value) in ALLOWED:
            history.review(decision, basis=basis)
            assert history.of(plans.TreatmentPlanReviewed)[0].basis is basis
            return
        with pytest.raises(Invalid) as error:
            history.review(decision, basis=basis)
        assert code_of(error) == "decision-not-allowed"

    @pytest.mark.parametrize(
        ("basis", "decision", "opens"),
        [
            (ReviewBasis.PROGRESSING, ReviewDecision.CONTINUE, []),
            (ReviewBasis.CAPABLE, ReviewDecision.CONTINUE, ["continued_service"]),
            (ReviewBasis.NEW_PROBLEM, ReviewDecision.CONTINUE, ["continued_service"]),
            (ReviewBasis.NOT_PROGRESSING, ReviewDecision.CONTINUE, ["continued_service"]),
            (ReviewBasis.NOT_PROGRESSING, ReviewDecision.UP, ["level_change"]),
            (ReviewBasis.MET, ReviewDecision.DOWN, ["level_change"]),
            (ReviewBasis.MET, ReviewDecision.TRANSFER, ["aftercare_plan", "transfer"]),
            (ReviewBasis.MET, ReviewDecision.DISCHARGE, ["aftercare_plan", "discharge"]),
        ],
    )
    def test_what_is_decided_is_somebodys_to_do(
        self, basis: ReviewBasis, decision: ReviewDecision, opens: list[str]
    ) -> None:
        history = with_plan()
        history.review(decision, basis=basis)
        assert history.open == opens
        history.review()
        assert history.open == [kind for kind in opens if kind == "aftercare_plan"], "decided anew"

    def test_what_was_escalated_is_superseded_by_another_decision(self) -> None:
        history = with_plan()
        history.review(ReviewDecision.DISCHARGE)
        history.after(days=8).review()
        cleared = {event.loop: event.reason for event in history.of(plans.EscalationCleared)}
        assert cleared[PlansLoop.DISCHARGE] is ClearedReason.SUPERSEDED

    def test_drivers_are_reassessed(self) -> None:
        history = with_plan()
        history.review(ReviewDecision.UP, drivers=(D4, D5))
        history.change_level(HIGHER)
        assert history.of(plans.LevelOfCareChangeRecommended)[0].drivers == (D4, D5)

    @pytest.mark.parametrize("outcome", [o for o in ReviewOutcome if o.name != "UNKNOWN"])
    def test_so_is_what_a_clinical_review_leads_to(self, outcome: ReviewOutcome) -> None:
        history = with_plan()
        history.hear(failed())
        history.complete(history.of(plans.ClinicalReviewRequested)[0].review_id, outcome)
        follows = {
            ReviewOutcome.UP: ["level_change"],
            ReviewOutcome.DOWN: ["level_change"],
            ReviewOutcome.AMEND: ["continued_service"],
        }
        assert history.open == follows.get(outcome, [])


class TestDirection:
    @pytest.mark.fact("0.8", "1.1")
    @pytest.mark.parametrize(
        ("before", "after", "direction"),
        [
            (asam("2.1"), asam("1.5"), Direction.DOWN),
            (asam("2.5"), asam("2.1"), Direction.DOWN),
            (asam("2.1"), asam("2.5"), Direction.UP),
            (asam("2.1"), asam("3.5"), Direction.UP),
            (asam("2.1", "3"), asam("2.1"), Direction.LATERAL),
            (asam("1.5"), asam("1.7"), Direction.LATERAL),
            (asam("1.5"), asam("1.0"), Direction.DOWN),
            (asam("2.5"), asam("2.7"), Direction.LATERAL),
            (asam("1", "3"), asam("1-WM", "3"), Direction.LATERAL),
            (asam("3.7", "3"), asam("4-WM", "3"), Direction.UP),
        ],
    )
    def test_where_a_change_leads(
        self, before: LevelOfCare, after: LevelOfCare, direction: Direction
    ) -> None:
        assert tables.direction(before, after) is direction

    def test_every_level_of_both_editions_has_a_setting(self) -> None:
        from shared.contracts.codes import LEVEL_CODES  # noqa: PLC0415 - only this test asks

        assert set().union(*LEVEL_CODES.values()) == set(tables.SETTINGS)

    def test_a_wrong_direction_is_refused(self) -> None:
        with pytest.raises(Invalid) as error:
            with_plan().change_level(HIGHER, direction=Direction.DOWN)
        assert code_of(error) == "direction-wrong"

    def test_lateral(self) -> None:
        history = with_plan()
        history.change_level(asam("2.1", "3"))
        [changed] = history.of(plans.LevelOfCareChanged)
        assert changed.to_level == asam("2.1", "3")
        assert history.open == []


@pytest.mark.scenario(6)
class TestLevelChange:
    def test_takes_effect_at_its_moment(self) -> None:
        history = with_plan()
        history.review(ReviewDecision.DOWN)
        at = START + 3 * DAY
        history.change_level(effective_at=at)
        [recommended] = history.of(plans.LevelOfCareChangeRecommended)
        assert recommended.effective_at == at, "the program goes on: nobody looks for another place"
        history.at(at - timedelta(seconds=1))
        assert history.of(plans.LevelOfCareChanged) == []
        assert (history.state.admission.level, history.open) == (SAME, ["level_change"])
        history.at(at)
        [changed] = history.of(plans.LevelOfCareChanged)
        assert (changed.to_level, changed.effective_at) == (LOWER, at)
        assert history.state.admission.level == LOWER
        assert history.open == ["next_appointment"]

    @pytest.mark.parametrize(
        ("days", "loop_closes"), [(-1, False), (0, True), (3, True), (6.9, True)]
    )
    def test_a_step_down_is_followed_until_the_first_session(
        self, days: float, loop_closes: bool
    ) -> None:
        history = with_plan()
        history.change_level()
        history.hear(attended(starts_at=START + timedelta(days=days)))
        assert (history.open == []) is loop_closes
        history.after(days=8)
        assert bool(history.of(plans.LoopEscalated)) is not loop_closes

    def test_a_session_heard_of_first_counts_too(self) -> None:
        history = with_plan()
        at = START + DAY
        history.change_level(effective_at=at)
        history.hear(attended(starts_at=at))
        assert history.at(at).open == []

    def test_a_step_up_leaves_no_gap_to_watch(self) -> None:
        history = with_plan()
        history.change_level(HIGHER)
        assert history.open == []

    def test_a_later_decision_replaces_an_earlier_one(self) -> None:
        history = with_plan()
        history.change_level(effective_at=START + 5 * DAY)
        history.change_level(HIGHER, effective_at=START + 2 * DAY)
        history.after(days=10)
        assert [event.to_level for event in history.of(plans.LevelOfCareChanged)] == [HIGHER]

    @pytest.mark.parametrize("days", [-1, 91])
    def test_not_in_the_past_and_not_far_ahead(self, days: int) -> None:
        with pytest.raises(Invalid) as error:
            with_plan().change_level(effective_at=START + days * DAY)
        assert code_of(error) == "effective-at-out-of-range"

    @pytest.mark.parametrize("missing", [*tables.STEP_DOWN, None])
    def test_what_is_looked_at_before_a_step_down(self, missing: str | None) -> None:
        history = with_plan()
        if missing != "hours-met":
            history.hear(week(date(2026, 3, 2), met=True))
        if missing != "goals-met":
            history.measure()
        if missing == "clean-days":
            history.hear(failed())
        said = {
            "although": None,
            "supports_verified": missing != "supports-verified",
            "appointment_at": None if missing == "appointment-booked" else START + 7 * DAY,
        }
        if missing is None:
            history.change_level(**said)
            return
        with pytest.raises(Refused) as error:
            history.change_level(**said)
        assert code_of(error) == "step-down-criteria-not-met"
        assert missing in error.value.detail
        history.change_level(**{**said, "although": StepDownReason.PATIENT_CHOICE})

    @pytest.mark.parametrize(("days", "booked"), [(-1, False), (0, True), (7, True), (8, False)])
    def test_the_next_appointment_is_within_seven_days(self, days: int, booked: bool) -> None:
        history = with_plan()
        history.hear(week(date(2026, 3, 2), met=True))
        history.measure()
        said = {
            "although": None,
            "supports_verified": True,
            "appointment_at": START + days * DAY,
        }
        if booked:
            history.change_level(**said)
        else:
            with pytest.raises(Refused, match="appointment-booked"):
                history.change_level(**said)

    def test_a_new_recommendation_from_intake_is_followed(self) -> None:
        history = with_plan()
        history.hear(fact(intake.LevelRecommended, level=SAME, drivers=(D4,)))
        assert history.open == []
        history.hear(fact(intake.LevelRecommended, level=HIGHER, drivers=(D4,)))
        assert history.open == ["level_change"]
        history.change_level(HIGHER)
        assert history.open == []


@pytest.mark.scenario(5)
class TestElsewhere:
    def test_a_residential_level_is_not_offered_here(self) -> None:
        history = with_plan()
        with pytest.raises(Refused) as error:
            history.change_level(RESIDENTIAL)
        assert code_of(error) == "level-needs-transfer"

    def test_two_positives_a_level_up_and_the_hand_over(self) -> None:
        history = with_plan()
        history.hear(failed("one"))
        history.after(days=3).hear(failed("two"))
        [review_id] = [key for key, item in history.state.reviews.items() if item.open]
        with pytest.raises(Invalid) as error:
            history.complete(review_id, ReviewOutcome.UP)
        assert code_of(error) == "reassessment-missing"
        history.complete(review_id, ReviewOutcome.UP, (D5,))
        assert history.open == ["level_change"]
        history.change_level(RESIDENTIAL, elsewhere=True)
        assert history.open == ["transfer"]
        assert history.of(plans.LevelOfCareChanged) == []
        accepted(referred(history)).transfer()
        history.hear(
            fact(
                intake.ReferralLoopClosed,
                referral_id=uid("outbound"),
                outcome=ReferralOutcome.ADMITTED,
            )
        )
        assert history.state.discharged is None, "responsible until first contact"
        history.after(hours=30).first_contact()
        assert history.names[-2:] == ["transfer-completed", "episode-discharged"]
        assert history.state.loops == {}


@pytest.mark.scenario(12)
class TestTransfer:
    def test_rejected_by_the_first_accepted_by_the_second(self) -> None:
        history = referred(with_plan(), uid("first"), OTHER)
        with pytest.raises(Refused) as error:
            history.transfer(referral_id=uid("first"), to_facility_id=OTHER)
        assert code_of(error) == "referral-not-accepted"
        history.hear(fact(intake.PartnerReferralRejected, referral_id=uid("first")))
        with pytest.raises(Refused) as error:
            history.transfer(referral_id=uid("first"), to_facility_id=OTHER)
        assert code_of(error) == "referral-not-accepted"
        accepted(referred(history))
        history.transfer()
        assert history.state.discharged is None
        [initiated] = history.of(plans.TransferInitiated)
        contact = history.after(hours=26).now
        history.first_contact()
        [completed] = history.of(plans.TransferCompleted)
        assert (completed.handoff_at, completed.first_contact_at) == (initiated.handoff_at, contact)
        [discharged] = history.of(plans.EpisodeDischarged)
        assert discharged.kind is DischargeKind.TRANSFERRED
        assert len(history.after(days=60).of(plans.LoopEscalated)) == 0

    @pytest.mark.parametrize(
        "falls_through",
        [
            fact(intake.PartnerReferralRejected, referral_id=uid("outbound")),
            *[
                fact(intake.ReferralLoopClosed, referral_id=uid("outbound"), outcome=outcome)
                for outcome in ReferralOutcome
                if outcome is not ReferralOutcome.ADMITTED
            ],
        ],
    )
    @pytest.mark.fault("F44")
    def test_when_it_falls_through_somebody_looks_for_another_place(
        self, falls_through: Any
    ) -> None:
        history = accepted(referred(with_plan()))
        history.transfer()
        for _ in range(2):
            history.hear(falls_through)
        [begun], [off] = (
            history.of(plans.TransferInitiated),
            history.of(plans.TransferFellThrough),
        )
        assert (off.to_facility_id, off.handoff_at) == (begun.to_facility_id, begun.handoff_at)
        assert history.state.transfer is None
        assert history.open == ["transfer"]
        with pytest.raises(Refused) as error:
            history.first_contact()
        assert code_of(error) == "no-transfer-open"
        assert history.after(days=4).of(plans.LoopEscalated)

    @pytest.mark.parametrize("days", [1, 2.5])
    def test_nobody_arrives(self, days: float) -> None:
        history = accepted(referred(with_plan()))
        history.transfer()
        history.after(days=days)
        assert bool(history.of(plans.LoopEscalated)) is (days > 2)

    def test_an_acceptance_makes_it_urgent(self) -> None:
        history = referred(with_plan())
        history.review(ReviewDecision.TRANSFER)
        before = history.deadline(PlansLoop.TRANSFER)
        accepted(history)
        assert history.deadline(PlansLoop.TRANSFER) == START + DAY < before

    @pytest.mark.parametrize(
        ("changes", "error", "code"),
        [
            ({"referral_id": uid("none")}, Unknown, "unknown-referral"),
            ({"to_facility_id": OTHER}, Invalid, "transfer-differs-from-referral"),
            ({"to_level": HIGHER}, Invalid, "transfer-differs-from-referral"),
        ],
    )
    def test_only_what_the_referral_asked(
        self, changes: dict[str, Any], error: type[Refused], code: str
    ) -> None:
        history = accepted(referred(with_plan()))
        with pytest.raises(error) as refused:
            history.transfer(**changes)
        assert code_of(refused) == code

    def test_one_at_a_time_and_nothing_else_meanwhile(self) -> None:
        history = accepted(referred(with_plan())).ready()
        history.transfer()
        for command in (history.transfer, history.change_level, history.graduate):
            with pytest.raises(Refused) as error:
                command()
            assert code_of(error) == "transfer-open"

    def test_it_is_asked_for_and_begins_when_intake_allows_it(self) -> None:
        history = accepted(referred(with_plan()))
        delivery_id = history.ask_transfer()
        [asked] = history.of(plans.TransferRequested)
        assert (asked.delivery_id, asked.to_facility_id) == (delivery_id, PARTNER)
        assert history.of(plans.TransferInitiated) == []
        assert history.state.transfer is None
        assert history.deadline(PlansLoop.TRANSFER) == START + DAY, "somebody looks, if none comes"
        history.answer(uid("of another sender"))
        assert history.state.transfer is None
        history.answer(delivery_id)
        [initiated] = history.of(plans.TransferInitiated)
        assert (initiated.delivery_id, initiated.consent_id) == (delivery_id, uid("consent"))
        history.answer(delivery_id)
        assert len(history.of(plans.TransferInitiated)) == 1

    def test_asked_again_it_is_the_same_question(self) -> None:
        history = accepted(referred(with_plan()))
        at = history.now + DAY
        ids = {history.ask_transfer(handoff_at=at) for _ in range(3)}
        assert len(ids) == 1
        with pytest.raises(Refused) as error:
            history.ask_transfer(handoff_at=at + DAY)
        assert code_of(error) == "transfer-asked"

    @pytest.mark.parametrize(
        "meanwhile",
        [
            lambda history: history.discharge(),
            lambda history: history.hear(
                fact(intake.PartnerReferralRejected, referral_id=uid("outbound"))
            ),
            lambda history: history.hear(fact(intake.AdmissionUndone)),
        ],
    )
    def test_what_cannot_begin_any_more_is_said_to_intake(self, meanwhile: Any) -> None:
        """The accounting is told that nothing was disclosed."""
        history = accepted(referred(with_plan()))
        delivery_id = history.ask_transfer()
        meanwhile(history)
        history.answer(delivery_id)
        assert history.of(plans.TransferInitiated) == []
        [not_begun] = history.of(plans.TransferNotBegun)
        assert not_begun.delivery_id == delivery_id
        assert history.state.transfer_asked is None

    def test_first_contact_is_not_foreseen(self) -> None:
        history = accepted(referred(with_plan()))
        history.transfer()
        with pytest.raises(Invalid) as error:
            history.first_contact(history.now + DAY)
        assert code_of(error) == "first-contact-in-the-future"

    def test_nobody_is_discharged_as_transferred_without_a_hand_over(self) -> None:
        with pytest.raises(Refused) as error:
            with_plan().discharge(DischargeKind.TRANSFERRED)
        assert code_of(error) == "transfer-needs-first-contact"

    def test_the_inbound_referral_is_another_matter(self) -> None:
        history = with_plan()
        state = history.state
        history.hear(fact(intake.ReferralLoopClosed, referral_id=EPISODE_ID))
        assert history.state == state


@pytest.mark.scenario(12)
def test_what_is_withheld_does_not_begin_and_somebody_looks_for_another_way() -> None:
    history = accepted(referred(with_plan()))
    history.answer(history.ask_transfer(), allowed=False)
    assert history.of(plans.TransferInitiated) == []
    assert len(history.of(plans.TransferNotBegun)) == 1
    assert history.state.transfer_withheld is intake.WithheldReason.NOT_IN_FORCE
    assert history.open == ["transfer"]
    assert history.after(days=4).of(plans.LoopEscalated)
    history.transfer()
    assert history.state.transfer_withheld is None
    assert history.of(plans.EscalationCleared) == [], "under way, and not done"
    history.first_contact()
    assert history.of(plans.EscalationCleared)


def test_a_session_missed_is_counted_and_a_correction_takes_it_back() -> None:
    history = with_plan()
    history.hear(fact(attendance.SessionMissed, absence=attendance.Absence.NO_SHOW))
    [session] = history.state.sessions.values()
    assert (session.attended, session.missed) == (False, True)
    history.hear(
        fact(
            attendance.AttendanceCorrected,
            status_before=attendance.AttendanceStatus.NO_SHOW,
            status_after=attendance.AttendanceStatus.LATE,
        )
    )
    [session] = history.state.sessions.values()
    assert (session.attended, session.missed) == (True, False)


def test_in_treatment_only() -> None:
    history = accepted(referred(in_treatment()))
    history.discharge()
    for command in (history.transfer, history.change_level, history.first_contact):
        with pytest.raises(Refused) as error:
            command()
        assert code_of(error) == "episode-closed"
