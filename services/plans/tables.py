"""The tables that the rules of plans read: what may follow from what, and in which words.

Every table names its source. What a facility decides for itself comes from its program's terms, not from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from shared.contracts.codes import LevelOfCare, PlansLoop, Role
from shared.contracts.event import OpenEnum
from shared.contracts.plans import (
    AncillaryKind,
    Direction,
    ReviewBasis,
    ReviewDecision,
)
from shared.loops import LoopRule

# --- code lists that stay with plans ----------------------------------------------------------------------


class GoalOwner(OpenEnum):
    """Who sees to a goal."""

    PATIENT = "patient"
    COUNSELOR = "counselor"
    CLINICIAN = "clinician"
    CASE_MANAGER = "case_manager"
    FAMILY = "family"
    UNKNOWN = "unknown"


class Contributor(OpenEnum):
    """Who took part in setting a goal. The patient always does."""

    PATIENT = "patient"
    FAMILY = "family"
    COUNSELOR = "counselor"
    CLINICIAN = "clinician"
    PEER = "peer"
    COURT = "court"
    UNKNOWN = "unknown"


class DeferralReason(OpenEnum):
    """Why a dimension that drives the level has no goal yet."""

    PATIENT_CHOICE = "patient_choice"
    TREATED_ELSEWHERE = "treated_elsewhere"
    STABILIZE_FIRST = "stabilize_first"
    NEEDS_ASSESSMENT = "needs_assessment"
    UNKNOWN = "unknown"


class RecoveryStage(OpenEnum):
    """How ready for change the person is: the support differs by stage (docs/domain.md fact 3.6)."""

    PRECONTEMPLATION = "precontemplation"
    CONTEMPLATION = "contemplation"
    PREPARATION = "preparation"
    ACTION = "action"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"


# --- open loops -------------------------------------------------------------------------------------------


_COUNSELOR_FIRST: Final = (
    Role.COUNSELOR,
    Role.CLINICIAN,
    Role.CLINICAL_SUPERVISOR,
    Role.PROGRAM_DIRECTOR,
)
_CLINICIAN_FIRST: Final = _COUNSELOR_FIRST[1:]
_MANAGER_FIRST: Final = (Role.CASE_MANAGER, *_CLINICIAN_FIRST)
_SUPERVISOR_FIRST: Final = _COUNSELOR_FIRST[2:]

LOOPS: Final[Mapping[PlansLoop, LoopRule]] = {
    PlansLoop.TREATMENT_PLAN: LoopRule(owners=_COUNSELOR_FIRST, within=timedelta(days=7)),
    PlansLoop.PLAN_REVIEW: LoopRule(
        owners=_COUNSELOR_FIRST, within=timedelta(days=3), again=timedelta(days=7)
    ),
    PlansLoop.CLINICAL_REVIEW: LoopRule(owners=_CLINICIAN_FIRST, within=timedelta(days=1)),
    PlansLoop.LEVEL_CHANGE: LoopRule(owners=_CLINICIAN_FIRST, within=timedelta(days=3)),
    PlansLoop.NEXT_APPOINTMENT: LoopRule(owners=_MANAGER_FIRST, within=timedelta(days=7)),
    PlansLoop.CONTINUED_SERVICE: LoopRule(
        owners=_COUNSELOR_FIRST, within=timedelta(days=7), again=timedelta(days=3)
    ),
    PlansLoop.PROGRAM_HOURS: LoopRule(owners=_SUPERVISOR_FIRST, within=timedelta(days=3)),
    PlansLoop.TRANSFER: LoopRule(owners=_MANAGER_FIRST, within=timedelta(days=3)),
    PlansLoop.AFTERCARE_PLAN: LoopRule(
        owners=_MANAGER_FIRST, within=timedelta(days=7), again=timedelta(days=3)
    ),
    PlansLoop.DISCHARGE: LoopRule(owners=_CLINICIAN_FIRST, within=timedelta(days=7)),
    PlansLoop.MISSING_FACT: LoopRule(
        owners=(Role.OPERATOR, Role.PROGRAM_DIRECTOR), within=timedelta(hours=1)
    ),
}
"""Owner, deadline and escalation of every kind of loop of plans. House rule."""


# --- continued service ------------------------------------------------------------------------------------

DECISIONS: Final[Mapping[ReviewBasis, frozenset[ReviewDecision]]] = {
    # On the way: go on.
    ReviewBasis.PROGRESSING: frozenset({ReviewDecision.CONTINUE}),
    # Not yet, but able and working on it: go on.
    ReviewBasis.CAPABLE: frozenset({ReviewDecision.CONTINUE}),
    # Something new: treat it here if that is possible, or where it can be treated.
    ReviewBasis.NEW_PROBLEM: frozenset(
        {ReviewDecision.CONTINUE, ReviewDecision.UP, ReviewDecision.TRANSFER}
    ),
    # What brought the person to this level is resolved: a lighter one, another place, or home.
    ReviewBasis.MET: frozenset(
        {ReviewDecision.DOWN, ReviewDecision.TRANSFER, ReviewDecision.DISCHARGE}
    ),
    # Unable to progress: change the plan and go on, more care, another place, or an end.
    ReviewBasis.NOT_PROGRESSING: frozenset(
        {
            ReviewDecision.CONTINUE,
            ReviewDecision.UP,
            ReviewDecision.TRANSFER,
            ReviewDecision.DISCHARGE,
        }
    ),
}
"""Which decisions each finding of a plan review allows. Source: docs/domain.md 2.7 (Continued service)."""

DECISION_LOOPS: Final[Mapping[ReviewDecision, PlansLoop]] = {
    ReviewDecision.UP: PlansLoop.LEVEL_CHANGE,
    ReviewDecision.DOWN: PlansLoop.LEVEL_CHANGE,
    ReviewDecision.TRANSFER: PlansLoop.TRANSFER,
    ReviewDecision.DISCHARGE: PlansLoop.DISCHARGE,
}
"""What somebody now has to do because of a decision."""


INTEGRATED_REVIEW_DAYS: Final = 14
"""Where a co-occurring need calls for enhanced care, the plan is reviewed at least this often. House rule."""


# --- levels -----------------------------------------------------------------------------------------------

SETTINGS: Final[Mapping[str, int]] = {
    **dict.fromkeys(("0.5", "1.0"), 0),
    **dict.fromkeys(("1", "1.5", "1.7", "1-WM"), 1),
    **dict.fromkeys(("2.1",), 2),
    **dict.fromkeys(("2.5", "2.7", "2-WM"), 3),
    **dict.fromkeys(("3.1",), 4),
    **dict.fromkeys(("3.3", "3.5", "3.2-WM"), 5),
    **dict.fromkeys(("3.7", "3.7-WM"), 6),
    **dict.fromkeys(("4", "4.0", "4-WM"), 7),
}
"""How intensive the setting of a level is; medical management is another axis. Source: docs/domain.md 2.2 (Levels)."""
RESIDENTIAL: Final = 4
"""From this setting on, an outpatient program can't be the place."""


