"""Attendance, put together. Decides nothing."""

from services.attendance import api, domain, sessions
from services.attendance.reactions import HANDOFFS, REACTIONS
from shared.runtime.record import RecordKind
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="attendance",
    summary="Sessions, rolls, weekly hours, absences and screens.",
    port=8003,
    kinds={
        "episode": RecordKind(domain.EpisodeState, domain.on_deadline),
        "session": RecordKind(sessions.SessionState, minted_here=True),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
