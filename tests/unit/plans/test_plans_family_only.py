"""The family without the patient is no session of the patient's: nothing is due, counted or closed by it."""

from __future__ import annotations

from shared.contracts import attendance
from tests.unit.plans.world import attended, in_treatment
from tests.unit.support import fact


def test_it_counts_for_nothing() -> None:
    history = in_treatment()
    before = history.state
    only_family = {"family_only": True}
    history.hear(attended().model_copy(update=only_family))
    history.hear(fact(attendance.SessionMissed, absence="no_show", **only_family))
    history.hear(
        fact(
            attendance.AttendanceCorrected,
            status_before="no_show",
            status_after="attended",
            **only_family,
        )
    )
    assert history.state == before
    history.hear(attended("another"))
    assert len(history.state.sessions) == 1
