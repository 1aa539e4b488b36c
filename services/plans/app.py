"""Plans, put together. Decides nothing."""

from services.plans import api, api_changes, domain
from services.plans.consents import PersonState
from services.plans.offer import GroupState, SessionState
from services.plans.reactions import REACTIONS, on_deadline
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings
from shared.runtime.work import STAFF_KIND

SERVICE = Service(
    name="plans",
    summary="Treatment plans, goals, reviews, level changes, transfer, graduation and discharge.",
    port=8002,
    kinds={
        "episode": RecordKind(domain.EpisodeState, on_deadline),
        "person": RecordKind(PersonState),
        "group": RecordKind(GroupState),
        "session": RecordKind(SessionState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    routers=[api.router, api_changes.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
