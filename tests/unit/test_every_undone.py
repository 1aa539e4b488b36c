"""Whatever is taken back leaves what would have been: every retraction that a service hears, and every value it keeps.

Each row tells a fact and its retraction to a record, at once and after days, and compares what is stored with a record
that heard neither. A value that may differ stands in the row with the reason. A retraction without a row fails here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

import pytest

from services.attendance.app import SERVICE as ATTENDANCE
from services.followup.app import SERVICE as FOLLOWUP
from services.intake.app import SERVICE as INTAKE
from services.plans.app import SERVICE as PLANS
from shared.contracts import attendance, followup, intake, plans
from shared.contracts.attendance import (
    AttendanceStatus,
    BreathOutcome,
    NotProvidedKind,
    PauseEnd,
    ScreenClass,
    SpecimenValidity,
)
from shared.contracts.codes import ClearedReason, FollowupLoop, PlansLoop
from shared.contracts.event import Event
from shared.contracts.followup import CircumstanceKind, OutreachCause
from shared.contracts.plans import DischargeKind
from tests.unit.attendance.screened import Screened
from tests.unit.attendance.world import Episode, admission
from tests.unit.followup import world as in_followup
from tests.unit.intake.world import at_stage
from tests.unit.plans import world as in_plans
from tests.unit.support import START, History, fact, uid

SERVICES: Final = {"intake": INTAKE, "plans": PLANS, "attendance": ATTENDANCE, "followup": FOLLOWUP}
DAY = timedelta(days=1)
Told = Sequence[Event]


@dataclass(frozen=True)
class Row:
    """A fact and what takes it back, heard by one service."""

    service: str
    begun: Callable[[], History]
    said: Told
    undone: Told
    instead: Told = ()
    """What the other record hears in their place: what was right."""
    differs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Stored values that may differ, and why."""
    name: str = ""

    @property
    def label(self) -> str:
        told = self.undone[0]
        return f"{self.service}: {self.name or type(told).NAME}"


def aftercare_in_plans() -> History:
    history = in_plans.with_plan()
    history.discharge()
    return history


def looked_for_elsewhere() -> History:
    """Another level suits the person better than those of the program: somebody looks for a place."""
    history = at_stage("oriented")
    elsewhere = fact(
        plans.LevelOfCareChangeRecommended, to_level=in_plans.RESIDENTIAL, effective_at=None
    )
    history.hear(elsewhere)
    return history


def left_intake() -> History:
    history = at_stage("oriented")
    history.hear(fact(plans.EpisodeDischarged, discharged_at=history.now))
    return history


# --- what each service hears ------------------------------------------------------------------------------

SCREEN = uid("screen")
POSITIVE = (
    fact(
        attendance.ScreenInterpreted,
        screen_id=SCREEN,
        classification=ScreenClass.UNEXPECTED_POSITIVE,
    ),
    fact(attendance.ScreenFailed, screen_id=SCREEN),
)
NEGATIVE = fact(attendance.ScreenInterpreted, screen_id=SCREEN, classification=ScreenClass.NEGATIVE)
READ_BACK = fact(attendance.InterpretationUndone, screen_id=SCREEN)
INVALID = fact(attendance.ScreenResulted, screen_id=SCREEN, validity=SpecimenValidity.DILUTE)
NO_RESULT = fact(attendance.ResultUndone, screen_id=SCREEN)
JAIL = fact(
    followup.CircumstanceRecorded,
    circumstance_id=uid("jail"),
    kind=CircumstanceKind.INCARCERATED,
    occurred_on=START.date(),
)
NEVER_JAILED = fact(followup.CircumstanceUndone, circumstance_id=uid("jail"))
DIED = fact(
    followup.CircumstanceRecorded,
    circumstance_id=uid("died"),
    kind=CircumstanceKind.DECEASED,
    occurred_on=START.date(),
)
LIVES = fact(followup.CircumstanceUndone, circumstance_id=uid("died"))
LEFT = fact(plans.EpisodeDischarged, kind=DischargeKind.AGAINST_ADVICE, discharged_at=START + DAY)
HERE = fact(plans.DischargeUndone, kind=DischargeKind.AGAINST_ADVICE, discharged_at=START + DAY)
HANDED_OVER = (
    fact(plans.TransferInitiated),
    fact(plans.TransferCompleted),
    fact(plans.EpisodeDischarged, kind=DischargeKind.TRANSFERRED, discharged_at=START + DAY),
)
STILL_OURS = (
    fact(plans.FirstContactUndone),
    fact(plans.DischargeUndone, kind=DischargeKind.TRANSFERRED, discharged_at=START + DAY),
    fact(plans.TransferUndone),
)
TO_LESS = {"to_level": in_plans.LOWER, "effective_at": START}
LESS = (
    fact(plans.LevelOfCareChangeRecommended, to_level=in_plans.LOWER, effective_at=START),
    fact(plans.LevelOfCareChanged, from_level=in_plans.SAME, **TO_LESS),
)
NOT_LESS = fact(plans.LevelOfCareChangeUndone, from_level=in_plans.SAME, **TO_LESS)
REVIEW = {"review_id": uid("review"), "outcome": plans.ReviewOutcome.DEFINITIVE_TEST}
CERTAIN = (fact(plans.ClinicalReviewCompleted, **REVIEW),)
NOT_REVIEWED = fact(plans.ClinicalReviewUndone, **REVIEW)
MOVED = {"session_id": uid("evening"), "starts_at": START + 2 * DAY}


