"""When it is enough: criteria that are looked up, criteria that are judged, and what ends with an episode."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest

from services.plans.graduation import CRITERIA
from shared.contracts import attendance, plans
from shared.contracts.attendance import Fellowship
from shared.contracts.plans import CriterionResult, DischargeKind, WithdrawnReason
from shared.contracts.terms import ProgramTerms
from shared.errors import Refused
from tests.unit.plans.world import DAY, GOAL, SETTLED, Plans, failed, week, with_plan
from tests.unit.support import START, fact, uid

MONDAY = date(2026, 3, 2)


def meeting(days: int = 0, fellowship: Fellowship = Fellowship.SMART, name: str = "one") -> Any:
    on = START.date() + timedelta(days=days)
    return fact(
        attendance.MutualSupportLogged,
        meeting_id=uid(name),
        attended_on=on,
        fellowship=fellowship,
    )


def weeks(*met: bool, offered: int = 540, prorated: bool = False) -> list[Any]:
    return [
        week(MONDAY + timedelta(weeks=n), met=one, offered=offered, prorated=prorated)
        for n, one in enumerate(met)
    ]


Prepared = Callable[[Plans], Any]
CASES: list[tuple[str, str, Prepared, bool]] = [
    ("goals-met", "not measured", lambda _: None, False),
    ("goals-met", "below", lambda h: h.measure(2), False),
    ("goals-met", "reached", lambda h: h.measure(3), True),
    ("goals-met", "lost again", lambda h: (h.measure(3), h.measure(1)), False),
    (
        "goals-met",
        "all given up",
        lambda h: h.change_goal(withdrawn=WithdrawnReason.REPLACED),
        False,
    ),
    (
        "goals-met",
        "one given up, one reached",
        lambda h: (
            h.add_goal(GOAL.replace(goal_id=uid("second"))),
            h.change_goal(withdrawn=WithdrawnReason.REPLACED),
            h.measure(3, uid("second")),
        ),
        True,
    ),
    ("clean-days", "none ever", lambda _: None, True),
    ("clean-days", "yesterday", lambda h: (positive(h), h.after(days=1)), False),
    ("clean-days", "29 days ago", lambda h: (positive(h), h.after(days=29)), False),
    ("clean-days", "31 days ago", lambda h: (positive(h), h.after(days=31)), True),
    ("hours-met", "no week yet", lambda _: None, False),
    ("hours-met", "only a prorated week", lambda h: h.hear_all(weeks(True, prorated=True)), False),
    ("hours-met", "two good weeks", lambda h: h.hear_all(weeks(False, True, True)), True),
    ("hours-met", "the last one short", lambda h: h.hear_all(weeks(True, True, False)), False),
    (
        "hours-met",
        "mended later",
        lambda h: h.hear_all([*weeks(True, False), *weeks(True, True)]),
        True,
    ),
    (
        "hours-met",
        "the program offered too little",
        lambda h: h.hear_all([*weeks(True, True), week(date(2026, 3, 16), met=False, offered=360)]),
        True,
    ),
    ("support-log", "none", lambda _: None, False),
    ("support-log", "a secular one", lambda h: h.hear(meeting()), True),
    ("support-log", "one of any kind", lambda h: h.hear(meeting(0, Fellowship.AA)), True),
    ("support-log", "opted out", lambda h: h.hear(opted(out=True)), True),
    (
        "support-log",
        "opted in again",
        lambda h: h.hear_all([opted(out=True), opted(out=False)]),
        False,
    ),
    ("support-log", "long ago", lambda h: (h.hear(meeting()), h.after(days=28)), False),
    ("family-session", "none", lambda _: None, False),
    ("family-session", "one", lambda h: h.hear(fact(attendance.FamilySessionAttended)), True),
    ("relapse-prevention-plan", "none", lambda _: None, False),
    ("relapse-prevention-plan", "half", lambda h: h.name_relapse_prevention("triggers"), False),
    ("relapse-prevention-plan", "whole", lambda h: h.name_relapse_prevention(), True),
    ("aftercare-plan", "begun", lambda _: None, False),
    ("aftercare-plan", "settled", lambda h: h.aftercare(SETTLED), True),
    ("appointment-booked", "no", lambda _: None, False),
    ("appointment-booked", "yes", lambda h: h.aftercare(("first-appointment",)), True),
]


def opted(*, out: bool) -> attendance.MutualSupportRequirementSet:
    return fact(attendance.MutualSupportRequirementSet, opted_out=out)


def positive(history: Plans) -> None:
    history.hear(failed())
    history.complete(history.of(plans.ClinicalReviewRequested)[-1].review_id)


@pytest.mark.fact("4.9", "1.8", "1.11", "2.7")
@pytest.mark.parametrize(("code", "_case", "prepare", "met"), CASES)
def test_what_is_known_is_looked_up(code: str, _case: str, prepare: Prepared, met: bool) -> None:
    history = with_plan(terms=ProgramTerms(graduation_criteria=(code,), review_every_days=300))
    prepare(history)
    said = (CriterionResult(code=code, met=True),)
    if met:
        history.graduate(said)
        [approved] = history.of(plans.GraduationApproved)
        assert approved.criteria == said
        return
    with pytest.raises(Refused) as error:
        history.graduate(said)
    assert error.value.code == "criteria-not-met"
    assert code in error.value.detail


def test_every_criterion_that_is_looked_up_has_cases() -> None:
    assert {code for code, *_ in CASES} == CRITERIA.keys() - {"no-open-review"}


class TestJudgement:
    @pytest.mark.parametrize("met", [True, False, None])
    def test_abstinence_is_a_clinicians_judgement(self, met: bool | None) -> None:
        history = with_plan(terms=ProgramTerms(graduation_criteria=("total-abstinence",)))
        other = CriterionResult(code="another", met=True)
        said = [] if met is None else [CriterionResult(code="total-abstinence", met=met)]
        if met:
            history.graduate((other, *said))
            return
        with pytest.raises(Refused) as error:
            history.graduate((other, *said))
        assert error.value.code == "criteria-not-met"

    def test_a_clinicians_no_holds_against_the_facts(self) -> None:
        history = with_plan(terms=ProgramTerms(graduation_criteria=("clean-days",)))
        with pytest.raises(Refused):
            history.graduate((CriterionResult(code="clean-days", met=False),))

    def test_a_meeting_count_is_the_programs(self) -> None:
        terms = ProgramTerms(
            graduation_criteria=("support-log",), mutual_support_meetings_per_week=2
        )
        history = with_plan(terms=terms)
        history.hear_all([meeting(name=str(n)) for n in range(7)])
        with pytest.raises(Refused):
            history.graduate()
        history.hear(meeting())
        history.graduate()


def test_the_house_rules_without_terms() -> None:
    history = with_plan().ready()
    with pytest.raises(Refused):
        history.graduate((CriterionResult(code="supports-verified", met=False),))
    history.graduate()
    [approved] = history.of(plans.GraduationApproved)
    assert [result.code for result in approved.criteria] == [
        "goals-met",
        "relapse-prevention-plan",
        "supports-verified",
    ]


@pytest.mark.parametrize(
    "kind",
    [k for k in DischargeKind if k not in (DischargeKind.GRADUATED, DischargeKind.TRANSFERRED)],
)
def test_a_pending_change_of_level_ends_with_the_episode(kind: DischargeKind) -> None:
    history = with_plan()
    history.change_level(effective_at=START + DAY)
    history.discharge(kind)
    history.after(days=3)
    assert history.of(plans.LevelOfCareChanged) == []
    assert history.state.level_change is None
