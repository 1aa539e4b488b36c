"""Who is on duty: planned absences and deputies. Pure; no clock, no ids, no I/O.

Every service keeps a record per facility and member of staff, from intake's facts, so that each can say who acts for
whom without asking anybody. An owner who is away is no owner: their deputy acts, and when the deputy is away too, the
deputy's deputy.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, Field

from shared.contracts import intake
from shared.contracts.codes import Value
from shared.decision import Cause, Decision, State, derive_id

ABSENCES_KEPT: Final = 50


def staff_record_id(facility_id: str, staff_id: str) -> str:
    """The id of what is known of a member of staff at one facility.

    Who works at two has two records: what one facility plans neither shows nor acts at the other.
    """
    return derive_id("staff", facility_id, staff_id)


def staff_subject(facility_id: str, staff_id: str) -> str:
    """The subject of that record."""
    return f"staff/{staff_record_id(facility_id, staff_id)}"


class PlannedAbsence(Value):
    """From when to when someone is away, and who acts meanwhile."""

    from_at: AwareDatetime
    until_at: AwareDatetime
    deputy_id: str

    def covers(self, moment: datetime) -> bool:
        """Whether the person is away at this moment."""
        return self.from_at <= moment < self.until_at


class StaffState(State):
    """What one service knows of one member of staff at one facility: nothing but their absences."""

    absences: dict[str, PlannedAbsence] = Field(default_factory=dict[str, PlannedAbsence])

    def deputy_at(self, moment: datetime) -> str | None:
        """Who acts for this person at a moment; None while they are there themselves."""
        return next((a.deputy_id for a in self.absences.values() if a.covers(moment)), None)


def absence_planned(
    state: StaffState, event: intake.StaffAbsencePlanned, cause: Cause
) -> Decision[StaffState]:
    """Somebody will be away."""
    absence = PlannedAbsence(
        from_at=event.from_at, until_at=event.until_at, deputy_id=event.deputy_id
    )
    current = {key: a for key, a in state.absences.items() if a.until_at > cause.now}
    kept = dict(list({**current, event.absence_id: absence}.items())[-ABSENCES_KEPT:])
    return Decision(state.replace(absences=kept))


def absence_ended(
    state: StaffState, event: intake.StaffAbsenceEnded, _cause: Cause
) -> Decision[StaffState]:
    """The absence is called off, or ended early."""
    kept = {key: a for key, a in state.absences.items() if key != event.absence_id}
    return Decision(state.replace(absences=kept))


def acting(staff_id: str, staff: Mapping[str, StaffState], moment: datetime) -> str | None:
    """Who acts for a member of staff at a moment: they, or the deputy who is there.

    None when the deputies run in a circle: then nobody in person acts, and the work falls to the role.
    """
    asked: set[str] = set()
    while staff_id not in asked:
        asked.add(staff_id)
        known = staff.get(staff_id)
        deputy = None if known is None else known.deputy_at(moment)
        if deputy is None:
            return staff_id
        staff_id = deputy
    return None
