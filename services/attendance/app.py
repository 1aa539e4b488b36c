"""Attendance, put together. Decides nothing."""

from services.attendance import event_handlers
from services.attendance.api import ROUTERS
from services.attendance.episode import episode_state
from services.attendance.groups import groups, sessions
from services.attendance.reactions import HANDOFFS, REACTIONS
from services.attendance.screening import incentives
from shared.runtime.core.record import RecordKind
from shared.runtime.http.task_lists import STAFF_KIND
from shared.runtime.service import Service, run
from shared.runtime.settings import ServiceSettings

SERVICE = Service(
    name="attendance",
    summary="Sessions, rolls, weekly hours, absences and screens.",
    port=8003,
    kinds={
        "episode": RecordKind(episode_state.EpisodeState, event_handlers.on_deadline),
        "session": RecordKind(sessions.SessionState, sessions.on_deadline, owns_ids=True),
        "group": RecordKind(groups.GroupState, groups.on_deadline, owns_ids=True),
        "person": RecordKind(incentives.LedgerState),
        **STAFF_KIND,
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=ROUTERS,
)

if __name__ == "__main__":
    run(SERVICE, ServiceSettings())
