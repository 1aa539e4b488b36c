"""What attendance does about what others say, and what its own records ask of one another."""

from services.attendance import (
    domain,
    groups,
    heard,
    incentives,
    kept,
    rolls,
    screens,
    seats,
    sessions,
)
from services.attendance.heard import unless_void
from shared.contracts import intake, plans
from shared.loops import team_assigned
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules
from shared.runtime.work import STAFF_REACTIONS

REACTIONS = Reactions(
    on(intake.WaitlistJoined, unless_void(seats.joined)),
    on(intake.WaitlistOffered, unless_void(seats.offered)),
    on(intake.WaitlistLeft, unless_void(seats.waiting_ended)),
    on(intake.PatientAdmitted, unless_void(heard.admitted)),
    on(intake.OrientationCompleted, unless_void(heard.oriented)),
    on(intake.CareTeamAssigned, team_assigned),
    on(intake.ConsentGranted, heard.consent_heard),
    on(intake.ConsentRevoked, heard.consent_heard),
    on(intake.ConsentExpired, heard.consent_heard),
    on(intake.EpisodeEnteredInError, heard.entered_in_error),
    on(intake.ReferralMerged, heard.merged),
    on(intake.AdmissionUndone, unless_void(heard.admission_undone)),
    on(intake.EpisodePersonCorrected, unless_void(heard.person_corrected)),
    *STAFF_REACTIONS,
    on(plans.TreatmentPlanActivated, unless_void(heard.plan_activated)),
    on(plans.TreatmentPlanReviewed, unless_void(heard.plan_reviewed)),
    on(plans.ExpectedAnalytesUpdated, unless_void(heard.expected_analytes_updated)),
    on(plans.CoOccurringNeedIdentified, unless_void(heard.co_occurring_need)),
    on(plans.AncillaryServiceAdded, unless_void(rolls.ancillary_added)),
    on(plans.LevelOfCareChanged, unless_void(heard.level_changed)),
    on(plans.ClinicalReviewCompleted, unless_void(screens.review_completed)),
    on(plans.TransferInitiated, unless_void(seats.transfer_initiated)),
    on(plans.TransferCompleted, unless_void(seats.transfer_completed)),
    on(plans.ProgramGraduated, unless_void(seats.graduated)),
    on(plans.EpisodeDischarged, unless_void(heard.discharged)),
)

HANDOFFS = HandoffRules(
    {
        domain.Booked: rolls.booked,
        domain.RollCalled: rolls.roll_called,
        domain.Corrected: rolls.corrected,
        domain.Dropped: rolls.dropped,
        domain.LeftRoster: sessions.left_roster,
        seats.HoldSeat: groups.held_for,
        seats.ConfirmSeat: groups.confirmed_for,
        seats.ReleaseSeat: groups.released_by,
        seats.SeatGiven: seats.given,
        seats.SeatFreed: seats.freed,
        seats.SeatMissing: seats.missing,
        kept.Earned: incentives.earned,
        kept.WentBack: incentives.went_back,
        kept.TakenOut: incentives.taken_out,
    }
)
