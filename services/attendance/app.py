"""Assembles the attendance service from its parts. This module contains no rules."""

from services.attendance.api import ROUTERS
from services.attendance.episode import episode_state
from services.attendance.groups import closures, group_state, leaders, session_state
from services.attendance.reactions import (
    EPISODE_DEADLINES,
    GROUP_DEADLINES,
    HANDOFFS,
    REACTIONS,
    SESSION_DEADLINES,
)
from services.attendance.screening import incentives
from services.attendance.settings import AttendanceSettings, laboratory
from shared.runtime.core.record_kind import RecordKind
from shared.runtime.http.task_lists import STAFF_KIND
from shared.runtime.serve import run
from shared.runtime.service import Service

SERVICE = Service(
    name="attendance",
    summary="Sessions, rolls, weekly hours, absences and screens.",
    kinds={
        "episode": RecordKind(episode_state.EpisodeState, EPISODE_DEADLINES),
        "session": RecordKind(session_state.SessionState, SESSION_DEADLINES, owns_ids=True),
        "group": RecordKind(group_state.GroupState, GROUP_DEADLINES, owns_ids=True),
        "closures": RecordKind(closures.ClosuresState),
        "person": RecordKind(incentives.LedgerState),
        **STAFF_KIND,
        "staff": RecordKind(leaders.LeadingState),
    },
    reactions=REACTIONS,
    handoffs=HANDOFFS,
    routers=ROUTERS,
    registered=lambda: laboratory().registered(),
)

if __name__ == "__main__":
    run(SERVICE, AttendanceSettings)