def corrected(before: AttendanceStatus, after: AttendanceStatus) -> Event:
    return fact(
        attendance.AttendanceCorrected,
        session_id=uid("evening"),
        status_before=before,
        status_after=after,
    )


THERE = fact(attendance.SessionAttended, **MOVED)
ABSENT = fact(attendance.SessionMissed, absence=attendance.Absence.NO_SHOW, **MOVED)
WAS_EXCUSED = fact(attendance.SessionMissed, absence=attendance.Absence.EXCUSED, **MOVED)


def session_of(service: Any) -> Callable[[], History]:
    """A session that is scheduled, as another service knows it."""

    def begun() -> History:
        subject = f"session/{uid('session')}"
        history = History(
            service.source, service.kinds["session"], service.reactions, subject=subject
        )
        history.hear(fact(attendance.SessionScheduled))
        return history

    return begun


def stepped_down() -> History:
    """A step down has taken effect, and somebody waits for the first session at the new level."""
    history = in_plans.with_plan()
    history.change_level()
    return history


def referred_in_attendance() -> History:
    """A person who is not admitted."""
    kind = ATTENDANCE.kinds["episode"]
    return History(ATTENDANCE.source, kind, ATTENDANCE.reactions, ATTENDANCE.handoffs)


def oriented_in_intake() -> History:
    return at_stage("oriented")


def placed_in_intake() -> History:
    return at_stage("placed")


def in_care() -> History:
    """In treatment, with the aftercare plan that is drafted on the first day."""
    history = in_followup.in_program()
    plan_id = plans.ProgramGraduated.example().aftercare_plan_id
    history.hear(fact(plans.AftercarePlanDrafted, aftercare_plan_id=plan_id))
    return history


def missed_once() -> History:
    history = in_care()
    history.hear(in_followup.missed(START))
    return history


def reviewed_in_followup() -> History:
    history = in_followup.in_program()
    history.hear(fact(plans.ClinicalReviewRequested, review_id=uid("review")))
    return history


def confirmed_in_attendance() -> History:
    """A presumptive positive is interpreted, and a review may ask to be certain."""
    history = Screened()
    history.collect()
    history.result("cocaine", stage=attendance.ScreenStage.PRESUMPTIVE)
    history.interpret()
    return history


def screen_ordered() -> History:
    history = in_followup.in_program()
    history.hear(fact(attendance.ScreenOrdered, screen_id=SCREEN))
    return history


