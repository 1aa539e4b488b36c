"""What mistakes and changes of staff leave for other records of intake. Not part of the contract."""

from __future__ import annotations

from pydantic import AwareDatetime

from shared.decision import HandoffBody


class EpisodeLeft(HandoffBody):
    """To a person: this episode was never yours."""

    episode_id: str
    left_at: AwareDatetime


class EpisodeJoined(HandoffBody):
    """To a person: this episode is yours; it was written down as another's."""

    episode_id: str
    open: bool


class ReadmissionUndone(HandoffBody):
    """To the episode before: the person was not admitted again after all."""

    episode_id: str


class EmergencyTold(HandoffBody):
    """To an episode: something of it was disclosed in an emergency, and somebody has to look at it afterwards."""

    disclosure_id: str


class Held(HandoffBody):
    """To a member of staff: you hold this role for this episode."""

    episode_id: str
    role: str


class Released(HandoffBody):
    """To a member of staff: you no longer hold this role for this episode."""

    episode_id: str
    role: str


class HandedOver(HandoffBody):
    """To an episode: who held this role of yours gives it to a colleague."""

    role: str
    from_id: str
    to_id: str
