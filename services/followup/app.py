"""Followup, put together. Decides nothing."""

from services.followup import api, domain
from services.followup.reactions import HANDOFFS, REACTIONS, on_deadline
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="followup",
    summary="Outreach, aftercare, check-ins, return to use and re-engagement.",
    port=8004,
    kinds={"episode": RecordKind(domain.EpisodeState, on_deadline)},
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
