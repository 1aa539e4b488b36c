"""The kinds of records that the routes of followup name."""

from typing import Final

from services.followup.episode.episode_state import EpisodeState
from shared.runtime.http.subjects import Subjects

EPISODE: Final = Subjects("episode", EpisodeState)
