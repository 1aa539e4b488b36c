"""Handlers for the events of an episode's path (`journey.py`): stored; acted on only where no other service does.

Pure; no clock, no ids, no I/O. Where an event names no time of its own, the time of its arrival counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Final

from services.followup.episode import contact
from services.followup.episode.episode_state import EpisodeState, Outbound, Referral, ShortWeek
from services.followup.measures import transitions
from services.followup.outreach import outreach
from shared.contracts import attendance, intake, plans
from shared.contracts.attendance import ScreenClass
from shared.contracts.codes import ClearedReason
from shared.contracts.followup import OutreachCause
from shared.contracts.intake import DeclineReason, ReferralOutcome
from shared.decision import Cause, Decision

EpisodeDecision = Decision[EpisodeState]
WEEKS_KEPT: Final = 60
"""How many short weeks are remembered: more than a year of them."""
RECOMMENDED: Final = "recommended_before_transfer"
"""Since when another level was looked for when the hand-over began."""


def on_path(state: EpisodeState, gone: tuple[str, ...] = (), **steps: datetime) -> EpisodeState:
    """The state with these steps reached, and without those that are gone."""
    path = {key: at for key, at in state.path.items() if key not in gone}
    return state.replace(path={**path, **steps})


# --- intake: from the referral to the admission ---------------------------------------------------------


def referral_received(
    state: EpisodeState, event: intake.ReferralReceived, _cause: Cause
) -> EpisodeDecision:
    """The way begins. Who referred the person may start a clock (`transitions.py`)."""
    referral = Referral(
        referral_id=event.referral_id,
        source_kind=event.source_kind,
        received_at=event.received_at,
        time_zone=event.time_zone,
    )
    return Decision(state.replace(referral=referral, person_id=event.person_id))


def referral_declined(
    state: EpisodeState, event: intake.ReferralDeclined, cause: Cause
) -> EpisodeDecision:
    """Somebody makes sure that the person got somewhere else. A duplicate is nobody who was turned away."""
    state = on_path(state, declined=cause.now)
    if event.reason is DeclineReason.DUPLICATE or state.outreach is not None:
        return Decision(state)
    why, within = OutreachCause.REFERRAL, outreach.REACH_AFTER_REFUSAL
    return Decision(outreach.begin(state, why, cause.now, cause, within=within))


def assessment_scheduled(
    state: EpisodeState, event: intake.AssessmentScheduled, _cause: Cause
) -> EpisodeDecision:
    """The visit that IET counts from, should it find the person eligible. Intake sees to it that it takes place."""
    return Decision(on_path(state, ("ineligible", "eligible"), assessment=event.starts_at))


def danger_identified(
    state: EpisodeState, event: intake.ImminentDangerIdentified, cause: Cause
) -> EpisodeDecision:
    """Intake owns the emergency. A visit to the emergency department starts the clock of being seen after it."""
    at = state.path.get("assessment", cause.now)
    return Decision(*transitions.danger(on_path(state, danger=cause.now), event, at, cause))


def eligibility_determined(
    state: EpisodeState, event: intake.EligibilityDetermined, cause: Cause
) -> EpisodeDecision:
    """The assessment led to a decision, so it was a visit."""
    stage = "eligible" if event.eligible else "ineligible"
    state = on_path(state, ("eligible", "ineligible", "danger"), **{stage: cause.now})
    return Decision(state.replace(assessed_at=state.path.get("assessment", state.assessed_at)))


def waitlist_joined(
    state: EpisodeState, event: intake.WaitlistJoined, cause: Cause
) -> EpisodeDecision:
    """The person waits; intake owns that."""
    state = on_path(state, ("offer_expires",), waitlisted=cause.now)
    return Decision(state.replace(waitlist={"track": event.track, "position": event.position}))


def waitlist_offered(
    state: EpisodeState, event: intake.WaitlistOffered, cause: Cause
) -> EpisodeDecision:
    """Until then the person has to answer."""
    since = state.path.get("waitlisted", cause.now)
    state = on_path(state, waitlisted=since, offer_expires=event.offer_expires_at)
    return Decision(state.replace(waitlist={**state.waitlist, "track": event.track}))


def waitlist_left(
    state: EpisodeState, _event: intake.WaitlistLeft, _cause: Cause
) -> EpisodeDecision:
    """The waiting is over."""
    return Decision(on_path(state, ("waitlisted", "offer_expires")).replace(waitlist={}))


# --- intake: partners -----------------------------------------------------------------------------------


def referral_sent(
    state: EpisodeState, event: intake.ReferralSent, _cause: Cause
) -> EpisodeDecision:
    """A partner is asked to take the person; intake owns the loop."""
    asked = Outbound(response_due_at=event.response_due_at)
    return Decision(state.replace(referrals={**state.referrals, event.referral_id: asked}))


def partner_accepted(
    state: EpisodeState, event: intake.PartnerReferralAccepted, _cause: Cause
) -> EpisodeDecision:
    """A partner will take the person: only arriving ends it."""
    more = {"status": "accepted", "appointment_at": event.appointment_at}
    return Decision(_outbound(state, event.referral_id, more))


def partner_rejected(
    state: EpisodeState, event: intake.PartnerReferralRejected, _cause: Cause
) -> EpisodeDecision:
    """A partner will not take the person; intake looks for another."""
    return Decision(_outbound(state, event.referral_id, {"status": "rejected"}))


def referral_overdue(
    state: EpisodeState, event: intake.ReferralLoopOverdue, _cause: Cause
) -> EpisodeDecision:
    """Its outcome is not known in time; intake escalates."""
    return Decision(_outbound(state, event.referral_id, {"overdue": True}))


def _outbound(state: EpisodeState, referral_id: str, more: Mapping[str, object]) -> EpisodeState:
    known = state.referrals.get(referral_id)
    if known is None:
        return state
    changed = known.replace(**more)
    return state.replace(referrals={**state.referrals, referral_id: changed})


def referral_closed(
    state: EpisodeState, event: intake.ReferralLoopClosed, cause: Cause
) -> EpisodeDecision:
    """It is known what became of a referral. Who was sent on and did not arrive is looked for."""
    inbound = state.referral is not None and event.referral_id == state.referral.referral_id
    if inbound:
        elsewhere = event.outcome is not ReferralOutcome.ADMITTED
        return Decision(on_path(state, closed=cause.now) if elsewhere else state)
    left = {key: one for key, one in state.referrals.items() if key != event.referral_id}
    was_ours = len(left) < len(state.referrals)
    state = state.replace(referrals=left)
    if event.outcome is ReferralOutcome.ADMITTED:
        if state.outreach is not None and state.outreach.cause is OutreachCause.REFERRAL:
            return Decision(*contact.close_outreach(state, ClearedReason.RESOLVED))
        return Decision(state)
    nobody_has_them = state.admission is None and not left and state.outreach is None
    lost = event.outcome in (ReferralOutcome.NO_SHOW, ReferralOutcome.LOST)
    if was_ours and nobody_has_them and lost:
        why, within = OutreachCause.REFERRAL, timedelta(days=1)
        return Decision(outreach.begin(state, why, cause.now, cause, within=within))
    return Decision(state)


def paused(
    state: EpisodeState, event: attendance.ParticipationPaused, cause: Cause
) -> EpisodeDecision:
    """Somebody informs the person directly within a day, unless they were reached since. Attendance owns the return."""
    if state.undone and state.admission is None:
        return Decision(state)  # of an admission that was taken back
    state = on_path(state, paused=event.paused_at, resumes=event.resumes_at)
    reached = state.contact_at is not None and state.contact_at >= event.paused_at
    if reached or state.outreach is not None or state.discharge is not None:
        return Decision(state)
    why, within = OutreachCause.ABSENCE_THRESHOLD, outreach.REACH_WITHIN
    return Decision(outreach.begin(state, why, event.paused_at, cause, within=within))


def resumed(
    state: EpisodeState, event: attendance.ParticipationResumed, _cause: Cause
) -> EpisodeDecision:
    """The person may come again. Of a pause that should not have been, nobody has to be told."""
    state = on_path(state, ("paused", "resumes"))
    if event.reason is not attendance.PauseEnd.CORRECTED:
        return Decision(state)
    return Decision(*outreach.still_chased(state))


# --- plans ----------------------------------------------------------------------------------------------


def plan_activated(
    state: EpisodeState, event: plans.TreatmentPlanActivated, _cause: Cause
) -> EpisodeDecision:
    """There is a plan, with goals and a day for its review."""
    signed_at = max(event.patient_signed_at, event.clinician_signed_at)
    goals = {goal.goal_id: state.goals.get(goal.goal_id, False) for goal in event.goals}
    state = on_path(state, planned=state.path.get("planned", signed_at))
    return Decision(
        state.replace(
            goals={**state.goals, **goals},
            plan_review=_review(state, event.next_review_on.isoformat(), overdue=False),
        )
    )


def goal_added(state: EpisodeState, event: plans.GoalAdded, _cause: Cause) -> EpisodeDecision:
    """A further goal."""
    return _open(state, event.goal.goal_id)


def goal_updated(state: EpisodeState, event: plans.GoalUpdated, _cause: Cause) -> EpisodeDecision:
    """A goal that is worked on. The latest measurement holds: one that is lost again is open again."""
    if event.achieved is None:
        return _open(state, event.goal_id)
    return Decision(state.replace(goals={**state.goals, event.goal_id: event.achieved}))


def _open(state: EpisodeState, goal_id: str) -> EpisodeDecision:
    goals = {**state.goals, goal_id: state.goals.get(goal_id, False)}
    return Decision(state.replace(goals=goals))


def goal_withdrawn(
    state: EpisodeState, event: plans.GoalWithdrawn, _cause: Cause
) -> EpisodeDecision:
    """A goal that is no longer pursued."""
    goals = {key: one for key, one in state.goals.items() if key != event.goal_id}
    return Decision(state.replace(goals=goals))


def goal_achieved(state: EpisodeState, event: plans.GoalAchieved, _cause: Cause) -> EpisodeDecision:
    """A goal reached."""
    return Decision(state.replace(goals={**state.goals, event.goal_id: True}))


def _review(state: EpisodeState, due_on: str, *, overdue: bool) -> dict[str, str | bool]:
    return {} if state.discharge is not None else {"due_on": due_on, "overdue": overdue}


def plan_review_due(
    state: EpisodeState, event: plans.TreatmentPlanReviewDue, _cause: Cause
) -> EpisodeDecision:
    """Plans owns the review; here it shows."""
    return Decision(
        state.replace(plan_review=_review(state, event.due_on.isoformat(), overdue=False))
    )


def plan_review_overdue(
    state: EpisodeState, event: plans.TreatmentPlanReviewOverdue, _cause: Cause
) -> EpisodeDecision:
    """Plans escalates; here it shows."""
    return Decision(
        state.replace(plan_review=_review(state, event.due_on.isoformat(), overdue=True))
    )


def plan_reviewed(
    state: EpisodeState, event: plans.TreatmentPlanReviewed, _cause: Cause
) -> EpisodeDecision:
    """The next review, if there is to be one."""
    if event.next_review_on is None:
        return Decision(state.replace(plan_review={}))
    due_on = event.next_review_on.isoformat()
    return Decision(state.replace(plan_review=_review(state, due_on, overdue=False)))


def co_occurring(
    state: EpisodeState, event: plans.CoOccurringNeedIdentified, _cause: Cause
) -> EpisodeDecision:
    """Staff who call have to know that more than addiction is treated."""
    needs = {**state.co_occurring, event.category.value: event.enhanced_program_needed}
    return Decision(state.replace(co_occurring=needs))


def review_requested(
    state: EpisodeState, event: plans.ClinicalReviewRequested, _cause: Cause
) -> EpisodeDecision:
    """A clinician is to look at something."""
    if state.discharge is not None:
        return Decision(state)
    return Decision(state.replace(reviews={**state.reviews, event.review_id: False}))


def review_overdue(
    state: EpisodeState, event: plans.ClinicalReviewOverdue, _cause: Cause
) -> EpisodeDecision:
    """Plans escalates; here it shows."""
    if event.review_id not in state.reviews:
        return Decision(state)
    return Decision(state.replace(reviews={**state.reviews, event.review_id: True}))


def review_completed(
    state: EpisodeState, event: plans.ClinicalReviewCompleted, _cause: Cause
) -> EpisodeDecision:
    """A clinician has looked."""
    left = {key: late for key, late in state.reviews.items() if key != event.review_id}
    return Decision(state.replace(reviews=left))


def review_undone(
    state: EpisodeState, event: plans.ClinicalReviewUndone, _cause: Cause
) -> EpisodeDecision:
    """A clinician is to look after all."""
    if state.discharge is not None:
        return Decision(state)
    return Decision(state.replace(reviews={**state.reviews, event.review_id: False}))


def change_recommended(
    state: EpisodeState, _event: plans.LevelOfCareChangeRecommended, cause: Cause
) -> EpisodeDecision:
    """Another level is looked for; plans owns it."""
    return Decision(on_path(state, change_recommended=cause.now))


def transfer_initiated(
    state: EpisodeState, event: plans.TransferInitiated, _cause: Cause
) -> EpisodeDecision:
    """We stay responsible until the other place has seen the person."""
    before = state.path.get("change_recommended")
    kept = {} if before is None else {RECOMMENDED: before}
    gone = ("change_recommended",)
    return Decision(on_path(state, gone, transferring=event.handoff_at, **kept))


def transfer_undone(
    state: EpisodeState, _event: plans.TransferUndone, _cause: Cause
) -> EpisodeDecision:
    """Nobody is handed over: another level is looked for, if it was before and still is."""
    before = state.path.get(RECOMMENDED)
    newer = "change_recommended" in state.path
    again = {} if before is None or newer else {"change_recommended": before}
    return Decision(on_path(state, ("transferring", RECOMMENDED), **again))


def transfer_fell_through(
    state: EpisodeState, event: plans.TransferFellThrough, _cause: Cause
) -> EpisodeDecision:
    """Nobody arrives there: another place is looked for, and its time counts from when that was known."""
    gone = ("transferring", RECOMMENDED)
    return Decision(on_path(state, gone, change_recommended=event.fell_through_at))


def transfer_completed(
    state: EpisodeState, event: plans.TransferCompleted, _cause: Cause
) -> EpisodeDecision:
    """The other facility has seen the person: a service that measures count."""
    return Decision(on_path(state, ("transferring",), transferred=event.first_contact_at))


# --- attendance -----------------------------------------------------------------------------------------


def hours_short(
    state: EpisodeState, event: attendance.WeeklyHoursShortfallDetected, _cause: Cause
) -> EpisodeDecision:
    """Attendance owns the make-up; here it shows."""
    if state.discharge is not None:
        return Decision(state)
    short = ShortWeek(minutes_short=event.minutes_short, projected=event.projected)
    return Decision(_with_week(state, event.week_starts_on, short))


def week_evaluated(
    state: EpisodeState, event: attendance.WeeklyHoursEvaluated, _cause: Cause
) -> EpisodeDecision:
    """How a week came out; the latest evaluation holds. One that is made up or corrected is short no more."""
    if state.discharge is not None:
        return Decision(state)
    possible = min(event.minutes_threshold, event.minutes_offered)
    minutes_short = max(0, possible - event.minutes_credited)
    short = ShortWeek(minutes_short=minutes_short) if minutes_short else None
    return Decision(_with_week(state, event.week_starts_on, short))


def _with_week(state: EpisodeState, monday: date, short: ShortWeek | None) -> EpisodeState:
    day = monday.isoformat()
    weeks = {key: one for key, one in state.weeks_short.items() if key != day}
    if short is not None:
        weeks[day] = short
    return state.replace(weeks_short=dict(sorted(weeks.items())[-WEEKS_KEPT:]))


def screen_ordered(
    state: EpisodeState, event: attendance.ScreenOrdered, _cause: Cause
) -> EpisodeDecision:
    """The person is expected until then: staff who call know of the visit."""
    return Decision(_expected(state, event.screen_id, event.window_ends_at))


def specimen_undone(
    state: EpisodeState, event: attendance.SpecimenUndone, _cause: Cause
) -> EpisodeDecision:
    """The specimen was none of this person's: they are expected again."""
    return Decision(_expected(state, event.screen_id, event.window_ends_at))


