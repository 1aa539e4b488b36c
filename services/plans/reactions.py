"""What plans does about what others say, and when its own deadlines come."""

from collections.abc import Callable
from datetime import date
from typing import TypeVar

from services.plans import (
    aftercare,
    available_sessions,
    consents,
    episode_state,
    event_handlers,
    level_changes,
    reviews,
    treatment_plan,
)
from services.plans.episode_state import EpisodeState
from shared.contracts import attendance, followup, intake
from shared.contracts.event import Event
from shared.decision import Cause, Decision
from shared.loops import DEADLINE, team_assigned
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.http.task_lists import STAFF_REACTIONS

E = TypeVar("E", bound=Event)
Rule = Callable[[EpisodeState, E, Cause], Decision[EpisodeState]]


def _of_episode(rule: Rule[E]) -> Rule[E]:
    """Nothing is done about an episode that should never have existed."""

    def decided(state: EpisodeState, event: E, cause: Cause) -> Decision[EpisodeState]:
        return Decision(state) if state.void else rule(state, event, cause)

    return decided


def _of_treatment(rule: Rule[E]) -> Rule[E]:
    """Nor about what is said of a treatment that was taken back: it was never this person's here."""

    def decided(state: EpisodeState, event: E, cause: Cause) -> Decision[EpisodeState]:
        return Decision(state) if state.void or state.undone else rule(state, event, cause)

    return decided


REACTIONS = Reactions(
    # the way in
    on(intake.AssessmentCompleted, _of_episode(event_handlers.assessed)),
    on(intake.LevelRecommended, _of_episode(event_handlers.level_recommended)),
    on(intake.PlacementDecided, _of_episode(event_handlers.placed)),
    on(intake.PatientAdmitted, _of_episode(event_handlers.admitted)),
    on(intake.OrientationCompleted, _of_episode(event_handlers.oriented)),
    on(intake.ImminentDangerIdentified, _of_episode(reviews.danger_identified)),
    # other places
    on(intake.ReferralSent, _of_episode(level_changes.referral_sent)),
    on(intake.PartnerReferralAccepted, _of_episode(level_changes.referral_accepted)),
    on(intake.PartnerReferralRejected, _of_episode(level_changes.referral_rejected)),
    on(intake.ReferralLoopClosed, _of_episode(level_changes.referral_closed)),
    on(intake.ConsentGranted, consents.granted),
    on(intake.ConsentRevoked, consents.revoked),
    on(intake.ConsentExpired, consents.expired),
    # sessions, hours, screens
    on(attendance.GroupOpened, available_sessions.group_opened),
    on(attendance.GroupFilled, available_sessions.group_filled),
    on(attendance.GroupBelowMinimum, available_sessions.group_below_minimum),
    on(attendance.SessionScheduled, available_sessions.session_scheduled),
    on(attendance.SessionCancelled, available_sessions.session_cancelled),
    on(attendance.SessionAttended, _of_treatment(event_handlers.session_attended)),
    on(attendance.SessionMissed, _of_treatment(event_handlers.session_missed)),
    on(attendance.AttendanceCorrected, _of_treatment(event_handlers.attendance_corrected)),
    on(attendance.AbsenceThresholdReached, _of_treatment(reviews.absence_threshold_reached)),
    on(attendance.ParticipationPaused, _of_treatment(reviews.participation_paused)),
    on(attendance.ParticipationResumed, _of_treatment(reviews.participation_resumed)),
    on(attendance.WeeklyHoursEvaluated, _of_treatment(reviews.week_evaluated)),
    on(attendance.WeeklyHoursShortfallDetected, _of_treatment(reviews.hours_short)),
    on(attendance.ScreenNotProvided, _of_treatment(reviews.screen_not_provided)),
    on(attendance.ScreenResulted, _of_treatment(reviews.screen_resulted)),
    on(attendance.BreathTestRecorded, _of_treatment(reviews.breath_tested)),
    on(attendance.ScreenInterpreted, _of_treatment(reviews.screen_interpreted)),
    on(attendance.ScreenFailed, _of_treatment(reviews.screen_failed)),
    on(attendance.MutualSupportLogged, _of_treatment(event_handlers.support_logged)),
    on(attendance.MutualSupportRequirementSet, _of_treatment(event_handlers.support_required)),
    on(attendance.FamilySessionAttended, _of_treatment(event_handlers.family_attended)),
    # after a session, after the program
    on(followup.CheckInCompleted, _of_treatment(reviews.checked_in)),
    on(followup.OutreachEscalated, _of_treatment(reviews.outreach_escalated)),
    on(followup.ReturnToUseReported, _of_treatment(reviews.return_to_use_reported)),
    # mistakes, and who looks after whom
    on(intake.EpisodeEnteredInError, _of_episode(event_handlers.entered_in_error)),
    on(intake.ReferralMerged, _of_episode(event_handlers.merged)),
    on(intake.AdmissionUndone, _of_episode(event_handlers.admission_undone)),
    on(intake.EpisodePersonCorrected, _of_episode(event_handlers.person_corrected)),
    on(intake.CareTeamAssigned, team_assigned),
    *STAFF_REACTIONS,
)


def on_deadline(state: EpisodeState, name: str, cause: Cause) -> Decision[EpisodeState]:
    """Which rule a deadline belongs to."""
    if name.startswith(DEADLINE):
        return episode_state.escalate(state, name, cause)
    kind, _, detail = name.partition(":")
    match kind:
        case "review-due":
            return treatment_plan.review_due(state, date.fromisoformat(detail), cause)
        case "level-effective":
            return level_changes.level_effective(state, cause)
        case "aftercare-opens":
            return aftercare.opens(state, cause)
        case _:
            raise ValueError(f"unknown deadline {kind}")
