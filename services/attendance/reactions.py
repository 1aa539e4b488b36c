"""What attendance does about what others say, and what its own records ask of one another."""

from services.attendance import domain, heard, rolls, sessions
from services.attendance.heard import unless_void
from shared.contracts import intake, plans
from shared.loops import team_assigned
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules
from shared.runtime.work import STAFF_REACTIONS

REACTIONS = Reactions(
    on(intake.PatientAdmitted, unless_void(heard.admitted)),
    on(intake.OrientationCompleted, unless_void(heard.oriented)),
    on(intake.CareTeamAssigned, team_assigned),
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
    on(plans.EpisodeDischarged, unless_void(heard.discharged)),
)

HANDOFFS = HandoffRules(
    {
        domain.Booked: rolls.booked,
        domain.RollCalled: rolls.roll_called,
        domain.Corrected: rolls.corrected,
        domain.Dropped: rolls.dropped,
        domain.LeftRoster: sessions.left_roster,
    }
)
