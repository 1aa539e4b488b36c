"""What attendance does about what others say."""

from services.attendance import domain
from shared.contracts import intake, plans
from shared.runtime.reactions import Reactions, on
from shared.runtime.reactor import HandoffRules

REACTIONS = Reactions(
    on(intake.PatientAdmitted, domain.admitted),
    on(plans.ExpectedAnalytesUpdated, domain.expected_analytes_updated),
    on(plans.LevelOfCareChanged, domain.level_changed),
    on(plans.EpisodeDischarged, domain.discharged),
)

HANDOFFS = HandoffRules(
    {
        domain.Booked: domain.booked,
        domain.RollCalled: domain.roll_called,
        domain.Dropped: domain.dropped,
    }
)
