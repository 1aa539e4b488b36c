"""Everything that is waited for: opened with an owner and a deadline, escalated when missed, and taken back."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pytest

from services.plans import review_reasons
from services.plans.tables import LOOPS
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.codes import ClearedReason, PlansLoop, Role
from shared.contracts.event import Event
from shared.contracts.followup import RiskFlag
from shared.contracts.plans import DischargeKind, ReviewBasis, ReviewDecision
from shared.errors import Refused
from tests.unit.plans.world import (
    DAY,
    HIGHER,
    SETTLED,
    Plans,
    accepted,
    admitted,
    attended,
    failed,
    in_treatment,
    referred,
    week,
    with_plan,
)
from tests.unit.support import EPISODE_ID, START, fact

MONDAY = date(2026, 3, 2)


def plan_signed(history: Plans) -> None:
    history.hear(fact(intake.OrientationCompleted))
    history.draft()
    history.sign(by_patient=True)
    history.sign(by_patient=False)


def review_due() -> Plans:
    return with_plan().at(datetime(2026, 4, 1, 15, 0, tzinfo=START.tzinfo))


def reviewed(decision: ReviewDecision, basis: ReviewBasis | None = None) -> Plans:
    history = with_plan()
    history.review(decision, basis=basis)
    return history


def heard(event: Any, history: Plans | None = None) -> Plans:
    history = history or with_plan()
    history.hear(event)
    return history


def stepped_down() -> Plans:
    history = with_plan()
    history.change_level()
    return history


def complete(history: Plans) -> None:
    [review_id] = [key for key, item in history.state.reviews.items() if item.open]
    history.complete(review_id, drivers=())


def arrived(history: Plans) -> None:
    accepted(referred(history))
    history.transfer()
    history.first_contact()


def mended(history: Plans) -> None:
    history.command(lambda s, c: review_reasons.hours_restored(s, MONDAY, c))


CHECK_IN = fact(followup.CheckInCompleted, risk_flags=(RiskFlag.OVERDOSE_RISK,))
Closing = Callable[[Plans], Any]
PATHS: list[tuple[PlansLoop, str, Callable[[], Plans], Closing, ClearedReason]] = [
    (PlansLoop.TREATMENT_PLAN, "admitted", in_treatment, plan_signed, ClearedReason.RESOLVED),
    (PlansLoop.PLAN_REVIEW, "due", review_due, lambda h: h.review(), ClearedReason.RESOLVED),
    *[
        (
            PlansLoop.CLINICAL_REVIEW,
            event.NAME,
            lambda e=event: heard(e),
            complete,
            ClearedReason.RESOLVED,
        )
        for event in (
            failed(),
            fact(attendance.ScreenNotProvided, kind=attendance.NotProvidedKind.REFUSED),
            fact(attendance.AbsenceThresholdReached),
            fact(attendance.ScreenResulted, validity=attendance.SpecimenValidity.DILUTE),
            fact(attendance.BreathTestRecorded, outcome=attendance.BreathOutcome.POSITIVE),
            fact(
                attendance.ScreenInterpreted,
                classification=attendance.ScreenClass.EXPECTED_ABSENT,
            ),
            fact(followup.ReturnToUseReported, overdose=True),
            fact(intake.ImminentDangerIdentified),
            CHECK_IN,
        )
    ],
    (
        PlansLoop.LEVEL_CHANGE,
        "up",
        lambda: reviewed(ReviewDecision.UP),
        lambda h: h.change_level(HIGHER),
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.LEVEL_CHANGE,
        "down",
        lambda: reviewed(ReviewDecision.DOWN),
        lambda h: h.change_level(),
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.NEXT_APPOINTMENT,
        "stepped down",
        stepped_down,
        lambda h: h.hear(attended(starts_at=h.now)),
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.CONTINUED_SERVICE,
        "not progressing",
        lambda: reviewed(ReviewDecision.CONTINUE, ReviewBasis.NOT_PROGRESSING),
        lambda h: h.add_service(),
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.PROGRAM_HOURS,
        "said to be mended",
        lambda: heard(week(MONDAY, met=False, offered=360)),
        mended,
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.PROGRAM_HOURS,
        "evaluated again",
        lambda: heard(week(MONDAY, met=False, offered=360)),
        lambda h: h.hear(week(MONDAY, met=True)),
        ClearedReason.SUPERSEDED,
    ),
    (
        PlansLoop.TRANSFER,
        "decided",
        lambda: reviewed(ReviewDecision.TRANSFER),
        arrived,
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.AFTERCARE_PLAN,
        "towards the end",
        lambda: in_treatment().at(START + 98 * DAY),
        lambda h: h.aftercare(SETTLED, (), h.now + DAY),
        ClearedReason.RESOLVED,
    ),
    (
        PlansLoop.DISCHARGE,
        "decided",
        lambda: reviewed(ReviewDecision.DISCHARGE),
        lambda h: h.discharge(),
        ClearedReason.EPISODE_CLOSED,
    ),
    (
        PlansLoop.MISSING_FACT,
        "a session before the admission",
        lambda: heard(attended(), Plans()),
        lambda h: h.hear(admitted(h.now)),
        ClearedReason.RESOLVED,
    ),
]
IDS = [f"{kind}: {how}" for kind, how, *_ in PATHS]


def loops_of(history: Plans, kind: PlansLoop) -> list[Any]:
    return list(history.state.loops_of(kind))


@pytest.mark.parametrize(("kind", "_how", "opened", "closing", "_reason"), PATHS, ids=IDS)
def test_done_in_time_nobody_else_is_bothered(
    kind: PlansLoop,
    _how: str,
    opened: Callable[[], Plans],
    closing: Closing,
    _reason: ClearedReason,
) -> None:
    history = opened()
    [loop] = loops_of(history, kind)
    assert loop.owners == LOOPS[kind].owners
    assert loop.deadline_at > history.now
    said = len(history.of(plans.LoopEscalated))
    closing(history)
    assert loops_of(history, kind) == []
    assert [e.loop for e in history.of(plans.LoopEscalated)[said:]] == []
    assert kind not in {e.loop for e in history.of(plans.EscalationCleared)}


@pytest.mark.parametrize(("kind", "_how", "opened", "closing", "reason"), PATHS, ids=IDS)
def test_missed_it_goes_to_the_next_owner_and_is_taken_back_when_it_is_done(
    kind: PlansLoop, _how: str, opened: Callable[[], Plans], closing: Closing, reason: ClearedReason
) -> None:
    history = opened()
    [loop] = loops_of(history, kind)
    history.at(loop.deadline_at)
    first = next(e for e in history.of(plans.LoopEscalated) if e.loop is kind)
    assert (first.loop_id, first.step, first.owner_role) == (loop.id, 1, LOOPS[kind].owners[1])
    closing(history)
    cleared = [e for e in history.of(plans.EscalationCleared) if e.loop is kind]
    assert [(e.loop_id, e.step_reached, e.reason) for e in cleared] == [(loop.id, 1, reason)]


@pytest.mark.parametrize(("kind", "_how", "opened", "_closing", "_reason"), PATHS, ids=IDS)
def test_the_last_owner_keeps_it(
    kind: PlansLoop,
    _how: str,
    opened: Callable[[], Plans],
    _closing: Closing,
    _reason: ClearedReason,
) -> None:
    history = opened()
    [loop] = loops_of(history, kind)
    for _ in range(20):
        history.after(days=3)
    steps = [
        (e.step, e.owner_role)
        for e in history.of(plans.LoopEscalated)
        if e.loop_id == loop.id and e.loop is kind
    ]
    assert steps == list(enumerate(LOOPS[kind].owners))[1:]
    assert loop.key in history.state.loops


@pytest.mark.parametrize("missed", [False, True])
@pytest.mark.parametrize(
    ("mistake", "reason"),
    [
        (intake.EpisodeEnteredInError, ClearedReason.ENTERED_IN_ERROR),
        (intake.ReferralMerged, ClearedReason.SUPERSEDED),
        (intake.AdmissionUndone, ClearedReason.WITHDRAWN),
        (None, ClearedReason.EPISODE_CLOSED),
    ],
)
@pytest.mark.parametrize(("_kind", "_how", "opened", "_closing", "_reason"), PATHS, ids=IDS)
def test_a_mistake_or_an_end_closes_everything(
    _kind: PlansLoop,
    _how: str,
    opened: Callable[[], Plans],
    _closing: Closing,
    _reason: ClearedReason,
    mistake: Any,
    reason: ClearedReason,
    missed: bool,
) -> None:
    history = opened()
    if missed:
        history.after(days=30)
    standing = {loop.key for loop in history.state.loops.values() if loop.step}
    if mistake is not None:
        history.hear(fact(mistake))
    elif history.state.admission is not None:
        history.discharge()
    else:
        return
    assert (history.state.loops, history.state.deadlines) == ({}, {})
    over = {
        f"{e.loop}:{e.loop_id}" for e in history.of(plans.EscalationCleared) if e.reason is reason
    }
    assert standing <= over


def test_every_kind_has_a_path_and_an_escalation() -> None:
    kinds = set(PlansLoop) - {PlansLoop.UNKNOWN}
    assert {kind for kind, *_ in PATHS} == kinds == set(LOOPS)
    assert all(len(rule.owners) > 1 for rule in LOOPS.values())
    assert all(Role.SYSTEM not in rule.owners for rule in LOOPS.values())


def test_a_week_of_the_program_that_nobody_waits_for_is_unknown() -> None:
    with pytest.raises(Refused) as error:
        mended(with_plan())
    assert error.value.code == "unknown-week"


def test_a_risk_at_a_check_in_is_looked_at_after_the_end_too() -> None:
    history = with_plan()
    history.discharge(DischargeKind.LOST_CONTACT)
    history.hear(CHECK_IN)
    assert history.open == ["clinical_review"]
    assert len(history.after(days=9).of(plans.LoopEscalated)) == 2
    complete(history)
    assert history.open == []
    history.hear(CHECK_IN)
    assert history.open == [], "the same check-in is looked at once"


def test_nobody_looks_at_risks_of_the_dead() -> None:
    history = with_plan()
    history.discharge(DischargeKind.DECEASED)
    history.hear(CHECK_IN)
    assert history.open == []


def test_the_loop_of_the_plan_has_the_episodes_own_id() -> None:
    assert loops_of(in_treatment(), PlansLoop.TREATMENT_PLAN)[0].id == EPISODE_ID


def test_a_second_week_is_another_loop() -> None:
    history = heard(week(MONDAY, met=False, offered=360))
    history.hear(week(date(2026, 3, 9), met=False, offered=360))
    history.hear(week(MONDAY, met=False, offered=300))
    assert len(loops_of(history, PlansLoop.PROGRAM_HOURS)) == 2
    assert history.of(plans.ClinicalReviewRequested) == [], "never held against the patient"


OFFERED_AND_CREDITED = [
    # offered and credited by the latest evaluation, what is open
    (600, 420, {"clinical_review"}),
    (420, 420, {"program_hours"}),
    (480, 420, {"clinical_review", "program_hours"}),
    (420, 480, {"program_hours"}),
    (540, 540, set[str]()),
]


@pytest.mark.parametrize(("offered", "credited", "is_open"), OFFERED_AND_CREDITED)
def test_a_review_of_hours_stays_for_what_the_patient_could_have_had_alone(
    offered: int, credited: int, is_open: set[str]
) -> None:
    """600 offered and 420 credited; then a cancellation by the patient is corrected to one by the program."""

    def told(offered: int, credited: int) -> list[Event]:
        short = max(0, min(540, offered) - credited)
        evaluated = week(MONDAY, met=credited >= 540, offered=offered)
        shortfall = fact(
            attendance.WeeklyHoursShortfallDetected,
            week_starts_on=MONDAY,
            projected=False,
            minutes_short=short,
        )
        evaluated = evaluated.model_copy(update={"minutes_credited": credited})
        return [evaluated, shortfall] if short > 0 else [evaluated]

    history, before = with_plan(), set(with_plan().open)
    history.hear_all(told(600, 420))
    assert set(history.open) - before == {"clinical_review"}
    history.hear_all(told(offered, credited))
    assert set(history.open) - before == is_open
