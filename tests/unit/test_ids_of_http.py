"""The ids by which HTTP names something under way are in its events, and each fact that takes back names what."""

from __future__ import annotations

import pytest

from shared.contracts import attendance, followup, intake
from shared.contracts.event import Event


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (intake.WaitlistJoined, "waitlist_id"),
        (intake.WaitlistOffered, "waitlist_id"),
        (intake.WaitlistLeft, "waitlist_id"),
        (followup.ReengagementStarted, "reengagement_id"),
        (followup.ReengagementCompleted, "reengagement_id"),
        (followup.TransitionReported, "transition_id"),
        (followup.TransitionUndone, "transition_id"),
        (intake.AdmissionUndone, "admitted_at"),
        (attendance.GroupOpened, "seats_min"),
        (attendance.GroupFilled, "seats_max"),
        (followup.AftercarePlanActivated, "aftercare_days"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.NAME,
)
def test_it_is_always_said(event: type[Event], field: str) -> None:
    assert event.model_fields[field].is_required()
