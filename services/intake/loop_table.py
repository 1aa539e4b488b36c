"""Intake's table of open loops: who owns each kind, and how long each owner has.

All owners and times are house rules; none of them is an official rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.contracts.codes import IntakeLoop, Role, Urgency
from shared.loops import LoopRule

ACKNOWLEDGE_WITHIN: Final[Mapping[Urgency, timedelta]] = {
    Urgency.EMERGENT: timedelta(minutes=30),
    Urgency.URGENT: timedelta(hours=4),
    Urgency.ROUTINE: timedelta(hours=24),
}
"""How soon somebody takes a referral on. House rule."""

_ESCALATION: Final = (Role.INTAKE_COORDINATOR, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR)
"""Who owns most loops after each missed deadline."""


def _rule(first_owner: Role, within: timedelta | None) -> LoopRule:
    return LoopRule(owners=(first_owner, *_ESCALATION), within=within)


LOOPS: Final[Mapping[IntakeLoop, LoopRule]] = {
    # By the urgency of the referral: `ACKNOWLEDGE_WITHIN`.
    IntakeLoop.REFERRAL_ACKNOWLEDGEMENT: _rule(Role.INTAKE_COORDINATOR, None),
    # Each step from here on is counted from the end of the step before it.
    IntakeLoop.ASSESSMENT: _rule(Role.INTAKE_COORDINATOR, timedelta(days=14)),
    IntakeLoop.EMERGENCY_RESPONSE: _rule(Role.CLINICIAN, timedelta(days=1)),
    IntakeLoop.RECOMMENDATION: _rule(Role.CLINICIAN, timedelta(days=3)),
    IntakeLoop.PLACEMENT: _rule(Role.INTAKE_COORDINATOR, timedelta(days=7)),
    IntakeLoop.WAITLIST: _rule(Role.INTAKE_COORDINATOR, timedelta(days=14)),
    IntakeLoop.ADMISSION: _rule(Role.INTAKE_COORDINATOR, timedelta(days=14)),
    # Of somebody who does not come: they died, are in jail or have moved away.
    IntakeLoop.REFERRAL_CLOSURE: _rule(Role.INTAKE_COORDINATOR, timedelta(days=3)),
    IntakeLoop.ORIENTATION: _rule(Role.INTAKE_COORDINATOR, timedelta(days=7)),
    # Two open episodes of one person in one program: who may undo an admission has to say which goes on.
    IntakeLoop.DOUBLE_ADMISSION: LoopRule(
        owners=(Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR), within=timedelta(days=1)
    ),
    # To find a partner; a referral that was sent is answered in the time that was asked for.
    IntakeLoop.OUTBOUND_REFERRAL: _rule(Role.CASE_MANAGER, timedelta(days=2)),
    IntakeLoop.READMISSION: _rule(Role.INTAKE_COORDINATOR, timedelta(hours=72)),
    # Somebody who took no part reviews what was disclosed in an emergency, or after its consent had ended.
    IntakeLoop.DISCLOSURE_REVIEW: LoopRule(
        owners=(Role.PRIVACY_OFFICER, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(days=1),
    ),
    # Who sends what was allowed says what became of it; without that, nobody knows what was disclosed.
    IntakeLoop.DISCLOSURE_REPORT: LoopRule(
        owners=(Role.CASE_MANAGER, Role.PRIVACY_OFFICER, Role.PROGRAM_DIRECTOR),
        within=timedelta(days=1),
    ),
}
