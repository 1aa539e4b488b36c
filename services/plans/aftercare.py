"""The aftercare plan: begun on the first day, complete before the last. See docs/domain.md 3.13 (Aftercare plan)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.plans import episode_state, tables
from services.plans.episode_state import AftercarePlan, EpisodeState
from shared import loops
from shared.contracts import plans
from shared.contracts.codes import PlansLoop
from shared.decision import Cause, Decision
from shared.errors import Invalid, NotYetKnown, Refused

TOWARDS_THE_END: Final = timedelta(days=14)
"""So long before the planned end, the aftercare plan is worked on in earnest (docs/domain.md fact 4.8)."""
VERSIONS_MAX: Final = 1000


def begin(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """Aftercare is drafted from the first day, so that nobody leaves without one; and it is remembered in time."""
    admission = episode_state.in_treatment(state)
    aftercare_plan_id = cause.derive_id("aftercare-plan")
    state = state.replace(aftercare_plan_id=aftercare_plan_id, aftercare=AftercarePlan())
    opens_at = _planned_end(state) - TOWARDS_THE_END
    state = state.arm("aftercare-opens", max(opens_at, admission.admitted_at))
    return Decision(state, (_drafted(state),))


def opens(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The end is near: whatever is not settled yet is to be settled by then."""
    if state.aftercare is None or state.aftercare.complete:
        return Decision(state)
    by = max(_planned_end(state), cause.now + timedelta(days=1))
    return Decision(
        loops.open_loop(state, PlansLoop.AFTERCARE_PLAN, cause.subject_id, cause, deadline_at=by)
    )


def write(
    state: EpisodeState,
    elements: tuple[str, ...],
    not_needed: tuple[str, ...],
    first_appointment_at: datetime | None,
    cause: Cause,
) -> Decision[EpisodeState]:
    """Record what is settled so far; every time a new version, of which the latest counts."""
    episode_state.in_treatment(state)
    before = state.aftercare
    if before is None or state.aftercare_plan_id is None:
        raise NotYetKnown("aftercare plan")
    listed = frozenset(tables.AFTERCARE_NEEDED) | tables.AFTERCARE_FURTHER
    if not episode_state.known(elements, listed):
        raise Invalid(
            "element-not-listed",
            "An element of aftercare is not on the list.",
            hint=episode_state.choose_from(listed),
        )
    if not episode_state.known(not_needed, tables.AFTERCARE_MAY_BE_NONE):
        raise Invalid(
            "element-needed",
            "Everybody needs one of these elements.",
            hint="Settle it; only what a person may do without can be marked as not needed.",
        )
    if ("first-appointment" in elements) is (first_appointment_at is None):
        raise Invalid(
            "first-appointment-without-time",
            "A first appointment is settled when its time is known.",
            hint="Send the element and its time together.",
        )
    if before.version >= VERSIONS_MAX:
        raise Refused(
            "too-many-versions",
            "The plan was written too often.",
            hint="Work with the version that holds.",
        )
    plan = AftercarePlan(
        version=before.version + 1,
        elements=tuple(dict.fromkeys((*tables.AFTERCARE_BEGUN, *elements))),
        not_needed=tuple(dict.fromkeys(not_needed)),
        first_appointment_at=first_appointment_at,
    )
    state = state.replace(aftercare=plan)
    answer = {"version": plan.version, "complete": plan.complete}
    if not plan.complete:
        return Decision(state, (_drafted(state),), answer=answer)
    state, cleared = loops.close(state, PlansLoop.AFTERCARE_PLAN, cause.subject_id)
    return Decision(state, (_drafted(state), *cleared), answer=answer)


def _planned_end(state: EpisodeState) -> datetime:
    admission = state.admission
    if admission is None:
        raise NotYetKnown("episode")
    return admission.admitted_at + timedelta(weeks=admission.length_weeks)


def _drafted(state: EpisodeState) -> plans.AftercarePlanDrafted:
    if state.aftercare is None or state.aftercare_plan_id is None:
        raise ValueError("there is no aftercare plan")
    return plans.AftercarePlanDrafted(
        aftercare_plan_id=state.aftercare_plan_id,
        version=state.aftercare.version,
        elements=state.aftercare.elements,
        complete=state.aftercare.complete,
        appointment_at=state.aftercare.first_appointment_at,
    )