KEPT_FOR_LATER = {
    "aside": "what came after an end is kept, and decided in its order if the end is taken back"
}
WITHDRAWN = {
    "undone": "events about a treatment that was none belong to nothing",
    "person_id": "whom the episode is about is known all the same",
}
HEARD_LATER = {"early_sessions": "a session makes a plan due from when it is known"}
CLOSED_BY_IT = {"first_session": "who waited for it is remembered: it may be taken back again"}
SCREEN_OVER = {"screens_due": "the specimen was given: nobody is expected for it"}
CHASED_FROM_NOW = {
    "loops": "a miss is chased from when it is known",
    "deadlines": "a miss is chased from when it is known",
    "lost_at": "silence was said when it was reached by what was known",
    "ended": "what contact ended is remembered: it may be taken back again",
}
GAPPED = {"gaps": "the time that an end covered is remembered: nothing could be made up in it"}
MADE_UP_FROM_NOW = {
    "loops": "a make-up is booked within a day from when it is known to be needed",
    "deadlines": "a make-up is booked within a day from when it is known to be needed",
}
CANCELLED = (fact(attendance.SessionCancelled),)
TAKES_PLACE = (fact(attendance.SessionCancellationUndone),)
ROWS: Final = (
    Row("intake", oriented_in_intake, (LEFT,), (HERE,)),
    Row("intake", oriented_in_intake, (DIED,), (LIVES,)),
    Row("intake", left_intake, (DIED,), (LIVES,), name="circumstance-undone after the end"),
    Row("intake", placed_in_intake, (DIED,), (LIVES,), name="circumstance-undone on the way"),
    Row(
        "intake",
        left_intake,
        (fact(followup.ReturnToUseReported),),
        (fact(followup.ReturnToUseUndone),),
    ),
    Row(
        "intake",
        left_intake,
        (fact(followup.ReturnToUseReported), fact(followup.ReengagementStarted)),
        (
            fact(followup.ReturnToUseUndone),
            fact(
                followup.ReengagementCompleted,
                outcome=followup.ReengagementOutcome.WITHDRAWN,
            ),
        ),
        name="return-to-use-undone with the way back",
    ),
    Row("intake", oriented_in_intake, LESS, (NOT_LESS,)),
    Row(
        "intake",
        looked_for_elsewhere,
        LESS,
        (NOT_LESS,),
        name="level-of-care-change-undone, sent on",
    ),
    # plans
    Row("plans", in_plans.with_plan, POSITIVE, (READ_BACK,)),
    Row("plans", in_plans.with_plan, (INVALID,), (NO_RESULT,)),
    Row("plans", in_plans.with_plan, (INVALID, *POSITIVE), (NO_RESULT, READ_BACK), name="both"),
    Row("plans", in_plans.with_plan, POSITIVE, (NEGATIVE,), name="screen-interpreted anew"),
    Row(
        "plans",
        in_plans.with_plan,
        (INVALID,),
        (fact(attendance.ScreenResulted, screen_id=SCREEN, validity=SpecimenValidity.VALID),),
        name="screen-resulted anew",
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.ScreenNotProvided, kind=NotProvidedKind.REFUSED),),
        (fact(attendance.ScreenNotProvidedUndone, kind=NotProvidedKind.REFUSED),),
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.BreathTestRecorded, outcome=BreathOutcome.POSITIVE),),
        (fact(attendance.BreathTestUndone),),
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.AbsenceThresholdReached),),
        (fact(attendance.AbsenceThresholdUndone),),
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.ParticipationPaused),),
        (fact(attendance.ParticipationResumed, reason=PauseEnd.CORRECTED),),
        name="participation-resumed, for the pause was none",
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.MutualSupportLogged),),
        (fact(attendance.MutualSupportUndone),),
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(attendance.FamilySessionAttended),),
        (fact(attendance.FamilySessionUndone),),
    ),
    Row("plans", session_of(PLANS), CANCELLED, TAKES_PLACE),
    Row(
        "plans",
        aftercare_in_plans,
        (fact(followup.CheckInCompleted),),
        (fact(followup.CheckInUndone),),
        differs=KEPT_FOR_LATER,
    ),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(followup.ReturnToUseReported, overdose=True),),
        (fact(followup.ReturnToUseUndone),),
    ),
    Row("plans", in_plans.with_plan, (JAIL,), (NEVER_JAILED,)),
    Row(
        "plans",
        in_plans.with_plan,
        (fact(followup.OutreachEscalated, tier=2, cause=OutreachCause.SESSION_MISSED),),
        (
            fact(
                followup.EscalationCleared,
                loop=FollowupLoop.OUTREACH,
                reason=ClearedReason.WITHDRAWN,
            ),
        ),
        name="escalation-cleared, for nobody had missed",
    ),
    *(
        Row(
            "plans",
            begun,
            (told,),
            (corrected(before, after),),
            instead,
            {**HEARD_LATER, **CLOSED_BY_IT} if number == 2 else {},
            name=f"attendance-corrected {name} {number}",
        )
        for name, begun in (
            ("with a plan", in_plans.with_plan),
            ("without", in_plans.in_treatment),
            ("after a step down", stepped_down),
        )
        for number, (told, before, after, instead) in enumerate(
            (
                (THERE, AttendanceStatus.ATTENDED, AttendanceStatus.NO_SHOW, (ABSENT,)),
                (THERE, AttendanceStatus.ATTENDED, AttendanceStatus.EXCUSED, (WAS_EXCUSED,)),
                (ABSENT, AttendanceStatus.NO_SHOW, AttendanceStatus.ATTENDED, (THERE,)),
                (ABSENT, AttendanceStatus.NO_SHOW, AttendanceStatus.EXCUSED, (WAS_EXCUSED,)),
            )
        )
    ),
    # attendance
    Row("attendance", Episode, (fact(plans.TransferInitiated),), (fact(plans.TransferUndone),)),
    Row("attendance", Episode, HANDED_OVER, STILL_OURS, differs=GAPPED),
    Row(
        "attendance",
        Episode,
        (fact(plans.ProgramGraduated), LEFT),
        (fact(plans.GraduationUndone), HERE),
        differs=GAPPED,
    ),
    Row("attendance", confirmed_in_attendance, CERTAIN, (NOT_REVIEWED,)),
    Row("attendance", Episode, (LEFT,), (HERE,), differs=GAPPED),
    Row("attendance", Episode, LESS[1:], (NOT_LESS,), differs=MADE_UP_FROM_NOW),
    Row("attendance", Episode, (JAIL,), (NEVER_JAILED,), differs=MADE_UP_FROM_NOW),
    *(
        Row(name, begun, (admitted,), (fact(intake.AdmissionUndone),), differs=WITHDRAWN)
        for name, begun, admitted in (
            ("plans", in_plans.Plans, in_plans.admitted()),
            ("attendance", referred_in_attendance, admission()),
            ("followup", in_followup.Followup, in_followup.admitted()),
        )
    ),
    # followup
    *(
        Row("followup", begun, said, undone, name=f"{type(undone[0]).NAME} {where}")
        for where, begun in (
            ("in the program", in_care),
            ("after a miss", missed_once),
        )
        for said, undone in (
            ((LEFT,), (HERE,)),
            ((fact(plans.TransferInitiated),), (fact(plans.TransferUndone),)),
            (LESS, (NOT_LESS,)),
            (LESS[:1], (NOT_LESS,)),
            (HANDED_OVER, STILL_OURS),
            (
                (fact(plans.GraduationApproved), fact(plans.ProgramGraduated), LEFT),
                (fact(plans.GraduationUndone), HERE),
            ),
            (POSITIVE[:1], (READ_BACK,)),
            (POSITIVE[:1], (NEGATIVE,)),
            (
                (fact(attendance.ParticipationPaused),),
                (fact(attendance.ParticipationResumed, reason=PauseEnd.CORRECTED),),
            ),
        )
    ),
    Row(
        "followup",
        screen_ordered,
        POSITIVE[:1],
        (READ_BACK,),
        differs=SCREEN_OVER,
        name="interpretation-undone of a screen that was ordered",
    ),
    Row("followup", reviewed_in_followup, CERTAIN, (NOT_REVIEWED,)),
    Row(
        "followup",
        in_care,
        (fact(attendance.ScreenOrdered, screen_id=SCREEN),),
        (fact(attendance.ScreenOrderUndone, screen_id=SCREEN),),
    ),
    Row(
        "followup",
        screen_ordered,
        POSITIVE[:1],
        (
            READ_BACK,
            fact(
                attendance.SpecimenUndone,
                screen_id=SCREEN,
                window_ends_at=attendance.ScreenOrdered.example().window_ends_at,
            ),
        ),
        name="specimen-undone of a screen that was ordered",
    ),
    *(
        Row(
            "followup",
            in_followup.in_program,
            (told,),
            (corrected(before, after),),
            instead,
            CHASED_FROM_NOW,
            name=f"attendance-corrected {number}",
        )
        for number, (told, before, after, instead) in enumerate(
            (
                (THERE, AttendanceStatus.ATTENDED, AttendanceStatus.NO_SHOW, (ABSENT,)),
                (THERE, AttendanceStatus.ATTENDED, AttendanceStatus.EXCUSED, (WAS_EXCUSED,)),
                (ABSENT, AttendanceStatus.NO_SHOW, AttendanceStatus.ATTENDED, (THERE,)),
                (ABSENT, AttendanceStatus.NO_SHOW, AttendanceStatus.EXCUSED, (WAS_EXCUSED,)),
            )
        )
    ),
    Row("followup", session_of(FOLLOWUP), CANCELLED, TAKES_PLACE),
    # the episode itself, in every service that only hears of it
    *(
        Row(
            name, begun, (mistake, *meanwhile), (undone,), meanwhile, name=f"{undone.NAME} {number}"
        )
        for mistake, undone in (
            (fact(intake.EpisodeEnteredInError), fact(intake.EpisodeEnteredInErrorUndone)),
            (fact(intake.ReferralMerged), fact(intake.ReferralMergedUndone)),
        )
        for name, number, begun, meanwhile in (
            ("plans", 0, in_plans.with_plan, ()),
            ("plans", 1, in_plans.with_plan, (*POSITIVE, JAIL, ABSENT)),
            ("attendance", 0, Episode, ()),
            ("attendance", 1, Episode, (JAIL, fact(plans.TransferInitiated))),
            ("attendance", 2, Episode, (LEFT,)),
            ("followup", 0, in_care, ()),
            ("followup", 1, missed_once, (ABSENT, *POSITIVE[:1])),
            ("followup", 2, missed_once, (LEFT,)),
        )
    ),
)


