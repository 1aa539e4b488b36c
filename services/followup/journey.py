"""Where an episode is on its way, what is awaited next, and who owns that. Pure; no clock, no ids, no I/O.

People are lost between the steps: docs/domain.md 9 (Losses between steps). Each loop belongs to its service; here all
events are combined, so that an episode that stays in one step for too long is seen as a whole. The
limits are house rules, except where the fact itself or the program's terms name a time.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from services.followup.aftercare import check_ins
from services.followup.episode import episode_state
from services.followup.episode.episode_state import EpisodeState
from shared.contracts.codes import Role, Value

DAY: Final = timedelta(days=1)


class Place(Value):
    """The step an episode is in."""

    stage: str
    since: datetime | None = None
    awaiting: str | None = None
    """What has to happen next; None when nothing is."""
    service: str | None = None
    """The service that owns the loop of it."""
    role: Role | None = None
    """The role that owns it at first."""
    due_at: datetime | None = None
    """From then on the episode has stayed too long."""


class Row(Value):
    """One row of the table of steps: what is awaited in it, who owns that, and for how long it may take."""

    awaiting: str
    service: str
    role: Role
    within: timedelta


ROWS: Final = {
    "referred": Row(
        awaiting="assessment_appointment",
        service="intake",
        role=Role.INTAKE_COORDINATOR,
        within=3 * DAY,
    ),
    "assessment": Row(awaiting="assessment", service="intake", role=Role.CLINICIAN, within=1 * DAY),
    "danger": Row(
        awaiting="emergency_outcome", service="intake", role=Role.CLINICIAN, within=1 * DAY
    ),
    "ineligible": Row(
        awaiting="other_care", service="intake", role=Role.INTAKE_COORDINATOR, within=7 * DAY
    ),
    "eligible": Row(
        awaiting="admission", service="intake", role=Role.INTAKE_COORDINATOR, within=14 * DAY
    ),
    "waitlisted": Row(
        awaiting="offer", service="intake", role=Role.INTAKE_COORDINATOR, within=14 * DAY
    ),
    "offered": Row(
        awaiting="answer_to_offer", service="intake", role=Role.INTAKE_COORDINATOR, within=DAY
    ),
    "admitted": Row(
        awaiting="treatment_plan", service="plans", role=Role.COUNSELOR, within=7 * DAY
    ),
    "planned": Row(
        awaiting="first_session", service="attendance", role=Role.COUNSELOR, within=7 * DAY
    ),
    "change_recommended": Row(
        awaiting="level_change", service="plans", role=Role.CLINICIAN, within=3 * DAY
    ),
    "transferring": Row(
        awaiting="first_contact", service="plans", role=Role.CASE_MANAGER, within=1 * DAY
    ),
    "paused": Row(awaiting="return", service="attendance", role=Role.COUNSELOR, within=21 * DAY),
    "approved": Row(awaiting="graduation", service="plans", role=Role.CLINICIAN, within=14 * DAY),
    "declined": Row(awaiting="other_care", service="followup", role=Role.COUNSELOR, within=7 * DAY),
}
"""From when the clock of each step runs is the step's own time: when it was reached, or is to take place."""


def place(state: EpisodeState) -> Place:
    """The step an episode is in, by every event so far."""
    if state.void:
        return Place(stage="entered_in_error")
    if state.readmitted:
        return Place(stage="continued", since=state.readmitted_at)
    if state.stopped_by is not None:
        return Place(stage=state.stopped_by.kind.value, since=state.stopped_by.recorded_at)
    if state.discharge is not None:
        return _after(state)
    return _during(state) if state.admission is not None else _before(state)


def _row(stage: str, since: datetime | None, *, until: datetime | None = None) -> Place:
    row = ROWS[stage]
    due_at = until if until is not None or since is None else since + row.within
    return Place(
        stage=stage,
        since=since,
        awaiting=row.awaiting,
        service=row.service,
        role=row.role,
        due_at=due_at,
    )


def _before(state: EpisodeState) -> Place:
    """From referral to admission."""
    path = state.path
    for closed in ("closed", "declined"):
        if closed in path:
            owned = closed == "declined" and state.outreach is not None
            return _row(closed, path[closed]) if owned else Place(stage=closed, since=path[closed])
    if "danger" not in path and "offer_expires" in path:
        return _row("offered", path.get("waitlisted"), until=path["offer_expires"])
    for stage in ("danger", "waitlisted", "ineligible", "eligible", "assessment"):
        if stage in path:
            return _row(stage, path[stage])
    if state.referral is None:
        return Place(stage="unknown")
    return _row("referred", state.referral.received_at)


def _during(state: EpisodeState) -> Place:
    """From admission to discharge."""
    path, admission = state.path, state.admission
    for stage in ("transferring", "change_recommended", "approved"):
        if stage in path:
            return _row(stage, path[stage])
    away = _away(state)
    if away is not None:
        return away
    if "paused" in path:
        return _row("paused", path["paused"], until=path["resumes"])
    if "planned" not in path:
        return _row("admitted", None if admission is None else admission.admitted_at)
    if not any(session.status == "attended" for session in state.sessions.values()):
        return _row("planned", path["planned"])
    return Place(stage="active", since=path["planned"])


def _away(state: EpisodeState) -> Place | None:
    """A person who is lost, used again, or is being reached out to is followup's to bring back."""
    if state.lost_at is not None:
        return _ours("lost", state.lost_at, "contact", Role.CASE_MANAGER, None)
    if state.reengagement is not None:
        due_at = state.reengagement.reassessment_due_at
        return _ours("reengaging", None, "reassessment", Role.CASE_MANAGER, due_at)
    loop = state.outreach_loop
    if loop is None:
        return None
    return _ours("at_risk", loop.opened_at, "contact", loop.owner_role, loop.deadline_at)


def _after(state: EpisodeState) -> Place:
    """From discharge on."""
    left, year = state.discharge, state.aftercare
    since = None if left is None else left.discharged_at
    if left is not None and left.kind in episode_state.NO_CONTACT:
        return Place(stage="ended", since=since)
    if year is None:
        return _ours("discharged", since, "admission_fact", Role.OPERATOR, None)
    if year.completed_at is not None:
        lost = state.lost_at is not None
        return Place(stage="lost" if lost else "completed", since=year.completed_at)
    if state.reengagement is not None:
        due_at = state.reengagement.reassessment_due_at
        return _ours("reengaging", None, "reassessment", Role.CASE_MANAGER, due_at)
    waiting = [item.window for item in check_ins.check_ins(state).values() if not item.settled]
    closes_at = waiting[0].closes_at if waiting else None
    stage = "aftercare" if state.lost_at is None else "lost"
    return _ours(stage, state.lost_at or since, "check_in", Role.CASE_MANAGER, closes_at)


def _ours(
    stage: str, since: datetime | None, awaiting: str, role: Role, due_at: datetime | None
) -> Place:
    return Place(
        stage=stage, since=since, awaiting=awaiting, service="followup", role=role, due_at=due_at
    )
