"""Routes for level changes, transfer, aftercare, graduation and discharge."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import Field

from services.plans import aftercare, graduation, level_changes, retractions, transfers
from services.plans.api import views
from services.plans.api.callers import Answering, Arranger, Clinician, Staff
from services.plans.api.subjects import EPISODE, SESSION
from services.plans.episode_state import AskedTransfer
from services.plans.level_changes import NewLevel, StepDownReason
from shared.contracts.codes import (
    ConsentId,
    Dimension,
    ElementCode,
    FacilityId,
    LevelOfCare,
    ReferralId,
    SessionId,
    Timestamp,
)
from shared.contracts.intake import ConsentPurpose, InformationCategory
from shared.contracts.plans import CriterionResult, Direction, DischargeKind
from shared.errors import Refused
from shared.runtime.http.call import Body, Call, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBack
from shared.runtime.http.shown import shows

router = APIRouter(tags=["plans: moving on"])


class ChangeLevel(Body):
    to_level: LevelOfCare
    direction: Direction
    effective_at: Timestamp | None = None
    drivers: Annotated[tuple[Dimension, ...], Field(max_length=6)] | None = None
    elsewhere: bool = False
    supports_verified: bool = False
    appointment_at: Timestamp | None = None
    appointment_session_id: SessionId | None = None
    although: StepDownReason | None = None


class StartTransfer(Body):
    """To whom, to which level, when; and what they will be told for it. Intake decides whether a consent allows it."""

    referral_id: ReferralId
    to_facility_id: FacilityId
    to_level: LevelOfCare
    handoff_at: Timestamp
    categories: Annotated[tuple[InformationCategory, ...], Field(min_length=1, max_length=20)] = (
        InformationCategory.REFERRAL_STATUS,
        InformationCategory.LEVEL_OF_CARE,
    )
    purpose: Literal[ConsentPurpose.CARE_COORDINATION, ConsentPurpose.TREATMENT] = (
        ConsentPurpose.CARE_COORDINATION
    )
    consent_id: ConsentId | None = None


class FirstContact(Body):
    first_contact_at: Timestamp


class WriteAftercare(Body):
    elements: Annotated[tuple[ElementCode, ...], Field(max_length=30)]
    not_needed: Annotated[tuple[ElementCode, ...], Field(max_length=30)] = ()
    first_appointment_at: Timestamp | None = None


class Graduate(Body):
    criteria: Annotated[list[CriterionResult], Field(min_length=1, max_length=50)]


class Discharge(Body):
    kind: DischargeKind


@router.post("/episodes/{episode_id}/loc-changes")
async def change_level(call: Clinician, episode_id: SubjectId, body: ChangeLevel) -> RecordAnswer:
    """Change the level of care, now or from a moment on; `elsewhere` begins the search for another place."""
    new = NewLevel(
        to_level=body.to_level,
        direction=body.direction,
        effective_at=body.effective_at,
        drivers=body.drivers,
        elsewhere=body.elsewhere,
        supports_verified=body.supports_verified,
        appointment_at=await _appointment(call, body),
        although=body.although,
    )
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: level_changes.change_level(state, new, cause),
    )


@router.post("/episodes/{episode_id}/loc-changes/undo")
async def undo_level_change(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """Take back the last change of level, to come or in effect. Seats, weeks and loops follow in every service."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: retractions.undo_level_change(state, body.reason, cause),
    )


async def _appointment(call: Call, body: ChangeLevel) -> Timestamp | None:
    """A session that is named is looked up: only one that will take place is an appointment."""
    if body.appointment_session_id is None:
        return body.appointment_at
    starts_at = (await call.state(SESSION(body.appointment_session_id))).bookable_at()
    if starts_at is None:
        raise Refused(
            "session-cancelled",
            "This session does not take place.",
            hint="Book another one.",
        )
    return starts_at


@router.post("/episodes/{episode_id}/transfer", status_code=202)
@shows(views.TransferAsked)
async def ask_transfer(call: Arranger, episode_id: SubjectId, body: StartTransfer) -> RecordAnswer:
    """Ask for the hand-over to a partner that has accepted. It begins as soon as intake allows it.

    Where no consent allows it, the loop of the transfer is open again, and the episode says what is missing.
    """
    new = AskedTransfer(**body.model_dump())
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: transfers.ask(state, new, cause),
        status=202,
    )


@router.post("/episodes/{episode_id}/transfer/first-contact")
async def record_first_contact(
    call: Arranger, episode_id: SubjectId, body: FirstContact
) -> RecordAnswer:
    """The receiving facility has seen the person; the episode ends here."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: level_changes.first_contact(state, body.first_contact_at, cause),
    )


@router.put("/episodes/{episode_id}/aftercare-plan")
@shows(views.AftercareWritten)
async def write_aftercare(call: Staff, episode_id: SubjectId, body: WriteAftercare) -> RecordAnswer:
    """Say what is settled for the time after; each time a new version."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: aftercare.write(
            state,
            body.elements,
            body.not_needed,
            body.first_appointment_at,
            cause,
        ),
    )


@router.post("/episodes/{episode_id}/graduate")
async def graduate(call: Clinician, episode_id: SubjectId, body: Graduate) -> RecordAnswer:
    """Approve the graduation and discharge as graduated."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: graduation.graduate(state, tuple(body.criteria), cause),
    )


@router.post("/episodes/{episode_id}/discharge")
async def discharge(call: Clinician, episode_id: SubjectId, body: Discharge) -> RecordAnswer:
    """End the episode in another way than graduation or transfer."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: graduation.discharge(state, body.kind, cause),
    )


@router.post("/episodes/{episode_id}/discharge/undo")
async def undo_discharge(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """Take back an end that was a mistake, in whichever way the episode ended. It goes on in every service."""
    return await _taken_back(call, episode_id, body, retractions.EVERY_KIND)


@router.post("/episodes/{episode_id}/graduation/undo")
async def undo_graduation(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """Take back a graduation, and the discharge that it was."""
    return await _taken_back(call, episode_id, body, retractions.GRADUATION)


@router.post("/episodes/{episode_id}/transfer/undo")
async def undo_transfer(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """Take back a hand-over that was begun by mistake."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: retractions.undo_transfer(state, body.reason, cause),
    )


@router.post("/episodes/{episode_id}/transfer/first-contact/undo")
async def undo_first_contact(
    call: Answering, episode_id: SubjectId, body: TakeBack
) -> RecordAnswer:
    """Take back the first contact elsewhere: the hand-over is under way again, and this program responsible."""
    return await _taken_back(call, episode_id, body, retractions.FIRST_CONTACT)


async def _taken_back(
    call: Call, episode_id: str, body: TakeBack, kinds: frozenset[DischargeKind]
) -> RecordAnswer:
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: retractions.undo_discharge(state, body.reason, cause, kinds=kinds),
    )
