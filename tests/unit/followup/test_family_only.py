"""The family without the patient is no contact with the patient."""

from __future__ import annotations

import pytest

from shared.contracts import attendance
from shared.contracts.attendance import AttendanceStatus
from tests.unit.followup.world import DAY, Followup, admitted, attended, missed
from tests.unit.support import START


@pytest.mark.fault("F36")
def test_it_neither_ends_nor_begins_reaching_out_and_does_not_break_the_silence() -> None:
    """The request of F5: the mother's visits ended the outreach, and reset the clock of silence."""
    looked_for, quiet = Followup(), Followup()
    for history in (looked_for, quiet):
        history.hear(admitted())
    looked_for.hear(missed(START + DAY))
    assert looked_for.state.outreach is not None
    only_family = attended(START + 2 * DAY).model_copy(update={"family_only": True})
    looked_for.hear(only_family)
    assert looked_for.state.outreach is not None
    assert looked_for.state.contact_at is None
    assert only_family.session_id not in looked_for.state.sessions, "no measure counts it"
    quiet.hear(missed(START + 2 * DAY).model_copy(update={"family_only": True}))
    assert quiet.state.outreach is None


def test_its_correction_changes_nothing_either() -> None:
    history = Followup()
    history.hear(admitted())
    only_family = attended(START + DAY).model_copy(update={"family_only": True})
    history.hear(only_family)
    before = history.state
    history.hear(
        attendance.AttendanceCorrected(
            session_id=only_family.session_id,
            status_before=AttendanceStatus.ATTENDED,
            status_after=AttendanceStatus.NO_SHOW,
            minutes_before=60,
            minutes_after=0,
            reason=attendance.CorrectionReason.ENTERED_IN_ERROR,
            family_only=True,
        )
    )
    assert history.state == before
