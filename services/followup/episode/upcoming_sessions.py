"""The coming sessions, so that staff who call a person know when the person is expected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from pydantic import AwareDatetime

from shared.contracts import attendance
from shared.contracts.codes import Modality
from shared.decision import Cause, Decision, State


class SessionState(State):
    """What followup knows of one session."""

    INDEXES: ClassVar[tuple[str, ...]] = ("coming",)
    starts_at: AwareDatetime | None = None
    group_id: str | None = None
    modality: Modality = Modality.GROUP
    topic: str | None = None
    cancelled: bool = False

    def index_entries(self) -> Mapping[str, datetime]:
        """A session that will take place is found by when it begins."""
        return {} if self.starts_at is None or self.cancelled else {"coming": self.starts_at}


def scheduled(
    state: SessionState, event: attendance.SessionScheduled, _cause: Cause
) -> Decision[SessionState]:
    """A session will take place."""
    return Decision(
        state.replace(
            starts_at=event.starts_at,
            group_id=event.group_id,
            modality=event.modality,
            topic=event.topic,
        )
    )


def cancelled(
    state: SessionState, _event: attendance.SessionCancelled, _cause: Cause
) -> Decision[SessionState]:
    """It will not take place, and is listed no more."""
    return Decision(state.replace(cancelled=True))


def rescheduled(
    state: SessionState, event: attendance.SessionRescheduled, _cause: Cause
) -> Decision[SessionState]:
    """It takes place at another time."""
    return Decision(state.replace(starts_at=event.starts_at))


def put_back(
    state: SessionState, event: attendance.SessionCancellationUndone, _cause: Cause
) -> Decision[SessionState]:
    """It takes place after all."""
    return Decision(state.replace(starts_at=event.starts_at, cancelled=False))
