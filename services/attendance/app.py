"""Attendance, put together. Decides nothing."""

from services.attendance import api, domain, heard, sessions
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
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=[api.router],
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
