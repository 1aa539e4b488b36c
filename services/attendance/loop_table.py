"""Attendance's table of open loops: who owns each kind, and how long each owner has.

All owners and times are house rules unless a row names its source.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.contracts.codes import AttendanceLoop, Role
from shared.loops import LoopRule

_NURSE_FIRST: Final = (Role.NURSE, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR)

LOOPS: Final[Mapping[AttendanceLoop, LoopRule]] = {
    # Somebody counts on a seat that does not exist: another one is found within a day.
    AttendanceLoop.SEAT: LoopRule(
        owners=(Role.INTAKE_COORDINATOR, Role.PROGRAM_DIRECTOR), within=timedelta(hours=24)
    ),
    # A group has too few people: what becomes of it is decided within two days.
    AttendanceLoop.GROUP_SIZE: LoopRule(
        owners=(Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR), within=timedelta(hours=48)
    ),
    # A roll is called within a day of the session's end.
    AttendanceLoop.ROLL_CALL: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(hours=24),
    ),
    # Somebody came who by their record is not expected: within two days the record or the roll is put right.
    AttendanceLoop.WALK_IN: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(hours=48),
    ),
    # Who was to lead leads another session then, or is away: another leader or another time within a day.
    AttendanceLoop.LEADER: LoopRule(
        owners=(Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR), within=timedelta(hours=24)
    ),
    # A roll is signed by who led the session within three days.
    AttendanceLoop.SIGN_OFF: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(hours=72),
    ),
    # One person in two rooms at once: one of the bookings goes within a day.
    AttendanceLoop.DOUBLE_BOOKING: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(hours=24),
    ),
    # The first owner books what is missing in a week, the second sees to it that it is booked. `within` is the least
    # time anybody has for it.
    AttendanceLoop.MAKE_UP: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICAL_SUPERVISOR), within=timedelta(hours=24)
    ),
    # Until the collection window of the order ends.
    AttendanceLoop.SPECIMEN: LoopRule(
        owners=(Role.COUNSELOR, Role.NURSE, Role.CLINICAL_SUPERVISOR)
    ),
    # From specimen to result; a definitive test takes longer (`specimens.py`).
    AttendanceLoop.SCREEN_RESULT: LoopRule(
        owners=(Role.NURSE, Role.CLINICAL_SUPERVISOR), within=timedelta(hours=72)
    ),
    # The next working day.
    AttendanceLoop.SCREEN_INTERPRETATION: LoopRule(
        owners=(Role.CLINICIAN, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
    ),
    # From a dilute specimen to another one (docs/domain.md scenario 4); a breath test is repeated much sooner
    # (`breath_tests.py`).
    AttendanceLoop.SCREEN_RETEST: LoopRule(owners=_NURSE_FIRST, within=timedelta(hours=48)),
    # No draw has chosen the person within the longest time between screens: a nurse chooses the moment.
    AttendanceLoop.SCREEN_DUE: LoopRule(owners=_NURSE_FIRST, within=timedelta(hours=48)),
    # From a confirmed positive breath test to a safe way home and a check for withdrawal.
    AttendanceLoop.SAFE_DEPARTURE: LoopRule(
        owners=(Role.NURSE, Role.CLINICIAN, Role.PROGRAM_DIRECTOR), within=timedelta(hours=1)
    ),
    # From the end of a pause to the first session after it.
    AttendanceLoop.RETURN_AFTER_PAUSE: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR), within=timedelta(days=7)
    ),
}
