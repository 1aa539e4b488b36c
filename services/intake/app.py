"""Assembles the intake service from its parts. This module contains no rules."""

from services.intake.api import ROUTERS
from services.intake.episode import circumstances, episode_state
from services.intake.person import accounting, identity, person_state, places
from services.intake.reactions import (
    EPISODE_DEADLINES,
    GROUP_DEADLINES,
    HANDOFFS,
    PERSON_DEADLINES,
    REACTIONS,
)
from services.intake.resources import care_teams, partner_capacity, partners, waitlist_queue
from services.intake.settings import IntakeSettings
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.serve import run
from shared.runtime.service import Service

SERVICE = Service(
    name="intake",
    summary="Referrals, consents, assessments, recommendations, admission and partner loops.",
    kinds={
        "episode": RecordKind(
            episode_state.EpisodeState,
            EPISODE_DEADLINES,
            owns_ids=True,
            after_each=circumstances.restored,
        ),
        "person": RecordKind(
            person_state.PersonState, PERSON_DEADLINES, owns_ids=True, after_each=places.settled
        ),
        "group": RecordKind(waitlist_queue.LineState, GROUP_DEADLINES),
        "partner": RecordKind(partners.PartnerState, owns_ids=True, serves_all=True),
        "partners": RecordKind(partner_capacity.CapacityState, owns_ids=True),
        "identity": RecordKind(identity.IdentityState, owns_ids=True),
        "accounting": RecordKind(accounting.Accounting, owns_ids=True),
        "staff": RecordKind(care_teams.StaffRecord, owns_ids=True),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=ROUTERS,
    identities=True,
)

if __name__ == "__main__":
    run(SERVICE, IntakeSettings)
