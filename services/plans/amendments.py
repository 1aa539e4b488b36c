"""A plan in force that gets other services: drafted as its next version, signed anew by both, in force only then.

Goals are added and changed one by one (`goals.py`); what is scheduled for the person is changed here. Until both have
signed, the version before stays in force, and somebody is to see to the signatures. Source:
docs/domain.md 3.5 (Treatment plans), fact 1.10: the patient's part in the plan.
"""

from __future__ import annotations

from services.plans import episode_state, treatment_plan
from services.plans.episode_state import Amendment, EpisodeState, Plan
from shared import loops
from shared.contracts.codes import ClearedReason, PlansLoop
from shared.contracts.plans import PlannedService
from shared.decision import Cause, Decision
from shared.errors import Refused, Unknown


def amend(
    state: EpisodeState, plan_id: str, services: tuple[PlannedService, ...], cause: Cause
) -> Decision[EpisodeState]:
    """Draft the plan's next version with other services. A draft that waits already is replaced by this one."""
    episode_state.in_treatment(state)
    plan = _in_force(state, plan_id)
    if services == plan.services:
        raise Refused(
            "amendment-changes-nothing",
            "These are the services of the plan in force.",
            hint="Send the services as they are to be, or leave the plan as it is.",
        )
    treatment_plan.fit_to_sign(state, plan.replace(services=services))
    state, cleared = _close_signatures(state, ClearedReason.SUPERSEDED)
    amendment = Amendment(amendment_id=cause.derive_id("amendment"), services=services)
    state = loops.open_loop(
        state.replace(amendment=amendment), PlansLoop.TREATMENT_PLAN, amendment.amendment_id, cause
    )
    answer = {"amendment_id": amendment.amendment_id, "version": plan.version + 1}
    return Decision(state, cleared, answer=answer)


def sign(
    state: EpisodeState, plan_id: str, *, by_patient: bool, cause: Cause
) -> Decision[EpisodeState]:
    """Sign the draft, or the amendment of a plan in force; with both signatures it is what holds."""
    episode_state.in_treatment(state)
    plan = episode_state.plan_of(state, plan_id)
    amendment = state.amendment
    if not plan.active or amendment is None:
        return treatment_plan.sign(state, plan_id, by_patient=by_patient, cause=cause)
    treatment_plan.fit_to_sign(state, plan.replace(services=amendment.services))
    signed = {"patient_signed_at" if by_patient else "clinician_signed_at": cause.now}
    amendment = amendment.replace(**signed)
    state = state.replace(amendment=amendment)
    if amendment.patient_signed_at is None or amendment.clinician_signed_at is None:
        return Decision(state)
    state, cleared = _close_signatures(state, ClearedReason.RESOLVED)
    state, amended = loops.close(state, PlansLoop.CONTINUED_SERVICE, cause.subject_id)
    plan = plan.replace(
        version=plan.version + 1,
        services=amendment.services,
        patient_signed_at=amendment.patient_signed_at,
        clinician_signed_at=amendment.clinician_signed_at,
    )
    state = state.replace(plan=plan)
    if plan.next_review_on is None:  # the last review decided an end that did not come
        state = episode_state.schedule_review(state, plan, cause)
    return Decision(state, (treatment_plan.activated(state), *cleared, *amended))


def withdraw(state: EpisodeState, plan_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """The amendment is given up: the plan in force stays as it is."""
    episode_state.in_treatment(state)
    _in_force(state, plan_id)
    if state.amendment is None:
        raise Unknown("amendment")
    state, cleared = _close_signatures(state, ClearedReason.WITHDRAWN)
    return Decision(state, cleared)


def _close_signatures(state: EpisodeState, reason: ClearedReason) -> episode_state.StateAndEvents:
    """Nobody has to get the signatures of an amendment any more."""
    if state.amendment is None:
        return state, ()
    loop_id = state.amendment.amendment_id
    return loops.close(state.replace(amendment=None), PlansLoop.TREATMENT_PLAN, loop_id, reason)


def _in_force(state: EpisodeState, plan_id: str) -> Plan:
    plan = episode_state.plan_of(state, plan_id)
    if not plan.active:
        raise Refused(
            "plan-not-active",
            "Only a plan in force is amended.",
            hint="Draft the plan anew; nobody has signed it for good.",
        )
    return plan
