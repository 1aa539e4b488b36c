"""People on duty: who holds which role for whom, who is away, who acts meanwhile, who takes over. Pure.

House rules. An owner who is away is no owner: the deputy acts (`shared/duty.py`). The record of a member of staff is
intake's; the other services learn of it from the facts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydantic import Field

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.handoffs import HandedOver, Held, Released
from shared import duty, loops
from shared.contracts import intake
from shared.contracts.codes import Role
from shared.decision import Cause, Decision, Handoff
from shared.duty import StaffState
from shared.errors import Invalid, Refused, Unknown

TEAM_ROLES: Final = tuple(
    role for role in Role if role not in (Role.PARTNER, Role.SYSTEM, Role.OPERATOR, Role.UNKNOWN)
)
"""The roles that somebody can hold for an episode."""
HELD_MAX: Final = 2_000
"""How many episodes one member of staff holds at most."""


class StaffRecord(StaffState):
    """One member of staff at one facility: when they are away, and what they hold."""

    holds: dict[str, tuple[str, ...]] = Field(default_factory=dict[str, tuple[str, ...]])
    """Roles by episode."""


# --- the team of an episode -----------------------------------------------------------------------------


def assign(
    state: EpisodeState, role: Role, staff_id: str | None, cause: Cause
) -> Decision[EpisodeState]:
    """Somebody takes a role over, or leaves it. Repeated, it changes nothing.

    An episode that has ended still has a team: its aftercare is somebody's.
    """
    episode_state.standing(state)
    if role not in TEAM_ROLES:
        raise Invalid(
            "role-not-of-a-team",
            "This role is not part of a care team.",
            hint=f"State one of: {', '.join(TEAM_ROLES)}.",
        )
    return _assigned(state, role, staff_id, cause)


def handed_over(state: EpisodeState, body: HandedOver, cause: Cause) -> Decision[EpisodeState]:
    """Who held a role gave it to a colleague. If somebody else has taken it meanwhile, it stays theirs."""
    if state.team.get(body.role) != body.from_id:
        return Decision(state)
    return _assigned(state, Role(body.role), body.to_id, cause)


def _assigned(
    state: EpisodeState, role: Role, staff_id: str | None, cause: Cause
) -> Decision[EpisodeState]:
    before = state.team.get(role.value)
    if before == staff_id:
        return Decision(state)
    what = {"episode_id": cause.subject_id, "role": role.value}
    handoffs = (
        *(() if before is None else (Handoff(theirs(before, cause), Released(**what)),)),
        *(() if staff_id is None else (Handoff(theirs(staff_id, cause), Held(**what)),)),
    )
    if staff_id is None:
        vacated = intake.CareTeamRoleVacated(role=role)
        return Decision(loops.role_vacated(state, vacated, cause).state, (vacated,), handoffs)
    event = intake.CareTeamAssigned(role=role, staff_id=staff_id)
    return Decision(loops.team_assigned(state, event, cause).state, (event,), handoffs)


def theirs(staff_id: str, cause: Cause) -> str:
    """The record of a member of staff at the facility where this happens."""
    return duty.staff_subject(cause.facility_id, staff_id)


def held(state: StaffRecord, body: Held, _cause: Cause) -> Decision[StaffRecord]:
    """One more."""
    roles = dict.fromkeys((*state.holds.get(body.episode_id, ()), body.role))
    return Decision(state.replace(holds={**state.holds, body.episode_id: tuple(roles)}))


def released(state: StaffRecord, body: Released, _cause: Cause) -> Decision[StaffRecord]:
    """One less."""
    roles = tuple(role for role in state.holds.get(body.episode_id, ()) if role != body.role)
    holds = {key: kept for key, kept in state.holds.items() if key != body.episode_id}
    return Decision(state.replace(holds={**holds, body.episode_id: roles} if roles else holds))


# --- away -----------------------------------------------------------------------------------------------


def plan_absence(
    state: StaffRecord,
    staff_id: str,
    from_at: datetime,
    until_at: datetime,
    deputy_id: str,
    cause: Cause,
) -> Decision[StaffRecord]:
    """Somebody will be away, and a deputy acts for them. One absence at a time, so that there is one deputy."""
    if deputy_id == staff_id:
        raise Invalid(
            "deputy-is-oneself",
            "Who is away does not stand in for themselves.",
            hint="Name a colleague.",
        )
    if until_at <= from_at:
        raise Invalid(
            "absence-ends-before-it-begins",
            "The absence ends before it begins.",
            hint="Check both times.",
        )
    if until_at <= cause.now:
        raise Invalid(
            "absence-is-over",
            "The absence is over already.",
            hint="Plan what is still to come.",
        )
    current = [absence for absence in state.absences.values() if absence.until_at > cause.now]
    if any(a.from_at < until_at and from_at < a.until_at for a in current):
        raise Refused(
            "absences-overlap",
            "There is another absence in this time.",
            hint="End the other one first, or plan around it.",
        )
    if len(current) >= duty.ABSENCES_KEPT:
        raise Refused(
            "too-many-absences",
            "No more absences are kept.",
            hint="End those that are no longer planned.",
        )
    absence_id = cause.derive_id("absence")
    event = intake.StaffAbsencePlanned(
        absence_id=absence_id,
        staff_id=staff_id,
        from_at=from_at,
        until_at=until_at,
        deputy_id=deputy_id,
    )
    kept = duty.absence_planned(state, event, cause).state
    return Decision(
        state.replace(absences=kept.absences), (event,), answer={"absence_id": absence_id}
    )


def end_absence(
    state: StaffRecord, staff_id: str, absence_id: str, cause: Cause
) -> Decision[StaffRecord]:
    """The absence is called off, or ends early."""
    absence = state.absences.get(absence_id)
    if absence is None:
        raise Unknown("absence")
    if absence.until_at <= cause.now:
        raise Refused(
            "absence-is-over", "The absence is over.", hint="There is nothing left to do."
        )
    event = intake.StaffAbsenceEnded(absence_id=absence_id, staff_id=staff_id)
    kept = duty.absence_ended(state, event, cause).state
    return Decision(state.replace(absences=kept.absences), (event,))


# --- hand-over ------------------------------------------------------------------------------------------


def hand_over(
    state: StaffRecord,
    from_id: str,
    to_id: str,
    episode_ids: Sequence[str] | None,
    *,
    acting_for_colleague: str | None,
    room: int,
) -> Decision[StaffRecord]:
    """What somebody holds goes to a colleague: all of it, or these episodes. Each episode publishes it itself.

    A colleague who is away may take over, because their deputy acts until they are back; but not when that deputy is
    the one who hands over, or when nobody acts for them at all: then nothing would have been handed over.
    `acting_for_colleague` is who acts for them now, and `room` how many episodes they can still take.
    """
    if to_id == from_id:
        raise Invalid("hand-over-to-oneself", "A hand-over needs two.", hint="Name a colleague.")
    if acting_for_colleague in (None, from_id):
        raise Refused(
            "colleague-away",
            "The colleague is away, and nobody else acts for them.",
            hint="Name another colleague, or give the colleague another deputy first.",
        )
    wanted = tuple(state.holds) if episode_ids is None else tuple(dict.fromkeys(episode_ids))
    if any(episode_id not in state.holds for episode_id in wanted):
        raise Refused(
            "episode-not-held",
            "Not all of these episodes are held by this member of staff.",
            hint="Read what they hold, and name only that.",
        )
    if len(wanted) > room:
        raise Refused(
            "caseload-full",
            "The colleague can't take this many episodes.",
            hint="Hand over to several colleagues.",
        )
    handoffs = tuple(
        Handoff(f"episode/{episode_id}", HandedOver(role=role, from_id=from_id, to_id=to_id))
        for episode_id in wanted
        for role in state.holds[episode_id]
    )
    # What is held shrinks as each episode hands over, so that nothing is in nobody's hands.
    return Decision(state, handoffs=handoffs, answer={"episodes": len(wanted)})
