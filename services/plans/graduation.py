"""How an episode ends: graduation, whose criteria are looked up where they are known, and the other discharges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final

from services.plans import episode_state, tables
from services.plans.episode_state import Ending, EpisodeState
from shared import calendar, endings, loops
from shared.contracts import plans
from shared.contracts.codes import ClearedReason
from shared.contracts.plans import CriterionResult, DischargeKind
from shared.decision import Cause, Decision
from shared.errors import NotYetKnown, Refused

RECENT_WEEKS: Final = 2
SUPPORT_WEEKS: Final = 4

Criterion = Callable[[EpisodeState, Cause], bool]


# --- criteria that this service knows ---------------------------------------------------------------------


def goals_met(state: EpisodeState, _cause: Cause) -> bool:
    """Every goal that is still pursued is reached, and there is at least one."""
    if state.plan is None:
        return False
    pursued = [goal for goal in state.plan.goals if goal.withdrawn is None]
    return bool(pursued) and all(goal.achieved for goal in pursued)


def clean_days(state: EpisodeState, cause: Cause) -> bool:
    """No unexpected positive within the program's window (house rule: thirty days)."""
    since = cause.now - timedelta(days=state.terms.days_without_unexpected_positive)
    return all(at < since for at in state.positives.values())


def hours_met(state: EpisodeState, _cause: Cause) -> bool:
    """The last two whole weeks reached their hours; one in which the program offered too little counts for nobody."""
    fair = [
        week
        for _, week in sorted(state.weeks.items())
        if not week.prorated and (week.met or week.minutes_offered >= week.minutes_threshold)
    ]
    return bool(fair) and all(week.met for week in fair[-RECENT_WEEKS:])


def support_logged(state: EpisodeState, cause: Cause) -> bool:
    """As many mutual-support meetings in four weeks as the program asks for, of any fellowship; at least one.

    None are asked of a person who opted out: nobody is made to go, docs/domain.md 3.10 (Mutual support).
    """
    if state.support_opted_out:
        return True
    since = calendar.local_day(cause.now, state.time_zone) - timedelta(weeks=SUPPORT_WEEKS)
    logged = sum(day > since for day in state.meetings.values())
    return logged >= max(1, SUPPORT_WEEKS * state.terms.mutual_support_meetings_per_week)


def family_involved(state: EpisodeState, _cause: Cause) -> bool:
    """A family member or another supporter took part at least once."""
    return bool(state.family_visits)


def relapse_prevention_planned(state: EpisodeState, _cause: Cause) -> bool:
    """The relapse-prevention plan names triggers, cravings and strategies (docs/domain.md fact 4.6)."""
    return state.plan is not None and state.plan.relapse_prevention == tables.RELAPSE_PREVENTION


def aftercare_complete(state: EpisodeState, _cause: Cause) -> bool:
    """Everything that has to be settled before leaving is settled."""
    return state.aftercare is not None and state.aftercare.complete


def appointment_booked(state: EpisodeState, _cause: Cause) -> bool:
    """The receiving appointment is booked, not only recommended."""
    return state.aftercare is not None and state.aftercare.first_appointment_at is not None


def no_open_review(state: EpisodeState, _cause: Cause) -> bool:
    """No clinical review is open."""
    return not any(item.open for item in state.reviews.values())


CRITERIA: Final[Mapping[str, Criterion]] = {
    "goals-met": goals_met,
    "clean-days": clean_days,
    "hours-met": hours_met,
    "support-log": support_logged,
    "family-session": family_involved,
    "relapse-prevention-plan": relapse_prevention_planned,
    "aftercare-plan": aftercare_complete,
    "appointment-booked": appointment_booked,
    "no-open-review": no_open_review,
}
"""What is looked up rather than asserted. Every other criterion is the caller's judgement, "total-abstinence" too.

Published graduation lists and the exit rules: docs/domain.md 3.12 (Exit).
"""


def judged(
    state: EpisodeState, wanted: tuple[str, ...], asserted: Mapping[str, bool], cause: Cause
) -> tuple[CriterionResult, ...]:
    """Each criterion: by the facts where they decide it, else as the caller asserts. A caller's "no" holds."""
    codes = dict.fromkeys((*wanted, *asserted))
    return tuple(
        CriterionResult(code=code, met=_met(state, code, asserted, cause)) for code in codes
    )


