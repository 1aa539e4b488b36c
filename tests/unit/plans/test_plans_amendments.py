"""Other services for a plan in force: drafted beside it, signed by both, and in force only then."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from services.plans import amendments
from services.plans.app import SERVICE
from shared.contracts import intake, plans
from shared.contracts.codes import Modality, PlansLoop
from shared.contracts.plans import PlannedService, ReviewBasis, ReviewDecision, ReviewOutcome
from shared.errors import CareError
from shared.runtime.core.work import Outcome
from tests.unit.plans.test_plans_api import ALONE, DRAFT, GOAL, GROUP, HERE, OF
from tests.unit.plans.world import (
    SERVICES,
    Plans,
    admitted,
    failed,
    in_treatment,
    with_plan,
)
from tests.unit.support import START, Http, fact, uid

GROUPS, ALONE_WEEKLY = SERVICES
MORE = (GROUPS, ALONE_WEEKLY.replace(sessions_per_week=2))
FAMILY = (
    *SERVICES,
    PlannedService(modality=Modality.FAMILY, sessions_per_week=1, minutes_per_session=90),
)


def amended(history: Plans, services: tuple[PlannedService, ...] = MORE) -> Outcome:
    plan_id = history.state.plan.plan_id
    return history.command(lambda s, c: amendments.amend(s, plan_id, services, c))


def signed(history: Plans, *who: str) -> None:
    plan_id = history.state.plan.plan_id
    for one in who:
        by = one == "patient"
        history.command(lambda s, c, by=by: amendments.sign(s, plan_id, by_patient=by, cause=c))


def withdrawn(history: Plans) -> None:
    plan_id = history.state.plan.plan_id
    history.command(lambda s, c: amendments.withdraw(s, plan_id, c))


@pytest.mark.fact("1.10", "2.5", "3.6")
@pytest.mark.parametrize("order", [("patient", "clinician"), ("clinician", "patient")])
def test_what_was_in_force_stays_so_until_both_have_signed(order: tuple[str, str]) -> None:
    history = with_plan()
    review_on = history.state.plan.next_review_on
    assert amended(history).answer["version"] == 2
    for who in order:
        assert (history.state.plan.version, history.state.plan.services) == (1, SERVICES)
        assert len(history.of(plans.TreatmentPlanActivated)) == 1
        signed(history, who)
    _, activated = history.of(plans.TreatmentPlanActivated)
    assert (activated.version, activated.services) == (2, MORE)
    assert activated.plan_id == history.state.plan.plan_id
    assert activated.next_review_on == review_on, "an amendment is no review"
    assert history.state.plan.services == MORE
    assert history.state.amendment is None
    assert history.open == []


def test_signatures_that_nobody_gets_escalate_and_are_taken_back() -> None:
    history = with_plan()
    amended(history)
    assert history.open == ["treatment_plan"]
    history.after(days=7)
    [escalated] = history.of(plans.LoopEscalated)
    assert (escalated.loop, escalated.owner_role) == ("treatment_plan", "clinician")
    signed(history, "patient", "clinician")
    [cleared] = history.of(plans.EscalationCleared)
    assert (cleared.loop_id, cleared.reason) == (escalated.loop_id, "resolved")


def test_another_draft_replaces_the_one_that_waits_and_its_signatures() -> None:
    history = with_plan()
    amended(history)
    signed(history, "patient")
    history.after(days=7)
    amended(history, FAMILY)
    [cleared] = history.of(plans.EscalationCleared)
    assert cleared.reason == "superseded"
    signed(history, "clinician")
    assert history.state.plan.services == SERVICES, "the patient has not signed this one"
    signed(history, "patient")
    assert history.state.plan.services == FAMILY


def test_an_amendment_can_be_given_up() -> None:
    history = with_plan()
    amended(history)
    withdrawn(history)
    assert (history.state.plan.services, history.state.amendment, history.open) == (
        SERVICES,
        None,
        [],
    )


def test_a_review_in_between_is_a_version_of_its_own() -> None:
    history = with_plan()
    amended(history)
    history.review()
    signed(history, "patient", "clinician")
    assert [e.version for e in history.of(plans.TreatmentPlanActivated)] == [1, 3]


def test_it_answers_a_review_that_asked_for_another_plan() -> None:
    history = with_plan()
    history.hear(failed())
    [requested] = history.of(plans.ClinicalReviewRequested)
    history.complete(requested.review_id, ReviewOutcome.AMEND)
    assert history.open == ["continued_service"]
    amended(history)
    signed(history, "patient", "clinician")
    assert history.open == []


def test_after_a_review_that_decided_an_end_the_plan_is_reviewed_again() -> None:
    history = with_plan()
    history.review(ReviewDecision.DISCHARGE, basis=ReviewBasis.MET)
    assert history.state.plan.next_review_on is None
    amended(history)
    signed(history, "patient", "clinician")
    assert history.state.plan.next_review_on is not None


ENDS: list[tuple[str, Callable[[Plans], Any]]] = [
    ("discharged", lambda h: h.discharge()),
    ("in error", lambda h: h.hear(fact(intake.EpisodeEnteredInError))),
    ("undone", lambda h: h.hear(fact(intake.AdmissionUndone))),
]


@pytest.mark.parametrize(("_name", "ends"), ENDS)
def test_nothing_of_it_is_left_when_the_episode_ends(_name: str, ends: Any) -> None:
    history = with_plan()
    amended(history)
    history.after(days=7)
    ends(history)
    assert history.state.amendment is None
    assert history.state.loop(PlansLoop.TREATMENT_PLAN, uid("any")) is None
    assert history.open == []
    assert len(history.of(plans.EscalationCleared)) == 1


def drafted() -> Plans:
    history = in_treatment()
    history.draft()
    return history


def over() -> Plans:
    history = with_plan()
    history.discharge()
    return history


@pytest.mark.parametrize(
    ("begun", "act", "code"),
    [
        (drafted, amended, "plan-not-active"),
        (with_plan, lambda h: amended(h, SERVICES), "amendment-changes-nothing"),
        (with_plan, lambda h: amended(h, (GROUPS,)), "individual-sessions-missing"),
        (with_plan, withdrawn, "unknown-amendment"),
        (with_plan, lambda h: signed(h, "patient"), "plan-active"),
        (over, amended, "episode-closed"),
    ],
)
def test_what_is_refused(begun: Callable[[], Plans], act: Any, code: str) -> None:
    history = begun()
    before = history.state
    with pytest.raises(CareError) as refused:
        act(history)
    assert refused.value.code == code
    assert history.state == before


# --- over HTTP ------------------------------------------------------------------------------------------


def test_the_routes() -> None:
    history = with_plan()
    http, plan = Http(SERVICE, history), f"/plans/{history.state.plan.plan_id}"
    more = {**OF, "services": [GROUP, {**ALONE, "sessions_per_week": 2}]}
    assert http.post(f"{plan}/amend", more).json()["version"] == 2
    assert http.post(f"{plan}/amend/withdraw", OF).status_code == 200
    assert http.post(f"{plan}/amend", more).status_code == 200
    for who in ("patient", "clinician"):
        assert http.post(f"{plan}/sign", {**OF, "by": who}).status_code == 200
    assert http.get(HERE).json()["plan"]["version"] == 2
    assert http.post(f"{plan}/amend", {**OF, "services": []}).status_code == 422
    assert http.acting_as("nurse").post(f"{plan}/amend", more).status_code == 403


@pytest.mark.fact("3.9", "2.2")
@pytest.mark.parametrize(
    ("program", "therapy", "code"),
    [
        ("matrix-family", "matrix", None),
        ("matrix-family", "dialectical-behavior", "therapy-not-offered"),
        ("daily-dual-diagnosis", "dialectical-behavior", None),
        ("daily-dual-diagnosis", "matrix", "therapy-not-offered"),
        ("evening-groups", "matrix", None),
        ("evening-groups", "dancing", "therapy-not-listed"),
        ("a-program-of-old", "matrix", None),
    ],
)
def test_therapies_are_those_of_the_person_s_program(
    program: str, therapy: str, code: str | None
) -> None:
    history = Plans(START)
    history.hear(admitted(START, program=program))
    http = Http(SERVICE, history)
    goal = {**GOAL, "therapies": [therapy]}
    answer = http.post("/plans", {**DRAFT, "goals": [goal]})
    assert answer.json().get("code") == code
    plain = http.post("/plans", DRAFT).json()
    added = http.post(f"/plans/{plain['plan_id']}/goals", {**OF, **goal})
    assert added.json().get("code") == code
    changed = {**OF, "therapies": [therapy]}
    path = f"/goals/{plain['goal_ids'][0]}"
    assert http.send("PATCH", path, changed).json().get("code") == code


def test_the_amendment_waits_as_long_as_a_plan_may() -> None:
    history = with_plan()
    amended(history)
    [loop] = history.state.loops_of(PlansLoop.TREATMENT_PLAN)
    assert loop.deadline_at == START + timedelta(days=7)
