"""The kinds of records that the routes of plans name."""

from typing import Final

from services.plans.available_sessions import GroupState, SessionState
from services.plans.episode_state import EpisodeState
from shared.runtime.http.subjects import Subjects

EPISODE: Final = Subjects("episode", EpisodeState)
GROUP: Final = Subjects("group", GroupState)
SESSION: Final = Subjects("session", SessionState)