def _met(state: EpisodeState, code: str, asserted: Mapping[str, bool], cause: Cause) -> bool:
    look_up = CRITERIA.get(code)
    if look_up is None:
        return asserted.get(code, False)
    return asserted.get(code, True) and look_up(state, cause)


def unmet(results: tuple[CriterionResult, ...]) -> str:
    """The codes that are not met, for people."""
    return ", ".join(result.code for result in results if not result.met)


# --- endings ----------------------------------------------------------------------------------------------


def graduate(
    state: EpisodeState, criteria: tuple[CriterionResult, ...], cause: Cause
) -> Decision[EpisodeState]:
    """Graduate when every criterion of the program is met and nothing is left open."""
    episode_state.in_treatment(state)
    if state.plan is None or not state.plan.active:
        raise Refused(
            "plan-not-active",
            "A graduation needs a treatment plan in force.",
            hint="Have the plan signed by both first, or discharge in another way.",
        )
    if not no_open_review(state, cause):
        raise Refused(
            "review-open", "A clinical review is open.", hint="Complete the review first."
        )
    if state.transfer is not None:
        raise Refused(
            "transfer-open",
            "The person is being handed over.",
            hint="Record the first contact, or take the transfer back: POST /episodes/{id}/transfer/undo.",
        )
    asserted = {criterion.code: criterion.met for criterion in criteria}
    results = judged(state, state.terms.graduation_criteria, asserted, cause)
    if not results or unmet(results):
        raise Refused(
            "criteria-not-met",
            f"Not every graduation criterion is met: {known_only(results)}.",
            hint="Continue the plan, or discharge in another way.",
        )
    if state.aftercare_plan_id is None:
        raise NotYetKnown("aftercare plan")
    approved = plans.GraduationApproved(criteria=results, approved_by_id=cause.actor_id)
    graduated = plans.ProgramGraduated(
        graduated_at=cause.now, aftercare_plan_id=state.aftercare_plan_id
    )
    ended = end(state, DischargeKind.GRADUATED, cause)
    return Decision(ended.state, (approved, graduated, *ended.events))


def known_only(results: tuple[CriterionResult, ...]) -> str:
    """What is missing, without repeating codes that only the caller knows."""
    codes = [r.code for r in results if not r.met and r.code in CRITERIA]
    return ", ".join(codes) or "see what you sent"


def discharge(state: EpisodeState, kind: DischargeKind, cause: Cause) -> Decision[EpisodeState]:
    """End the episode in any other way than graduation, which has criteria, or transfer, which has a hand-over."""
    episode_state.in_treatment(state)
    if kind is DischargeKind.GRADUATED:
        raise Refused(
            "graduation-needs-criteria",
            "A graduation needs a result for each criterion.",
            hint="Graduate the person, naming the criteria, or discharge in another way.",
        )
    if kind is DischargeKind.TRANSFERRED:
        raise Refused(
            "transfer-needs-first-contact",
            "This program stays responsible until the receiving one has seen the person.",
            hint="Start the transfer, and record the first contact.",
        )
    return end(state, kind, cause)


def end(
    state: EpisodeState, kind: DischargeKind, cause: Cause, *, before: EpisodeState | None = None
) -> Decision[EpisodeState]:
    """Open reviews end with the episode; every loop is closed, and no escalation stays published.

    What is closed is put aside, for the case that the end is taken back (`retractions.py`): as it is now, or as it was
    in the state `before` where the step that led here had closed something already.
    """
    admission = episode_state.in_treatment(state)
    was = before or state
    state, cleared = loops.close_all(state, reason=ClearedReason.EPISODE_CLOSED)
    event = plans.EpisodeDischarged(kind=kind, discharged_at=cause.now, final_level=admission.level)
    ending = Ending(
        kind=kind,
        discharged_at=cause.now,
        reviews=tuple(key for key, item in was.reviews.items() if item.open),
        amendment=was.amendment,
        level_change=was.level_change,
        transfer=was.transfer,
    )
    state = state.replace(
        discharged=kind,
        ending=ending,
        reviews={key: item.replace(open=False) for key, item in state.reviews.items()},
        amendment=None,
        level_change=None,
        transfer=None,
        deadlines={},
    )
    return Decision(endings.put_aside(was, state), (*cleared, event))