def setting(level: LevelOfCare) -> int:
    """How intensive the setting of a level is."""
    return SETTINGS[level.code]


def direction(from_level: LevelOfCare, to_level: LevelOfCare) -> Direction:
    """Where a change of level leads."""
    before, after = setting(from_level), setting(to_level)
    if before == after:
        return Direction.LATERAL
    return Direction.UP if after > before else Direction.DOWN


STEP_DOWN: Final = (
    "clean-days",
    "hours-met",
    "goals-met",
    "supports-verified",
    "appointment-booked",
)
"""What is looked at before a step down. House rule, docs/domain.md 3.12 (Exit)."""


# --- what a plan consists of ------------------------------------------------------------------------------

THERAPIES: Final[Mapping[str, str]] = {
    "cognitive-behavioral": "3.9",
    "motivational-enhancement": "3.9",
    "dialectical-behavior": "3.9",
    "relapse-prevention": "3.9",
    "matrix": "2.2",
    "matrix-early-recovery": "2.1",
    "matrix-relapse-prevention": "2.1",
    "matrix-family-education": "2.1",
    "matrix-social-support": "2.1",
    "medication-assisted-treatment": "2.1",
    "twelve-step-facilitation": "1.6",
    "smart-recovery": "2.1",
    "integrated-dual-diagnosis": "3.3",
    "trauma-focused": "1.6",
}
"""Therapies that a goal may name, with the fact in docs/domain.md 1 (Facts) that names each."""

