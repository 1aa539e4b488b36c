"""Attendance, put together. Decides nothing."""

from services.attendance import (
    api,
    api_groups,
    api_screens,
    api_support,
    domain,
    groups,
    heard,
    incentives,
    sessions,
)
from services.attendance.reactions import HANDOFFS, REACTIONS
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings
from shared.runtime.work import STAFF_KIND

SERVICE = Service(
    name="attendance",
    summary="Sessions, rolls, weekly hours, absences and screens.",
    port=8003,
    kinds={
        "episode": RecordKind(domain.EpisodeState, heard.on_deadline),
        "session": RecordKind(sessions.SessionState, sessions.on_deadline, minted_here=True),
        "group": RecordKind(groups.GroupState, groups.on_deadline, minted_here=True),
        "person": RecordKind(incentives.LedgerState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router, api_groups.router, api_screens.router, api_support.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
