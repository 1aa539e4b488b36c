"""Aftercare: the year after discharge, with a plan and a calendar of check-ins that somebody owns.

Discharge opens it, in either order of events: it needs the time zone and the terms of the admission.
Pure; no clock, no ids, no I/O. Source: docs/domain.md 3.13 (Aftercare plan) and 3.14 (Cadence).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from services.followup import going_on
from services.followup.aftercare import appointments, check_ins
from services.followup.episode import check_in_calendar, contact, episode_state
from services.followup.episode.episode_state import (
    Admission,
    Aftercare,
    Agreed,
    CheckIn,
    Discharge,
    Draft,
    EpisodeState,
    Readmitted,
    StateAndEvents,
)
from services.followup.outreach import jail, outreach
from shared import loops
from shared.contracts import followup, intake, plans
from shared.contracts.codes import ClearedReason, FollowupLoop, Milestone, MistakeReason
from shared.contracts.event import Event
from shared.decision import Cause, Decision, Events, Handoff, derive_id
from shared.errors import Invalid, Refused

ELEMENTS: Final = ("check-in-calendar",)
"""What aftercare consists of when no plan was drafted: the calendar at least."""
ESSENTIAL: Final = frozenset({"crisis-contacts"})
"""Without these a plan is no plan: the loop stays open until they are agreed. House rule."""
APPOINTMENT_WITHIN: Final = timedelta(days=366)


# --- other services' events -----------------------------------------------------------------------------


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """Silence counts from here. Events that waited for it are decided; the earlier episode gets a handoff."""
    state = state.replace(
        admission=Admission.of(event),
        undone=False,
        person_id=event.person_id,
        level=event.level.code,
        path={**state.path, "admitted": event.admitted_at},
        waitlist={},
        ended=(),
    )
    free: Events = ()
    if state.discharge is not None and _is_of_an_undone_stay(state):
        left_at, why = state.discharge.discharged_at, MistakeReason.NOT_INTENDED
        state, free = jail.not_implied(state, left_at, why, cause)
    state, reached = contact.close_outreach(state, ClearedReason.RESOLVED)
    state, replayed = outreach.replay(contact.arm_silence(state), cause)
    state, events = activate(state, cause)
    prior = event.prior_episode_id
    body = Readmitted(episode_id=cause.subject_id, admitted_at=event.admitted_at)
    handoffs = () if prior is None else (Handoff(f"episode/{prior}", body),)
    return Decision(state, (*free, *reached, *replayed, *events), handoffs)


def drafted(
    state: EpisodeState, event: plans.AftercarePlanDrafted, _cause: Cause
) -> Decision[EpisodeState]:
    """The latest draft counts; one that comes after the activation changes nothing."""
    draft = Draft(aftercare_plan_id=event.aftercare_plan_id, elements=event.elements)
    return Decision(state if state.aftercare is not None else state.replace(draft=draft))


def approved(
    state: EpisodeState, _event: plans.GraduationApproved, cause: Cause
) -> Decision[EpisodeState]:
    """The last day is near: a plan that lacks what is essential has to be completed before it."""
    state = state.replace(path={**state.path, "approved": cause.now})
    if state.discharge is not None:
        return Decision(state)
    return Decision(_wants_plan(state, cause.now, cause))


def graduated(
    state: EpisodeState, event: plans.ProgramGraduated, _cause: Cause
) -> Decision[EpisodeState]:
    """Names the aftercare plan that takes over; the discharge follows at once and starts it."""
    state = state.replace(path={**state.path, "graduated": event.graduated_at})
    if state.aftercare is not None:
        return Decision(state)
    elements = ELEMENTS if state.draft is None else state.draft.elements
    draft = Draft(aftercare_plan_id=event.aftercare_plan_id, elements=elements)
    return Decision(state.replace(draft=draft))


def discharged(
    state: EpisodeState, event: plans.EpisodeDischarged, cause: Cause
) -> Decision[EpisodeState]:
    """What ran during the program ends, reviews with it; aftercare begins, however the person left."""
    if state.discharge is not None and not _is_of_an_undone_stay(state):
        return Decision(state)
    before = state
    discharge = Discharge(kind=event.kind, discharged_at=event.discharged_at)
    state, ended = contact.close_outreach(state, ClearedReason.EPISODE_CLOSED)
    state = state.replace(discharge=discharge, reviews={}, plan_review={}, weeks_short={})
    state = contact.arm_silence(state)
    if event.kind in episode_state.NO_CONTACT:
        state, stopped = contact.close_everything(state, ClearedReason.EPISODE_CLOSED)
        return Decision(going_on.put_aside(before, state), (*ended, *stopped))
    state, events = activate(going_on.put_aside(before, state), cause)
    return Decision(state, (*ended, *events))


def _is_of_an_undone_stay(state: EpisodeState) -> bool:
    left, admission = state.discharge, state.admission
    if left is None or admission is None:
        return False
    return left.discharged_at < admission.admitted_at


# --- beginning ------------------------------------------------------------------------------------------


def activate(state: EpisodeState, cause: Cause) -> StateAndEvents:
    """Begin aftercare as soon as both ends of the episode are known."""
    left, admission = state.discharge, state.admission
    if left is None or left.kind in episode_state.NO_CONTACT or _is_of_an_undone_stay(state):
        return state, ()
    if state.readmitted or state.aftercare is not None or state.undone:
        return state, ()
    if admission is None:
        return _wants_admission(state, cause), ()
    state, resolved = loops.close_all(state, state.loops_of(FollowupLoop.MISSING_FACT))
    draft = state.draft or Draft(aftercare_plan_id=_plan_id(state, cause), elements=ELEMENTS)
    elements = draft.elements if state.agreed is None else state.agreed.elements
    state = state.replace(
        aftercare=Aftercare(
            aftercare_plan_id=draft.aftercare_plan_id,
            check_ins=_calendar(left, admission, cause.subject),
        )
    )
    activated = followup.AftercarePlanActivated(
        aftercare_plan_id=draft.aftercare_plan_id,
        aftercare_days=admission.aftercare_days,
        elements=elements,
    )
    scheduled = tuple(_scheduled(state, key, i) for key, i in check_ins.check_ins(state).items())
    state = _wants_plan(calendar_armed(state), left.discharged_at, cause)
    if not check_ins.check_ins(state):
        state = state.arm("aftercare-over", _over_at(left, admission))
    return state, (*resolved, activated, *scheduled)


def _calendar(left: Discharge, admission: Admission, subject: str) -> dict[str, CheckIn]:
    # Ids follow from the end and not from the cause: whichever of the two events arrives last, they are the same. After
    # an end that was taken back, another one has check-ins of its own.
    milestones = check_in_calendar.within(admission.check_ins, admission.aftercare_days)
    return {
        _check_in_id(subject, left, window.milestone): CheckIn(window=window)
        for window in check_in_calendar.windows(left.discharged_at, admission.time_zone, milestones)
    }


def _check_in_id(subject: str, left: Discharge, milestone: Milestone) -> str:
    return derive_id("check-in", subject, left.discharged_at.isoformat(), milestone)


def calendar_armed(state: EpisodeState) -> EpisodeState:
    """Every check-in that is not settled comes, or is to be done."""
    for key, item in check_ins.check_ins(state).items():
        if item.settled is None:
            state = check_ins.armed(state, key, item)
    return state


def _scheduled(state: EpisodeState, check_in_id: str, item: CheckIn) -> followup.CheckInScheduled:
    return followup.CheckInScheduled(
        check_in_id=check_in_id,
        milestone=item.window.milestone,
        opens_at=item.window.opens_at,
        due_at=item.window.due_at,
        closes_at=item.window.closes_at,
        channel=followup.Channel.CALL if state.agreed is None else state.agreed.channel,
    )


def _over_at(left: Discharge, admission: Admission) -> datetime:
    return left.discharged_at + timedelta(days=admission.aftercare_days)


def over(state: EpisodeState, cause: Cause) -> Decision[EpisodeState]:
    """The days of an aftercare without check-ins have passed."""
    return Decision(*check_ins.finished(state, cause))


# --- a fact that is late --------------------------------------------------------------------------------


def _wants_admission(state: EpisodeState, cause: Cause) -> EpisodeState:
    """A person left whose admission has not arrived: until it does, nobody can be called on the right day."""
    return loops.open_loop(
        state, FollowupLoop.MISSING_FACT, derive_id("missing-fact", cause.subject), cause
    )


# --- the plan -------------------------------------------------------------------------------------------


def _plan_id(state: EpisodeState, cause: Cause) -> str:
    if state.aftercare is not None:
        return state.aftercare.aftercare_plan_id
    if state.draft is not None:
        return state.draft.aftercare_plan_id
    return derive_id("aftercare-plan", cause.subject)


def missing(state: EpisodeState) -> frozenset[str]:
    """What an aftercare plan must have, and this one has not."""
    if state.agreed is not None:
        return ESSENTIAL - set(state.agreed.elements)
    return ESSENTIAL - set(() if state.draft is None else state.draft.elements)


def _wants_plan(state: EpisodeState, since: datetime, cause: Cause) -> EpisodeState:
    """Somebody has to complete a plan that lacks what is essential."""
    if not missing(state):
        return state
    return loops.open_loop(
        state,
        FollowupLoop.AFTERCARE_PLAN,
        derive_id("aftercare-plan-loop", cause.subject),
        cause,
        since=since,
    )


def agree(state: EpisodeState, agreed: Agreed, cause: Cause) -> Decision[EpisodeState]:
    """The person and staff agree what aftercare consists of: before the last day, or as soon as possible after it."""
    contact.reachable(state)
    if state.readmitted or (state.aftercare is not None and state.aftercare.completed_at):
        raise Refused(
            "aftercare-over",
            "This aftercare is over, or a later episode has taken over.",
            hint="Work on the later episode.",
        )
    at = agreed.first_appointment_at
    if at is not None and at <= cause.now:
        raise Invalid(
            "appointment-in-past",
            "The first appointment lies in the past.",
            hint="Give an appointment that is still to come, or none.",
        )
    if at is not None and at > cause.now + APPOINTMENT_WITHIN:
        raise Invalid(
            "appointment-too-far",
            "The first appointment lies more than a year ahead.",
            hint="Give the appointment that follows the discharge.",
        )
    if at is None and state.agreed is not None:
        before = state.agreed
        more = {"first_appointment_at": before.first_appointment_at, "kept_on": before.kept_on}
        agreed = agreed.replace(**more)
    state = state.replace(agreed=agreed)
    ended: Iterable[Event] = ()
    if not missing(state):
        state, ended = loops.close_all(state, state.loops_of(FollowupLoop.AFTERCARE_PLAN))
    if at is not None:
        state = appointments.book(state, at, cause)
    plan_id = _plan_id(state, cause)
    if state.draft is None:
        state = state.replace(draft=Draft(aftercare_plan_id=plan_id, elements=ELEMENTS))
    event = followup.AftercarePlanAgreed(
        aftercare_plan_id=plan_id,
        elements=agreed.elements,
        appointment_at=agreed.first_appointment_at,
    )
    answer = {"aftercare_plan_id": plan_id, "missing": sorted(missing(state))}
    return Decision(state, (event, *ended), answer=answer)
