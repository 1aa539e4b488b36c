"""Routes for the care team of an episode, absences, deputies and hand-over."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from services.intake.api import views
from services.intake.api.callers import Anyone, Staff
from services.intake.api.subjects import EPISODE, staff_of
from services.intake.resources import care_teams
from shared.contracts.codes import EpisodeId, Role, StaffId
from shared.duty import acting
from shared.errors import Forbidden, Refused
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import shows
from shared.runtime.http.subjects import state_of

router = APIRouter(tags=["people on duty"])

SUPERVISORS: Final = ("clinical_supervisor", "program_director")
"""Who plans for others."""


class AssignTeam(Body):
    """Who takes a role over; nobody, when `staff_id` is null."""

    role: Role
    staff_id: StaffId | None


class PlanAbsence(Body):
    """When somebody is away, and who acts meanwhile."""

    from_at: AwareDatetime
    until_at: AwareDatetime
    deputy_id: StaffId


class HandOver(Body):
    """Who takes over what; everything, when no episodes are named."""

    to_id: StaffId
    episode_ids: (
        Annotated[list[EpisodeId], Field(min_length=1, max_length=care_teams.HELD_MAX)] | None
    ) = None


class Nothing(Body):
    """No words are needed."""


@router.put("/episodes/{episode_id}/team")
async def assign_team(call: Staff, episode_id: SubjectId, body: AssignTeam) -> RecordAnswer:
    """Give a role of this episode to a member of staff, or leave it vacant."""
    if body.staff_id is not None and await _room(call, body.staff_id) < 1:
        raise Refused("caseload-full", "They can't take more episodes.", hint="Name a colleague.")
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: care_teams.assign(state, body.role, body.staff_id, cause),
        wait_for_handoffs=True,
    )


@router.get("/staff/{staff_id}")
@shows(views.STAFF)
async def read_staff(call: Anyone, staff_id: SubjectId) -> RecordAnswer:
    """When somebody is away, who acts for them, and what they hold."""
    _own_or_supervised(call, staff_id)
    return await call.read(staff_of(call, staff_id), staff_view)


@router.post("/staff/{staff_id}/absences", status_code=201)
@shows(views.AbsencePlanned)
async def plan_absence(call: Anyone, staff_id: SubjectId, body: PlanAbsence) -> RecordAnswer:
    """Plan an absence, with the deputy who acts meanwhile."""
    _own_or_supervised(call, staff_id)
    await _known(call, [body.deputy_id])
    return await call.execute(
        staff_of(call, staff_id),
        lambda state, cause: care_teams.plan_absence(
            state, staff_id, body.from_at, body.until_at, body.deputy_id, cause
        ),
        status=201,
    )


@router.post("/staff/{staff_id}/absences/{absence_id}/end")
async def end_absence(
    call: Anyone, staff_id: SubjectId, absence_id: SubjectId, _body: Nothing | None = None
) -> RecordAnswer:
    """Call an absence off, or end it early."""
    _own_or_supervised(call, staff_id)
    return await call.execute(
        staff_of(call, staff_id),
        lambda state, cause: care_teams.end_absence(state, staff_id, absence_id, cause),
    )


@router.post("/staff/{staff_id}/hand-over")
@shows(views.HandedOver)
async def hand_over(call: Anyone, staff_id: SubjectId, body: HandOver) -> RecordAnswer:
    """Give what somebody holds to a colleague. Each episode says so itself, one after the other."""
    _own_or_supervised(call, staff_id)
    room = await _room(call, body.to_id)
    deputy = acting(body.to_id, await _known(call, [body.to_id]), call.runtime.clock.now())
    return await call.execute(
        staff_of(call, staff_id),
        lambda state, _cause: care_teams.hand_over(
            state,
            staff_id,
            body.to_id,
            body.episode_ids,
            acting_for_colleague=deputy,
            room=room,
        ),
        wait_for_handoffs=True,
    )


def staff_view(state: care_teams.StaffRecord) -> dict[str, Any]:
    """Absences and what is held."""
    return state.model_dump(mode="json", include={"absences", "holds"})


def _own_or_supervised(call: Call, staff_id: str) -> None:
    if staff_id != call.actor.id and call.actor.role not in SUPERVISORS:
        raise Forbidden(
            "not-yours",
            "This is somebody else's to plan.",
            hint="Ask them, or a supervisor.",
        )


async def _room(call: Call, staff_id: str) -> int:
    known = await _known(call, [staff_id])
    return care_teams.HELD_MAX - len(known[staff_id].holds)


async def _known(call: Call, staff_ids: list[str]) -> dict[str, care_teams.StaffRecord]:
    """These members of staff at the caller's facility, and whoever may have to act for them."""
    known: dict[str, care_teams.StaffRecord] = {}
    wanted = set(staff_ids)
    while wanted:
        subjects = {staff_id: staff_of(call, staff_id).name for staff_id in sorted(wanted)}
        found = await call.runtime.store.load([*subjects.values()])
        known |= {
            one: state_of(found[name], care_teams.StaffRecord) for one, name in subjects.items()
        }
        wanted = {a.deputy_id for s in known.values() for a in s.absences.values()} - set(known)
    return known
