"""Intake, put together. Decides nothing."""

from services.intake.api import ROUTERS
from services.intake.episode import episode_state
from services.intake.person import audit, consents, identity, person_state
from services.intake.reactions import HANDOFFS, REACTIONS, on_deadline
from services.intake.resources import partner_capacity, staff, waitlist_queue
from services.intake.settings import IntakeSettings
from shared.runtime.core.record import RecordKind
from shared.runtime.service import Service, run

SERVICE = Service(
    name="intake",
    summary="Referrals, consents, assessments, recommendations, admission and partner loops.",
    port=8001,
    kinds={
        "episode": RecordKind(episode_state.EpisodeState, on_deadline, minted_here=True),
        "person": RecordKind(person_state.PersonState, consents.on_deadline, minted_here=True),
        "group": RecordKind(waitlist_queue.LineState, waitlist_queue.line_due),
        "partners": RecordKind(partner_capacity.CapacityState, minted_here=True),
        "identity": RecordKind(identity.IdentityState, minted_here=True),
        "accesses": RecordKind(audit.AccessLog, minted_here=True),
        "searches": RecordKind(audit.SearchLog, minted_here=True),
        "accounting": RecordKind(audit.Accounting, minted_here=True),
        "staff": RecordKind(staff.StaffRecord, minted_here=True),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=ROUTERS,
)

if __name__ == "__main__":
    run(SERVICE, IntakeSettings())
