"""Followup, put together. Decides nothing."""

from services.followup import api, api_aftercare, api_measures, consents, domain, sessions
from services.followup.reactions import HANDOFFS, REACTIONS, on_deadline
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings
from shared.runtime.work import STAFF_KIND

SERVICE = Service(
    name="followup",
    summary="Outreach, aftercare, check-ins, return to use, re-engagement, and who was seen in time.",
    port=8004,
    kinds={
        "episode": RecordKind(domain.EpisodeState, on_deadline),
        "person": RecordKind(consents.PersonState),
        "session": RecordKind(sessions.SessionState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router, api_aftercare.router, api_measures.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