def _expected(state: EpisodeState, screen_id: str, until: datetime) -> EpisodeState:
    due = {**state.screens_due, screen_id: until}
    return state.replace(screens_due=dict(sorted(due.items(), key=lambda one: one[1])[-5:]))


def screen_order_undone(
    state: EpisodeState, event: attendance.ScreenOrderUndone, _cause: Cause
) -> EpisodeDecision:
    """Nobody is expected for it."""
    left = {key: at for key, at in state.screens_due.items() if key != event.screen_id}
    return Decision(state.replace(screens_due=left))


def screen_interpreted(
    state: EpisodeState, event: attendance.ScreenInterpreted, _cause: Cause
) -> EpisodeDecision:
    """Nobody is expected for it any more. What it means is plans' to act on."""
    left = {key: at for key, at in state.screens_due.items() if key != event.screen_id}
    state = state.replace(screens_due=left)
    if event.classification is ScreenClass.UNEXPECTED_POSITIVE:
        return Decision(state.replace(failed=tuple(sorted({*state.failed, event.screen_id}))))
    return Decision(_not_failed(state, event.screen_id))


def interpretation_undone(
    state: EpisodeState, event: attendance.InterpretationUndone, _cause: Cause
) -> EpisodeDecision:
    """Nothing was read from the screen, until it is interpreted again."""
    return Decision(_not_failed(state, event.screen_id))


def _not_failed(state: EpisodeState, screen_id: str) -> EpisodeState:
    return state.replace(failed=tuple(one for one in state.failed if one != screen_id))
