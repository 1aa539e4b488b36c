"""Routes for referrals to partners: sent under a consent, answered, and open until the outcome is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import AwareDatetime, Field

from services.intake.api import views
from services.intake.api.callers import Staff
from services.intake.api.partners import partner
from services.intake.api.subjects import EPISODE, PERSON
from services.intake.episode import episode_state, outbound_referrals
from services.intake.handoffs import ReferralAllowed
from services.intake.person import disclosures
from services.intake.person.person_state import PersonState
from services.intake.person.requests import Request
from shared.contracts.codes import ConsentId, FacilityId, LevelOfCare
from shared.contracts.intake import (
    ConsentPurpose,
    InformationCategory,
    PartnerKind,
    ReferralOutcome,
    RejectionReason,
)
from shared.decision import Cause, Decision
from shared.runtime.http.call import OfEpisode, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.shown import shows

router = APIRouter(tags=["intake"])


class SendReferral(OfEpisode):
    """Who is asked, and by when an answer is due. Whether a consent allows it, the person's record decides."""

    target_kind: PartnerKind
    target_facility_id: FacilityId
    target_level: LevelOfCare | None = None
    purpose: Literal[ConsentPurpose.CARE_COORDINATION, ConsentPurpose.TREATMENT] = (
        ConsentPurpose.CARE_COORDINATION
    )
    consent_id: ConsentId | None = None
    respond_within_hours: Annotated[int, Field(ge=1, le=720)]


class PartnerAccepted(OfEpisode):
    appointment_at: AwareDatetime | None = None


class PartnerRejected(OfEpisode):
    reason: RejectionReason | None = None


class CloseOutbound(OfEpisode):
    outcome: ReferralOutcome


@router.post("/outbound-referrals", status_code=201)
@shows(views.ReferralSent)
async def send_referral(call: Staff, body: SendReferral) -> RecordAnswer:
    """Ask a partner to take the person, as one consent allows: the partner, that they are referred, the level, why.

    Who asks the same again is answered with the same referral, until it is rejected or its outcome is known.
    """
    target = await partner(call, "target_facility_id", body.target_facility_id)
    episode = await call.state(EPISODE(body.episode_id))
    asked = outbound_referrals.Asked(
        target_kind=body.target_kind,
        target_facility_id=target.partner_id,
        target_level=body.target_level,
        purpose=body.purpose,
    )
    referral_id = outbound_referrals.id_for(episode, asked, body.episode_id)
    level = () if body.target_level is None else (InformationCategory.LEVEL_OF_CARE,)
    request = Request(
        delivery_id=referral_id,
        person_id=episode.person_id,
        episode_id=body.episode_id,
        recipient_id=target.partner_id,
        categories=(InformationCategory.REFERRAL_STATUS, *level),
        purpose=body.purpose,
        discloser_id=call.actor.id,
        consent_id=body.consent_id,
    )
    new = ReferralAllowed(
        referral_id=referral_id,
        person_id=episode.person_id,
        **dict(asked),
        respond_within=timedelta(hours=body.respond_within_hours),
    )

    def rule(state: PersonState, cause: Cause) -> Decision[PersonState]:
        episode_state.in_progress(episode)
        return disclosures.refer(state, request, new, target, cause)

    return await call.execute(
        PERSON(episode.person_id),
        rule,
        status=201,
        wait_for_handoffs=True,
    )


@router.post("/outbound-referrals/{referral_id}/accepted")
async def partner_accepted(
    call: Staff, referral_id: SubjectId, body: PartnerAccepted
) -> RecordAnswer:
    """The partner will take the person. This closes nothing."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.accepted(
            state, referral_id, body.appointment_at, cause
        ),
    )


@router.post("/outbound-referrals/{referral_id}/rejected")
async def partner_rejected(
    call: Staff, referral_id: SubjectId, body: PartnerRejected
) -> RecordAnswer:
    """The partner will not take the person."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.rejected(state, referral_id, body.reason, cause),
    )


@router.post("/outbound-referrals/{referral_id}/close")
async def close_outbound(call: Staff, referral_id: SubjectId, body: CloseOutbound) -> RecordAnswer:
    """Say what became of a referral to a partner."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.close(state, referral_id, body.outcome, cause),
    )