def stored(history: History) -> dict[str, Any]:
    """What a record stores, but for the memory of what was taken back, and of reviews that nobody made."""
    values = dict(history.state.model_dump(exclude={"taken_back", "reopened_from"}))
    reviews = values.get("reviews", {})
    made = {key: one for key, one in reviews.items() if not (one and one["superseded"])}
    loops = _open(history)
    if history.source == "care.plans":
        looked_at = {key for key, one in made.items() if one and one["trigger"] == RESTORED}
        values["reviews"] = {key: one for key, one in made.items() if key not in looked_at}
        names = {f"{PlansLoop.CLINICAL_REVIEW}:{key}" for key in looked_at}
        loops = {key: one for key, one in loops.items() if key not in names}
        due = {name: at for name, at in values["deadlines"].items() if name[5:] not in names}
        values["deadlines"] = due
    return {**values, "loops": loops}


RESTORED: Final = plans.ReviewTrigger.EPISODE_RESTORED
"""That somebody looks at what passed meanwhile is all that a mistake taken back leaves behind."""


def _open(history: History) -> dict[str, Any]:
    """Whose each open loop is, and until when; since when, says when it was heard of."""
    loops = getattr(history.state, "loops", {})
    return {key: one.model_dump(exclude={"opened_at"}) for key, one in loops.items()}


