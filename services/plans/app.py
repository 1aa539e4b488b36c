"""Plans, put together. Decides nothing."""

from services.plans import api, domain
from services.plans.reactions import REACTIONS, on_deadline
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="plans",
    summary="Treatment plans, reviews, level changes, graduation and discharge.",
    port=8002,
    kinds={"episode": RecordKind(domain.EpisodeState, on_deadline)},
    reactions=REACTIONS,
    routers=[api.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
