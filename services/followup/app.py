"""Assembles the followup service from its parts. This module contains no rules."""

from services.followup import invariants
from services.followup.api import ROUTERS
from services.followup.episode import episode_state, upcoming_sessions
from services.followup.reactions import DEADLINES, HANDOFFS, REACTIONS
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http.task_lists import STAFF_KIND
from shared.runtime.serve import run
from shared.runtime.service import Service
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="followup",
    summary="Outreach, aftercare, check-ins, return to use, re-engagement, and who was seen in time.",
    kinds={
        "episode": RecordKind(
            episode_state.EpisodeState, DEADLINES, after_each=invariants.restored
        ),
        "session": RecordKind(upcoming_sessions.SessionState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=ROUTERS,
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings)
