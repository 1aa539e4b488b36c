"""Handlers for other services' events that lead to no review: admission, sessions, support, and mistakes."""

from __future__ import annotations

from typing import Final

from services.plans import aftercare, level_changes, reviews, tables, transfers, treatment_plan
from services.plans.episode_state import Admission, EpisodeState, Session
from shared import loops, voiding
from shared.contracts import attendance, followup, intake
from shared.contracts.attendance import Absence, AttendanceStatus
from shared.contracts.codes import ClearedReason, PlansLoop
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind
from shared.contracts.plans import ReviewTrigger
from shared.contracts.terms import HOUSE
from shared.decision import Cause, Decision
from shared.endings import LateFacts

MEANWHILE: Final = LateFacts[EpisodeState]()
"""Decides what came while an episode was void, by the whole table of reactions."""
KEPT_WHEN_UNDONE: Final = (
    *("drivers", "co_occurring", "placement_gap", "outbound", "team"),
    *("transfer_asked", "circumstances"),
)
"""What is so whether the person is admitted or not, and what intake has to answer yet."""
KEPT_WHEN_VOID: Final = (*KEPT_WHEN_UNDONE, "admission", "plan", "discharged", "aftercare_plan_id")
"""What can still be looked at when an episode should never have existed."""


# --- from assessment to admission -------------------------------------------------------------------------


def assessed(
    state: EpisodeState, event: intake.AssessmentCompleted, _cause: Cause
) -> Decision[EpisodeState]:
    """The dimensions that set the level become the plan's problems; an enhanced need calls for integrated care."""
    return Decision(state.replace(drivers=event.drivers, co_occurring=event.co_occurring))


def level_recommended(
    state: EpisodeState, event: intake.LevelRecommended, cause: Cause
) -> Decision[EpisodeState]:
    """The drivers are the exit test. Somebody in treatment for whom another level is recommended is to be moved."""
    state = state.replace(drivers=event.drivers)
    admission = state.admission
    if admission is None or state.discharged is not None:
        return Decision(state)
    if tables.setting(event.level) == tables.setting(admission.level):
        return Decision(state)
    state = transfers.also_waited(state, lambda never: _to_be_moved(never, cause))
    return Decision(_to_be_moved(state, cause))


def _to_be_moved(state: EpisodeState, cause: Cause) -> EpisodeState:
    if state.level_change is not None:
        return state
    return loops.open_loop(state, PlansLoop.LEVEL_CHANGE, cause.subject_id, cause)


def placed(
    state: EpisodeState, event: intake.PlacementDecided, _cause: Cause
) -> Decision[EpisodeState]:
    """Why the person is at another level than was recommended, so that it can be looked at again at each review."""
    return Decision(state.replace(placement_gap=event.gap_reason))


def admitted(
    state: EpisodeState, event: intake.PatientAdmitted, cause: Cause
) -> Decision[EpisodeState]:
    """A plan is due soon; aftercare is drafted from the first day."""
    admission = Admission(
        level=event.level,
        population=event.population,
        admitted_at=event.admitted_at,
        time_zone=event.time_zone,
        person_id=event.person_id,
        length_weeks=event.length_weeks,
        terms=event.terms or HOUSE,
        program=event.program,
    )
    state = state.replace(admission=admission, undone=False)
    state, cleared = loops.close(state, PlansLoop.MISSING_FACT, cause.subject_id)
    state = _ask_for_discharge(state, state.circumstances, cause)
    begun = aftercare.begin(treatment_plan.expect_plan(state, cause), cause)
    return Decision(begun.state, (*begun.events, *cleared))


def oriented(
    state: EpisodeState, _event: intake.OrientationCompleted, _cause: Cause
) -> Decision[EpisodeState]:
    """From here on signatures may be collected."""
    return Decision(state.replace(oriented=True))


# --- sessions and support ---------------------------------------------------------------------------------


