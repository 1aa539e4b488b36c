"""Mutual support and the family: meetings of any fellowship, and who comes along. Pure, like all rules.

A meeting is a date, a fellowship and how it was verified; nothing that was spoken of there. Nobody is made to go to a
religious one: the patient chooses an alternative or opts out, and neither has a consequence:
docs/domain.md 3.10 (Mutual support). The family's minutes count toward hours only with the patient there, which the
roll says.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Final

from services.attendance.episode.episode_state import Admission, EpisodeState, in_care, known
from services.attendance.episode.hours import week_of
from services.attendance.episode.values import FamilyVisit
from shared import calendar
from shared.contracts import attendance
from shared.contracts.attendance import FamilySessionKind, Fellowship, Verification
from shared.contracts.codes import MistakeReason, Modality, Value
from shared.decision import Cause, Decision
from shared.errors import Invalid, Refused
from shared.retractions import holding, taken_back

SECULAR: Final = frozenset({Fellowship.SMART, Fellowship.LIFERING})
"""Fellowships without a religious program."""
VISITS_MAX: Final = 2_000
MEETINGS_A_WEEK: Final = 50


class Visit(Value):
    """One person's part in a family session."""

    session_id: str
    attendee_id: str
    kind: FamilySessionKind | None
    minutes_attended: int
    patient_present: bool


# --- mutual support --------------------------------------------------------------------------------------


def log_meeting(
    state: EpisodeState,
    attended_on: date,
    fellowship: Fellowship,
    verification: Verification,
    cause: Cause,
) -> Decision[EpisodeState]:
    """The person was at a meeting. It counts for the week it was in, and never toward hours."""
    admission = in_care(state)
    zone = admission.time_zone
    first_on = calendar.local_day(admission.admitted_at, zone)
    if not first_on <= attended_on <= calendar.local_day(cause.now, zone):
        raise Invalid(
            "attended-on-impossible",
            "A meeting lies between the admission and today.",
            hint="Check the day of the meeting.",
        )
    week = calendar.monday_of(attended_on).isoformat()
    if state.support.weeks().get(week, 0) >= MEETINGS_A_WEEK:
        raise Refused(
            "too-many-meetings",
            "More meetings than a week can hold were logged.",
            hint="Read what is logged: GET /episodes/{episode_id}; take back what was logged by mistake.",
        )
    meeting_id = cause.derive_id("meeting")
    event = attendance.MutualSupportLogged(
        meeting_id=meeting_id,
        fellowship=fellowship,
        attended_on=attended_on,
        verification=verification,
    )
    support = state.support.replace(logged={**state.support.logged, meeting_id: attended_on})
    return Decision(state.replace(support=support), (event,), answer={"meeting_id": meeting_id})


def undo_meeting(
    state: EpisodeState, meeting_id: str, reason: MistakeReason
) -> Decision[EpisodeState]:
    """The meeting was recorded by mistake: it counts for no week."""
    known(state)
    holding(state, state.support.logged, meeting_id, "meeting")
    left = {key: day for key, day in state.support.logged.items() if key != meeting_id}
    state = state.replace(support=state.support.replace(logged=left))
    event = attendance.MutualSupportUndone(meeting_id=meeting_id, reason=reason)
    return Decision(taken_back(state, meeting_id, "meeting"), (event,))


def choose(
    state: EpisodeState, *, opted_out: bool, alternatives: tuple[Fellowship, ...]
) -> Decision[EpisodeState]:
    """The patient chooses where to go, or opts out. Otherwise a secular meeting is among the choices.

    Courts treat a compelled religious program without a secular option as a violation: docs/domain.md 3.10.
    """
    admission = in_care(state)
    if not opted_out and not SECULAR.intersection(alternatives):
        raise Invalid(
            "no-secular-alternative",
            "A secular fellowship stands among the choices.",
            hint="Offer SMART or LifeRing too, or record that the patient opts out.",
        )
    chosen = tuple(sorted(set(alternatives)))
    support = state.support.replace(opted_out=opted_out, alternatives=chosen)
    if support == state.support:
        return Decision(state)
    event = attendance.MutualSupportRequirementSet(
        opted_out=opted_out,
        meetings_per_week=0 if opted_out else admission.terms.mutual_support_meetings_per_week,
    )
    return Decision(state.replace(support=support), (event,))


