"""Intake, put together. Decides nothing."""

from services.intake import api, api_consents, consents, domain
from services.intake.reactions import HANDOFFS, REACTIONS, on_deadline
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="intake",
    summary="Referrals, consents, assessments, recommendations, admission and partner loops.",
    port=8001,
    kinds={
        "episode": RecordKind(domain.EpisodeState, on_deadline, minted_here=True),
        "person": RecordKind(consents.PersonState, consents.on_deadline, minted_here=True),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router, api_consents.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
