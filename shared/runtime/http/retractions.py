"""The bodies of commands that take a fact back. They always carry a reason."""

from __future__ import annotations

from shared.contracts.codes import MistakeReason
from shared.runtime.http.call import Body, OfEpisode


class TakeBack(Body):
    """Why."""

    reason: MistakeReason


class TakeBackOf(OfEpisode):
    """Why, of something within an episode."""

    reason: MistakeReason
