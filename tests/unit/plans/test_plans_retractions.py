"""An end that was a mistake: taken back, the episode is as if it had not been, and somebody looks at what passed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.plans import retractions
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import MistakeReason, PlansLoop
from shared.contracts.event import Event
from shared.contracts.followup import RiskFlag
from shared.contracts.plans import (
    DischargeKind,
    ReviewDecision,
    ReviewOutcome,
    ReviewTrigger,
)
from shared.errors import NotYetKnown, Refused
from shared.runtime.core.record import Outcome
from tests.unit.plans.test_plans_order import from_attendance, from_followup
from tests.unit.plans.world import (
    DAY,
    LOWER,
    RESIDENTIAL,
    Plans,
    accepted,
    attended,
    failed,
    in_treatment,
    referred,
    short,
    with_plan,
)
from tests.unit.support import START, fact, interleaved, uid

WHY = MistakeReason.WRONG_PERSON
OTHERS = [
    DischargeKind.AGAINST_ADVICE,
    DischargeKind.ADMINISTRATIVE,
    DischargeKind.LOST_CONTACT,
    DischargeKind.INCARCERATED,
    DischargeKind.DECEASED,
]


def undo(history: Plans, kinds: Any = retractions.EVERY_KIND) -> Outcome:
    return history.command(lambda s, c: retractions.undo_discharge(s, WHY, c, kinds=kinds))


def but_for_the_look(history: Plans) -> Any:
    """The state without the review of what passed meanwhile."""
    state = history.state
    ours = {k for k, r in state.reviews.items() if r.trigger is ReviewTrigger.DISCHARGE_UNDONE}
    loops = {key: loop for key, loop in state.loops.items() if loop.id not in ours}
    deadlines = {
        key: at for key, at in state.deadlines.items() if key.rpartition(":")[2] not in ours
    }
    reviews = {key: item for key, item in state.reviews.items() if key not in ours}
    return state.replace(loops=loops, deadlines=deadlines, reviews=reviews)


def nothing(_: Plans) -> None: ...


def escalated(history: Plans) -> None:
    history.hear(failed())
    history.after(days=5)


def step_down_ahead(history: Plans) -> None:
    history.change_level(LOWER, effective_at=history.now + 20 * DAY)


def amended(history: Plans) -> None:
    history.hear(short(START.date()))


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("begun", [nothing, escalated, step_down_ahead, amended])
@pytest.mark.fault("F14")
def test_it_is_as_if_it_had_not_been(kind: DischargeKind, begun: Callable[[Plans], None]) -> None:
    history, other = with_plan(), with_plan()
    for one in (history, other):
        begun(one)
        one.after(hours=1)
    history.discharge(kind)
    undo(history)
    assert but_for_the_look(history) == other.state
    [undone] = history.of(plans.DischargeUndone)
    assert (undone.kind, undone.discharged_at, undone.reason) == (kind, history.now, WHY)


def transferred(history: Plans) -> Plans:
    accepted(referred(history)).transfer()
    return history


@pytest.mark.fault("F15")
def test_a_first_contact_leads_back_to_the_hand_over() -> None:
    history = transferred(with_plan())
    before = history.state
    history.first_contact(START)
    undo(history, retractions.FIRST_CONTACT)
    assert but_for_the_look(history) == before
    assert history.names[-3:] == [
        "first-contact-undone",
        "discharge-undone",
        "clinical-review-requested",
    ]
    history.first_contact(START)


@pytest.mark.fault("F15")
def test_a_graduation_leads_back_to_the_program() -> None:
    history = with_plan().ready()
    history.aftercare()
    before = history.state
    history.graduate()
    undo(history, retractions.GRADUATION)
    assert but_for_the_look(history) == before
    assert history.names[-3:-1] == ["graduation-undone", "discharge-undone"]


def test_what_passed_is_looked_at_and_goes_on_if_nobody_looks() -> None:
    history = with_plan()
    history.discharge(DischargeKind.DECEASED)
    history.after(days=30)
    undo(history)
    [asked] = history.of(plans.ClinicalReviewRequested)
    assert asked.trigger is ReviewTrigger.DISCHARGE_UNDONE
    assert history.deadline(PlansLoop.CLINICAL_REVIEW, asked.review_id) > history.now
    history.after(days=4)
    assert asked.review_id in {e.loop_id for e in history.of(plans.LoopEscalated)}
    history.complete(asked.review_id, ReviewOutcome.NONE)
    assert history.state.loop(PlansLoop.CLINICAL_REVIEW, asked.review_id) is None
    assert asked.review_id in {e.loop_id for e in history.of(plans.EscalationCleared)}


class TestRefused:
    def test_twice(self) -> None:
        history = with_plan()
        history.discharge()
        undo(history)
        with pytest.raises(Refused) as error:
            undo(history)
        assert error.value.code == "not-discharged"

    def test_what_never_was(self) -> None:
        with pytest.raises(Refused) as error:
            undo(in_treatment())
        assert error.value.code == "not-discharged"
        with pytest.raises(NotYetKnown):
            undo(Plans())

    @pytest.mark.parametrize("kinds", [retractions.GRADUATION, retractions.FIRST_CONTACT])
    def test_what_was_something_else(self, kinds: Any) -> None:
        history = with_plan()
        history.discharge()
        with pytest.raises(Refused) as error:
            undo(history, kinds)
        assert error.value.code == "ended-otherwise"
        assert "/discharge/undo" in error.value.hint

    def test_a_hand_over_that_is_over(self) -> None:
        history = transferred(with_plan())
        history.first_contact(START)
        with pytest.raises(Refused) as error:
            undo_transfer(history)
        assert error.value.code == "no-transfer-open"
        assert "first-contact/undo" in error.value.hint

    def test_of_an_episode_in_error(self) -> None:
        history = with_plan()
        history.discharge()
        history.hear(fact(intake.EpisodeEnteredInError))
        with pytest.raises(Refused) as error:
            undo(history)
        assert error.value.code == "entered-in-error"


@pytest.mark.parametrize("days", [19, 20, 25])
def test_what_was_due_before_a_fact_comes_before_it(days: int) -> None:
    """A step down that took effect before a danger was found did; one that was still to come does not."""
    history, never = with_plan(), with_plan()
    for one in (history, never):
        step_down_ahead(one)
    history.discharge(DischargeKind.AGAINST_ADVICE)
    for one in (history, never):
        one.after(days=days)
        one.hear(fact(intake.ImminentDangerIdentified))
    undo(history)
    assert history.state.admission.level == never.state.admission.level
    assert but_for_the_look(history.at(history.now)) == never.state


def test_a_risk_that_nobody_looked_at_because_of_an_end_is_looked_at() -> None:
    history, never = with_plan(), with_plan()
    history.discharge(DischargeKind.DECEASED)
    for one in (history, never):
        one.hear(fact(followup.CheckInCompleted, risk_flags=(RiskFlag.SUICIDE_RISK,)))
    undo(history)
    assert but_for_the_look(history) == never.state


def test_an_end_may_follow_again() -> None:
    history = with_plan()
    history.discharge(DischargeKind.DECEASED)
    undo(history)
    history.discharge(DischargeKind.ADMINISTRATIVE)
    assert (history.state.loops, history.state.deadlines) == ({}, {})
    undo(history)
    assert history.state.discharged is None


ABOUT = {"referral_id": uid("outbound")}
from_partners = st.lists(
    st.sampled_from(
        [
            fact(intake.PartnerReferralAccepted, **ABOUT),
            fact(intake.PartnerReferralRejected, **ABOUT),
            fact(intake.ReferralLoopClosed, **ABOUT),
            fact(intake.ReferralLoopClosed, **ABOUT, outcome=intake.ReferralOutcome.LOST),
            fact(intake.PartnerReferralAccepted, referral_id=uid("another")),
        ]
    ),
    max_size=4,
)
"""What partners answer, of a referral on which a hand-over rests."""


def looked_for(history: Plans) -> None:
    referred(history)
    history.change_level(RESIDENTIAL, elsewhere=True)


def handed_over(history: Plans) -> None:
    accepted(referred(history)).transfer()


@st.composite
def courses(draw: st.DrawFn) -> tuple[list[Event], int, int]:
    lines: list[Sequence[Event]] = [
        [fact(intake.OrientationCompleted), *draw(from_partners)],
        draw(from_attendance),
        draw(from_followup),
    ]
    events = draw(interleaved(*lines))
    ended = draw(st.integers(0, len(events)))
    return events, ended, draw(st.integers(ended, len(events)))


@given(
    courses(),
    st.sampled_from(OTHERS),
    st.sampled_from([nothing, looked_for, handed_over]),
    st.sampled_from([0, 1, 5]),
)
def test_whatever_is_heard_meanwhile(
    course: tuple[list[Event], int, int],
    kind: DischargeKind,
    begun: Callable[[Plans], None],
    days: int,
) -> None:
    """Facts that came while the end stood count as if it had not, and so does what was due between them."""
    events, ended, undone = course
    history, other = in_treatment(), in_treatment()
    for one in (history, other):
        begun(one)
        one.after(hours=1)
    for at in range(len(events) + 1):
        if at == ended:
            history.discharge(kind)
        if at == undone:
            undo(history)
            history.at(history.now)
        if at < len(events):
            for one in (history, other):
                one.hear(events[at])
                one.after(days=days)
    assert but_for_the_look(history) == other.state
    assert but_for_the_look(history.after(days=40)) == other.after(days=40).state


@pytest.mark.parametrize("begun", [nothing, escalated, step_down_ahead])
@pytest.mark.fault("F23")
def test_two_years_later_it_is_as_at_once(begun: Callable[[Plans], None]) -> None:
    at_once, late = with_plan(), with_plan()
    for one in (at_once, late):
        begun(one)
        one.discharge(DischargeKind.DECEASED)
    undo(at_once)
    for one in (at_once, late):
        one.after(days=1)
        one.hear(attended("late", START))
        one.hear(fact(attendance.ScreenFailed, screen_id=uid("late")))
        one.after(days=730)
    undo(late)
    late.at(late.now)
    assert but_for_the_look(late) == but_for_the_look(at_once)


# --- a hand-over that is under way ----------------------------------------------------------------------


def undo_transfer(history: Plans) -> Outcome:
    return history.command(lambda s, c: retractions.undo_transfer(s, WHY, c))


def to_be_moved(history: Plans) -> None:
    history.hear(fact(intake.LevelRecommended, level=RESIDENTIAL))


def endangered(history: Plans) -> None:
    history.hear(fact(intake.ImminentDangerIdentified))


def another_place(history: Plans) -> None:
    accepted(history, uid("another"))


def stays(history: Plans) -> None:
    history.review(ReviewDecision.CONTINUE)


def goes_up(history: Plans) -> None:
    history.review(ReviewDecision.UP)


def goes_elsewhere(history: Plans) -> None:
    history.review(ReviewDecision.TRANSFER)


BEGUN = [nothing, escalated, step_down_ahead, looked_for, to_be_moved]
MEANWHILE = [nothing, endangered, to_be_moved, another_place, stays, goes_up, goes_elsewhere]


@pytest.mark.parametrize("begun", BEGUN)
@pytest.mark.parametrize("meanwhile", MEANWHILE)
@pytest.mark.parametrize("days", [0, 1, 730])
@pytest.mark.fault("F15")
def test_a_hand_over_that_was_a_mistake_was_never_asked_for(
    begun: Callable[[Plans], None], meanwhile: Callable[[Plans], None], days: int
) -> None:
    """Whatever was heard and decided while it was under way."""
    history, never = with_plan(), with_plan()
    for one in (history, never):
        begun(one)
        accepted(referred(one))
        one.after(hours=1)
    history.transfer()
    never._commands += 1  # so that ids of what follows are the same
    never._heard["care.intake"] += 1
    for one in (history, never):
        one.after(hours=1)
        meanwhile(one)
        one.after(days=days)
    undo_transfer(history)
    history.at(history.now)
    assert history.state.transfer is None
    assert history.state == never.state
    [undone] = history.of(plans.TransferUndone)
    assert undone.to_facility_id == history.of(plans.TransferInitiated)[0].to_facility_id
    with pytest.raises(Refused) as error:
        undo_transfer(history)
    assert error.value.code == "no-transfer-open"


@pytest.mark.fault("F48")
@pytest.mark.parametrize("kind", OTHERS)
def test_the_review_says_from_when_until_when_nobody_looked(kind: DischargeKind) -> None:
    history = with_plan()
    history.discharge(kind)
    ended_at = history.now
    history.after(days=9)
    undo(history)
    asked = history.of(plans.ClinicalReviewRequested)[-1]
    assert (asked.gap_from_at, asked.gap_until_at) == (ended_at, history.now)
    stored = history.state.reviews[asked.review_id]
    assert (stored.gap_from_at, stored.gap_until_at) == (ended_at, history.now)


def test_a_second_mistake_makes_the_time_that_is_looked_at_longer_and_never_shorter() -> None:
    history = with_plan()
    history.discharge(DischargeKind.DECEASED)
    first = history.now
    for _ in range(2):
        history.after(days=2)
        undo(history)
        history.after(days=1)
        history.discharge(DischargeKind.DECEASED)
    history.after(days=1)
    undo(history)
    [looked_at] = [
        one
        for one in history.state.reviews.values()
        if one.trigger is ReviewTrigger.DISCHARGE_UNDONE and one.open
    ]
    assert (looked_at.gap_from_at, looked_at.gap_until_at) == (first, history.now)


def test_a_review_that_is_about_no_such_time_names_none() -> None:
    history = with_plan()
    history.hear(failed())
    [asked] = history.of(plans.ClinicalReviewRequested)
    assert (asked.gap_from_at, asked.gap_until_at) == (None, None)
