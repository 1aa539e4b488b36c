"""Routes that name the leader of a session and take the signature under its roll."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from services.attendance.api import views
from services.attendance.api.callers import Closer, GroupLead, Staff
from services.attendance.api.subjects import SESSION, STAFF
from services.attendance.groups import leaders
from services.attendance.groups.session_state import Credential, Leader, LeadingPart
from shared.contracts.codes import ActorId
from shared.duty import staff_record_id
from shared.errors import Invalid
from shared.runtime.http.call import Body, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import shows

router = APIRouter(tags=["leaders"])


class LeaderLine(Body):
    staff_id: ActorId
    part: LeadingPart
    credential: Credential


class AssignLeaders(Body):
    leaders: Annotated[list[LeaderLine], Field(min_length=1, max_length=6)]


class SignOff(Body):
    pass


class RecordCredential(Body):
    credential: Credential
    """The credential."""
    valid_from_at: AwareDatetime
    """The time from which it is valid."""
    valid_until_at: AwareDatetime | None = None
    """The time at which it lapses. Absent if it does not lapse."""


@router.post("/sessions/{session_id}/leaders")
@shows(views.Led)
async def assign_leaders(
    call: GroupLead, session_id: SubjectId, body: AssignLeaders
) -> RecordAnswer:
    """Say who leads a session, as what, with which credential. Who is not named does not lead it any more."""
    named = {
        line.staff_id: Leader(part=line.part, credential=line.credential) for line in body.leaders
    }
    if len(named) != len(body.leaders):
        raise Invalid(
            "leader-repeats",
            "Someone leads the session twice.",
            hint="Name each member of staff once.",
        )
    return await call.execute(
        SESSION(session_id),
        lambda state, cause: leaders.assign(state, named, cause),
        wait_for_handoffs=True,
    )


@router.post("/staff/{staff_id}/credentials")
@shows()
async def record_credential(
    call: Closer, staff_id: SubjectId, body: RecordCredential
) -> RecordAnswer:
    """Say from when until when a member of staff has a credential; recorded again, the later word holds.

    Whoever has one on record leads only as what is on record and holds then; otherwise the loop `leader` opens.
    """
    held = leaders.HeldCredential(
        valid_from_at=body.valid_from_at, valid_until_at=body.valid_until_at
    )
    return await call.execute(
        STAFF(staff_record_id(call.actor.facility_id, staff_id)),
        lambda state, cause: leaders.record_credential(
            state, staff_id, body.credential, held, cause
        ),
        wait_for_handoffs=True,
    )


@router.post("/sessions/{session_id}/sign-off")
@shows(views.Signed)
async def sign_off(call: Staff, session_id: SubjectId, _body: SignOff) -> RecordAnswer:
    """Sign the roll, as who led the session or stood in. A correction afterwards is signed anew."""
    return await call.execute(SESSION(session_id), leaders.sign_off)