def session_attended(
    state: EpisodeState, event: attendance.SessionAttended, cause: Cause
) -> Decision[EpisodeState]:
    """After some sessions without a plan, the plan is due within a day. A step down is closed by the first session.

    The family without the patient is no session of the patient's, here and below.
    """
    if event.family_only:
        return Decision(state)
    session = Session(starts_at=event.starts_at, attended=True)
    decision = _counted(state, event.session_id, session, cause)
    state = decision.state
    if state.admission is None:
        state = loops.open_loop(state, PlansLoop.MISSING_FACT, cause.subject_id, cause)
    return Decision(state, decision.events)


def session_missed(
    state: EpisodeState, event: attendance.SessionMissed, cause: Cause
) -> Decision[EpisodeState]:
    """The pattern is attendance's to judge; here it is only stored, for the review of the plan."""
    if event.family_only:
        return Decision(state)
    missed = event.absence is Absence.NO_SHOW
    session = Session(starts_at=event.starts_at, missed=missed)
    return _counted(state, event.session_id, session, cause)


def attendance_corrected(
    state: EpisodeState, event: attendance.AttendanceCorrected, cause: Cause
) -> Decision[EpisodeState]:
    """The latest word about a session holds. What it does to a week comes with the week's next evaluation."""
    known = state.sessions.get(event.session_id)
    if event.family_only or known is None:
        return Decision(state)
    said = event.status_after
    session = known.replace(attended=said.is_present, missed=said is AttendanceStatus.NO_SHOW)
    return _counted(state, event.session_id, session, cause)


def _counted(
    state: EpisodeState, session_id: str, session: Session, cause: Cause
) -> Decision[EpisodeState]:
    before = state.sessions.get(session_id)
    state = state.replace(sessions={**state.sessions, session_id: session})
    if session.attended is not (before is not None and before.attended):
        state = _early(state, session_id, cause, present=session.attended)
    return Decision(*level_changes.watch_first_session(state, cause))


def _early(state: EpisodeState, session_id: str, cause: Cause, *, present: bool) -> EpisodeState:
    """Until there is a plan, sessions are counted one by one, because they make it due."""
    if state.plan is not None and state.plan.active:
        return state
    early = {key: at for key, at in state.early_sessions.items() if key != session_id}
    if present:
        early[session_id] = cause.now
    return treatment_plan.expect_plan(state.replace(early_sessions=early), cause)


def support_logged(
    state: EpisodeState, event: attendance.MutualSupportLogged, _cause: Cause
) -> Decision[EpisodeState]:
    """Meetings of any fellowship count toward goals and graduation, never hours: docs/domain.md facts 1.11 and 2.1."""
    meetings = {**state.meetings, event.meeting_id: event.attended_on}
    return Decision(state.replace(meetings=meetings))


