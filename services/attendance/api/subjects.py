"""The kinds of records that the routes of attendance name."""

from typing import Final

from services.attendance.episode.episode_state import EpisodeState
from services.attendance.groups.closures import ClosuresState
from services.attendance.groups.group_state import GroupState
from services.attendance.groups.leaders import LeadingState
from services.attendance.groups.session_state import SessionState
from services.attendance.screening.incentives import LedgerState
from shared.runtime.http.subjects import Subjects

EPISODE: Final = Subjects("episode", EpisodeState)
SESSION: Final = Subjects("session", SessionState)
GROUP: Final = Subjects("group", GroupState)
CLOSURES: Final = Subjects("closures", ClosuresState)
PERSON: Final = Subjects("person", LedgerState)
STAFF: Final = Subjects("staff", LeadingState)
