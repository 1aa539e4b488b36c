"""What attendance does about what others say, and what its own records ask of one another."""

from services.attendance import event_handlers
from services.attendance.episode import episode_state, rolls, seats, values
from services.attendance.event_handlers import unless_void
from services.attendance.groups import groups, sessions
from services.attendance.screening import incentives, screens
from shared.contracts import intake, plans
from shared.loops import team_assigned
from shared.runtime.core.reactions import Reactions, on
from shared.runtime.core.reactor import HandoffRules
from shared.runtime.http.task_lists import STAFF_REACTIONS

REACTIONS = Reactions(
    on(intake.WaitlistJoined, unless_void(seats.joined)),
    on(intake.WaitlistOffered, unless_void(seats.offered)),
    on(intake.WaitlistLeft, unless_void(seats.waiting_ended)),
    on(intake.PatientAdmitted, unless_void(event_handlers.admitted)),
    on(intake.OrientationCompleted, unless_void(event_handlers.oriented)),
    on(intake.CareTeamAssigned, team_assigned),
    on(intake.ConsentGranted, event_handlers.consent_heard),
    on(intake.ConsentRevoked, event_handlers.consent_heard),
    on(intake.ConsentExpired, event_handlers.consent_heard),
    on(intake.EpisodeEnteredInError, event_handlers.entered_in_error),
    on(intake.ReferralMerged, event_handlers.merged),
    on(intake.AdmissionUndone, unless_void(event_handlers.admission_undone)),
    on(intake.EpisodePersonCorrected, unless_void(event_handlers.person_corrected)),
    *STAFF_REACTIONS,
    on(plans.TreatmentPlanActivated, unless_void(event_handlers.plan_activated)),
    on(plans.TreatmentPlanReviewed, unless_void(event_handlers.plan_reviewed)),
    on(plans.ExpectedAnalytesUpdated, unless_void(event_handlers.expected_analytes_updated)),
    on(plans.CoOccurringNeedIdentified, unless_void(event_handlers.co_occurring_need)),
    on(plans.AncillaryServiceAdded, unless_void(rolls.ancillary_added)),
    on(plans.LevelOfCareChanged, unless_void(event_handlers.level_changed)),
    on(plans.ClinicalReviewCompleted, unless_void(screens.review_completed)),
    on(plans.TransferInitiated, unless_void(seats.transfer_initiated)),
    on(plans.TransferCompleted, unless_void(seats.transfer_completed)),
    on(plans.ProgramGraduated, unless_void(seats.graduated)),
    on(plans.EpisodeDischarged, unless_void(event_handlers.discharged)),
)

HANDOFFS = HandoffRules(
    {
        episode_state.Booked: rolls.booked,
        episode_state.RollCalled: rolls.roll_called,
        episode_state.Corrected: rolls.corrected,
        episode_state.Dropped: rolls.dropped,
        episode_state.LeftRoster: sessions.left_roster,
        seats.HoldSeat: groups.held_for,
        seats.ConfirmSeat: groups.confirmed_for,
        seats.ReleaseSeat: groups.released_by,
        seats.SeatGiven: seats.given,
        seats.SeatFreed: seats.freed,
        seats.SeatMissing: seats.missing,
        values.Earned: incentives.earned,
        values.WentBack: incentives.went_back,
        values.TakenOut: incentives.taken_out,
    }
)
