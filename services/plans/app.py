"""Assembles the plans service from its parts. This module contains no rules."""

from services.plans import episode_state
from services.plans.api import ROUTERS
from services.plans.available_sessions import GroupState, SessionState
from services.plans.reactions import DEADLINES, REACTIONS
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http.task_lists import STAFF_KIND
from shared.runtime.serve import run
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="plans",
    summary="Treatment plans, goals, reviews, level changes, transfer, graduation and discharge.",
    kinds={
        "episode": RecordKind(episode_state.EpisodeState, DEADLINES),
        "group": RecordKind(GroupState),
        "session": RecordKind(SessionState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    routers=ROUTERS,
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings)
