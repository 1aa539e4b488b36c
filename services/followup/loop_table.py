"""Followup's table of open loops: who owns each kind, and how long each owner has.

All owners and times are house rules unless a row names its source; many numbers of days are the program's terms, pinned
at admission, and stand with their rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.contracts.codes import FollowupLoop, Role
from shared.loops import LoopRule

_MANAGER_FIRST: Final = (Role.CASE_MANAGER, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR)

LOOPS: Final[Mapping[FollowupLoop, LoopRule]] = {
    # The step of an outreach is the tier it has reached; how long a tier lasts depends on why (`outreach.py`).
    FollowupLoop.OUTREACH: LoopRule(
        owners=(Role.COUNSELOR, Role.COUNSELOR, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR)
    ),
    # Both deadlines follow from the check-in's window (`check_ins.py`).
    FollowupLoop.CHECK_IN: LoopRule(owners=_MANAGER_FIRST),
    # By the most urgent risk; a risk to life has owners and times of its own (`RISK_TO_LIFE`).
    FollowupLoop.RISK_RESPONSE: LoopRule(owners=_MANAGER_FIRST),
    # From the approval of the graduation, or from discharge, to a plan: before the first check-in.
    FollowupLoop.AFTERCARE_PLAN: LoopRule(
        owners=(Role.COUNSELOR, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR),
        within=timedelta(hours=72),
    ),
    # From the appointment to knowing whether the person came.
    FollowupLoop.FIRST_APPOINTMENT: LoopRule(owners=_MANAGER_FIRST, within=timedelta(hours=24)),
    # Who owns a reassessment, and then one that did not take place in time; sooner after an overdose
    # (`reengagement.py`). docs/domain.md 3.14 (Cadence).
    FollowupLoop.REENGAGEMENT: LoopRule(
        owners=(
            Role.CASE_MANAGER,
            Role.CLINICIAN,
            Role.CLINICAL_SUPERVISOR,
            Role.PROGRAM_DIRECTOR,
        ),
        within=timedelta(hours=72),
    ),
    # Its first step is the announcement that contact is lost: from then on the case manager looks for the person, and
    # another month later the supervisor.
    FollowupLoop.LOST_CONTACT: LoopRule(
        owners=(Role.COUNSELOR, Role.CASE_MANAGER, Role.CLINICAL_SUPERVISOR),
        again=timedelta(days=30),
    ),
    # Who finds out whether a circumstance because of which nobody calls still lasts; asked again after each answer, and
    # sooner about somebody in hospital (`circumstances.py`).
    FollowupLoop.CIRCUMSTANCE: LoopRule(
        owners=(Role.CASE_MANAGER, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
        within=timedelta(days=30),
        again=timedelta(days=7),
    ),
    # Who sees to it that the person is seen in time; the supervisor for the last two days (`invariants.py`).
    FollowupLoop.TIMELY_VISIT: LoopRule(owners=(Role.CASE_MANAGER, Role.CLINICAL_SUPERVISOR)),
    # Who looks for an admission that should have been published: a fact is late, not a person.
    FollowupLoop.MISSING_FACT: LoopRule(
        owners=(Role.SYSTEM, Role.OPERATOR, Role.PROGRAM_DIRECTOR), within=timedelta(days=1)
    ),
}

RISK_TO_LIFE: Final = LoopRule(
    owners=(Role.COUNSELOR, Role.CLINICIAN, Role.CLINICAL_SUPERVISOR, Role.PROGRAM_DIRECTOR),
    within=timedelta(0),
    again=timedelta(hours=1),
)
"""A `RISK_RESPONSE` to a risk to life: the owner hands it to a clinician at once; the last one stays the owner."""