DAYS: Final = (0, 3, 40)


def after(row: Row, days: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is stored once the fact was taken back after so many days, and what would have been."""
    history, never = row.begun(), row.begun()
    history.hear_all(row.said)
    never.hear_all(row.instead)
    for one in (history, never):
        one.after(days=days)
    history.hear_all(row.undone)
    for one in (history, never):
        one.at(one.now)
    return stored(history), stored(never)


@pytest.mark.parametrize("days", DAYS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_what_is_taken_back_leaves_what_would_have_been(row: Row, days: int) -> None:
    mine, other = after(row, days)
    differing = {name for name in mine if mine[name] != other[name]}
    assert {name: (mine[name], other[name]) for name in differing - row.differs.keys()} == {}
    kinds = [sorted(one["kind"] for one in stored["loops"].values()) for stored in (mine, other)]
    assert kinds[0] == kinds[1], "somebody has the same to do"


RESTATED: Final = {
    attendance.AttendanceCorrected,
    attendance.ParticipationResumed,
    attendance.ScreenInterpreted,
    attendance.ScreenResulted,
}
"""Facts of which the latest holds."""


def test_no_row_has_a_reason_that_nothing_needs() -> None:
    """A difference that is gone is not excused any more."""
    excused = {(why, name) for row in ROWS for name, why in row.differs.items()}
    for row in (row for row in ROWS if row.differs):
        for mine, other in (after(row, days) for days in DAYS):
            excused -= {
                (row.differs[name], name)
                for name in row.differs.keys() & mine.keys()
                if mine[name] != other[name]
            }
    assert excused == set()


def test_every_retraction_that_a_service_hears_has_a_row() -> None:
    rows = {(row.service, type(event)) for row in ROWS for event in row.undone}
    heard = {
        (name, reaction.event)
        for name, service in SERVICES.items()
        for reaction in service.reactions
        if reaction.event.__name__.endswith("Undone") or reaction.event in RESTATED
    }
    assert heard - rows == set()