def support_view(state: EpisodeState, now: datetime) -> dict[str, Any]:
    """What is asked of the person this week, and what there is of it."""
    admission = state.admission
    if admission is None:
        return {}
    asked = 0 if state.support.opted_out else admission.terms.mutual_support_meetings_per_week
    this_week = state.support.weeks().get(_this_monday(admission, now), 0)
    return {
        "asked_per_week": asked,
        "opted_out": state.support.opted_out,
        "alternatives": list(state.support.alternatives),
        "this_week": this_week,
        "met": this_week >= asked,
        "weeks": state.support.weeks(),
    }


# --- the family ------------------------------------------------------------------------------------------


def family_attended(state: EpisodeState, visit: Visit, cause: Cause) -> Decision[EpisodeState]:
    """Somebody of the family took part. Who it is stays an opaque id; the same visit recorded again is no second one.

    The patient's own minutes come from the roll of a session of the family; this only has to agree with it.
    """
    in_care(state)
    if any(
        (one.session_id, one.attendee_id) == (visit.session_id, visit.attendee_id)
        for one in state.family
    ):
        return Decision(state, answer={"session_id": visit.session_id})
    booking = state.bookings.get(visit.session_id)
    rolled = booking is not None and booking.status is not None
    if visit.patient_present and rolled and visit.session_id not in _there(state):
        raise Refused(
            "patient-was-absent",
            "The roll says that the patient was not there.",
            hint="Correct the roll first, or say that the patient was not present.",
        )
    if booking is not None and booking.modality not in _WITH_FAMILY:
        raise Refused(
            "not-a-family-session",
            "The family has no part in this session.",
            hint="Name a session in which families take part.",
        )
    event = attendance.FamilySessionAttended(
        session_id=visit.session_id,
        attendee_id=visit.attendee_id,
        minutes_attended=visit.minutes_attended,
        patient_present=visit.patient_present,
        kind=visit.kind,
    )
    if len(state.family) >= VISITS_MAX:
        raise Refused(
            "too-many-visits",
            "More visits than an episode can hold were logged.",
            hint="Take back the visits that were logged by mistake.",
        )
    visits = (*state.family, FamilyVisit(at=cause.now, **visit.model_dump()))
    return Decision(state.replace(family=visits), (event,), answer={"session_id": visit.session_id})


def _there(state: EpisodeState) -> set[str]:
    """The sessions at which the patient was, by their rolls."""
    return {key for key, seen in state.seen.items() if seen.status.is_present}


def undo_visit(
    state: EpisodeState, session_id: str, attendee_id: str, reason: MistakeReason
) -> Decision[EpisodeState]:
    """That somebody of the family took part was recorded by mistake."""
    known(state)
    visits = {f"{one.session_id}/{one.attendee_id}": one for one in state.family}
    visit = holding(state, visits, f"{session_id}/{attendee_id}", "family-visit")
    left = tuple(one for one in state.family if one is not visit)
    event = attendance.FamilySessionUndone(
        session_id=session_id, attendee_id=attendee_id, reason=reason
    )
    state = taken_back(state.replace(family=left), f"{session_id}/{attendee_id}", "family-visit")
    return Decision(state, (event,))


_WITH_FAMILY: Final = frozenset({Modality.FAMILY, Modality.PSYCHOEDUCATION, Modality.INDIVIDUAL})


def family_view(state: EpisodeState, now: datetime) -> dict[str, Any]:
    """The family's part this week: education, individual and group sessions."""
    admission = state.admission
    if admission is None:
        return {}
    monday = _this_monday(admission, now)
    zone = admission.time_zone
    visits = [v for v in state.family if week_of(v.at, zone).isoformat() == monday]
    sessions = {visit.session_id for visit in visits}
    return {
        "asked_per_week": admission.terms.family_sessions_per_week,
        "this_week": len(sessions),
        "met": len(sessions) >= admission.terms.family_sessions_per_week,
        "kinds_this_week": sorted({v.kind for v in visits if v.kind is not None}),
    }


def _this_monday(admission: Admission, now: datetime) -> str:
    return week_of(now, admission.time_zone).isoformat()