INTERVENTIONS: Final = frozenset(
    {
        "individual-counseling",
        "group-counseling",
        "family-education",
        "case-management",
        "medication-management",
        "mutual-support",
        "relapse-prevention-education",
        "coping-skills",
        "mindfulness",
        "exercise",
        "art-therapy",
        "yoga",
        "housing-support",
        "vocational-support",
        "psychiatric-care",
        "contingency-management",
    }
)
"""What is done for a goal: docs/domain.md facts 0.5, 1.7, 2.7, 4.4, 4.5, 4.6 and 4.7."""

RELAPSE_PREVENTION: Final = ("triggers", "cravings", "strategies")
"""What a relapse-prevention plan has to name (docs/domain.md fact 4.6)."""

HOLISTIC: Final = frozenset(
    {
        AncillaryKind.YOGA,
        AncillaryKind.MEDITATION,
        AncillaryKind.ACUPUNCTURE,
        AncillaryKind.ART_THERAPY,
        AncillaryKind.FITNESS,
        AncillaryKind.NUTRITION,
        AncillaryKind.WHOLE_HEALTH,
    }
)
"""Holistic services (docs/domain.md facts 3.5 and 4.7). They never count toward the week's hours."""
COUNTS_ON_SITE: Final = frozenset({AncillaryKind.MEDICATION})
"""What counts toward the hours when the program itself gives it: medication management. Source: docs/domain.md 3.3."""

COMPANIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "methadone": ("eddp",),  # docs/domain.md 3.6 (Screens) names the pair
    "buprenorphine": ("norbuprenorphine",),
    "codeine": ("morphine", "hydrocodone"),
    "morphine": ("hydromorphone",),
    "hydrocodone": ("hydromorphone", "norhydrocodone"),
    "oxycodone": ("oxymorphone", "noroxycodone"),
    "diazepam": ("nordiazepam", "oxazepam", "temazepam"),
    "chlordiazepoxide": ("nordiazepam", "oxazepam"),
    "temazepam": ("oxazepam",),
    "methylphenidate": ("ritalinic-acid",),
    "fentanyl": ("norfentanyl",),
    "tramadol": ("o-desmethyltramadol",),
}
"""What the body makes of a prescribed substance, so that a screen that shows it shows nothing unexpected.

General pharmacology, to be confirmed by the laboratory that the facility works with, whose panels differ.
"""
NOT_ON_PANELS: Final = frozenset({"naltrexone", "acamprosate", "disulfiram"})
"""Medications for addiction that panels do not look for: prescribed, and never expected in a screen."""


# --- aftercare --------------------------------------------------------------------------------------------

AFTERCARE_BEGUN: Final = ("crisis-contacts", "check-in-calendar")
"""What is settled on the first day for everybody."""
AFTERCARE_NEEDED: Final = (
    "first-appointment",
    "medication",
    "triggers-and-coping",
    "support-meetings",
    "housing",
    "work-or-school",
    "legal-duties",
    "family-role",
    "crisis-contacts",
    "naloxone",
    "safe-channel",
    "consents",
    "check-in-calendar",
)
"""What an aftercare plan settles before the person leaves. Source: docs/domain.md 3.13 (Aftercare plan)."""
AFTERCARE_MAY_BE_NONE: Final = frozenset(
    {"medication", "legal-duties", "family-role", "work-or-school", "naloxone"}
)
"""What some people do not need."""
AFTERCARE_FURTHER: Final = frozenset(
    {"individual-therapy", "community-resources", "peer-support", "support-groups"}
)
"""What may be added: docs/domain.md facts 1.7, 1.12 and 4.8."""