def support_undone(
    state: EpisodeState, event: attendance.MutualSupportUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """There was no such meeting."""
    left = {key: day for key, day in state.meetings.items() if key != event.meeting_id}
    return Decision(state.replace(meetings=left))


def support_required(
    state: EpisodeState, event: attendance.MutualSupportRequirementSet, _cause: Cause
) -> Decision[EpisodeState]:
    """A person who opted out is asked for no meetings: docs/domain.md 3.10 (Mutual support)."""
    return Decision(state.replace(support_opted_out=event.opted_out))


def family_attended(
    state: EpisodeState, event: attendance.FamilySessionAttended, _cause: Cause
) -> Decision[EpisodeState]:
    """Family involvement counts toward graduation: docs/domain.md facts 2.1 and 2.7."""
    visit = f"{event.session_id}/{event.attendee_id}"
    return Decision(state.replace(family_visits=tuple(sorted({*state.family_visits, visit}))))


def family_undone(
    state: EpisodeState, event: attendance.FamilySessionUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Nobody of the family was there."""
    visit = f"{event.session_id}/{event.attendee_id}"
    return Decision(
        state.replace(family_visits=tuple(one for one in state.family_visits if one != visit))
    )


# --- circumstances ----------------------------------------------------------------------------------------


def circumstance_recorded(
    state: EpisodeState, event: followup.CircumstanceRecorded, cause: Cause
) -> Decision[EpisodeState]:
    """Who died, is in jail or has moved away while in treatment: a clinician decides how the episode ends."""
    if event.kind is CircumstanceKind.HOSPITALIZED:
        return Decision(state)
    own = event.circumstance_id
    state = state.replace(circumstances=(*_without(state.circumstances, own), own))
    return Decision(_ask_for_discharge(state, (own,), cause))


def circumstance_over(
    state: EpisodeState,
    event: followup.CircumstanceEnded | followup.CircumstanceUndone,
    _cause: Cause,
) -> Decision[EpisodeState]:
    """The person is here: nothing has to be decided."""
    loop_id, reason = event.circumstance_id, ClearedReason.WITHDRAWN
    state = state.replace(circumstances=_without(state.circumstances, loop_id))
    return Decision(*loops.close(state, PlansLoop.DISCHARGE, loop_id, reason))


def _ask_for_discharge(
    state: EpisodeState, circumstances: tuple[str, ...], cause: Cause
) -> EpisodeState:
    """Each circumstance asks for a decision while the person is in treatment, whichever of the two is known first."""
    if state.admission is None or state.discharged is not None:
        return state
    for one in circumstances:
        state = loops.open_loop(state, PlansLoop.DISCHARGE, one, cause)
    return state


def _without(ids: tuple[str, ...], gone: str) -> tuple[str, ...]:
    return tuple(one for one in ids if one != gone)


# --- mistakes ---------------------------------------------------------------------------------------------


def entered_in_error(
    state: EpisodeState, _event: intake.EpisodeEnteredInError, cause: Cause
) -> Decision[EpisodeState]:
    """The episode should never have existed: every loop of it is closed, and nothing more is done in it."""
    return _void(state, ClearedReason.ENTERED_IN_ERROR, intake.EpisodeEnteredInError, cause)


def merged(
    state: EpisodeState, _event: intake.ReferralMerged, cause: Cause
) -> Decision[EpisodeState]:
    """The other episode of this person goes on; the loops of this one are superseded."""
    return _void(state, ClearedReason.SUPERSEDED, intake.ReferralMerged, cause)


def _void(
    state: EpisodeState, reason: ClearedReason, by: type[Event], cause: Cause
) -> Decision[EpisodeState]:
    before = state
    state, cleared = loops.close_all(state, reason=reason)
    fields = {name: getattr(state, name) for name in KEPT_WHEN_VOID}
    void = EpisodeState(void=True).replace(**fields)
    return Decision(voiding.put_aside(before, void, by, cause), cleared)


def restored(
    state: EpisodeState,
    _event: intake.EpisodeEnteredInErrorUndone | intake.ReferralMergedUndone,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The episode goes on as it was. A clinician looks at what passed while nobody looked after the person."""
    if state.voided is None:
        return Decision(state)
    back = voiding.go_on(voiding.before(state), state, MEANWHILE, cause)
    if back.state.admission is None:
        return back
    since, trigger = state.voided.at, ReviewTrigger.EPISODE_RESTORED
    looked_at = reviews.request(back.state, trigger, cause, gap_from_at=since)
    return Decision(looked_at.state, (*back.events, *looked_at.events), back.handoffs)


def admission_undone(
    state: EpisodeState, _event: intake.AdmissionUndone, _cause: Cause
) -> Decision[EpisodeState]:
    """Remove the admission and everything that it started; what intake published before it stays."""
    state, cleared = loops.close_all(state, reason=ClearedReason.WITHDRAWN)
    fields = {name: getattr(state, name) for name in KEPT_WHEN_UNDONE}
    return Decision(EpisodeState(undone=True).replace(**fields), cleared)


def undone(state: EpisodeState) -> bool:
    """The admission was taken back: what others say of the treatment was never this person's here."""
    return state.undone


def person_corrected(
    state: EpisodeState, event: intake.EpisodePersonCorrected, _cause: Cause
) -> Decision[EpisodeState]:
    """The episode is another person's, whose consents count from now on."""
    if state.admission is None:
        return Decision(state)
    admission = state.admission.replace(person_id=event.person_id)
    return Decision(state.replace(admission=admission))
