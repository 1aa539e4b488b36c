"""Referrals to partners over HTTP: sent under a consent, answered, and open until an outcome is known."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Response
from pydantic import AwareDatetime, Field

from services.intake.api.episodes import Staff
from services.intake.api.subjects import EPISODE, PERSON
from services.intake.episode import outbound_referrals
from services.intake.person import person_state
from shared.contracts.codes import ConsentId, FacilityId, LevelOfCare
from shared.contracts.intake import PartnerKind, ReferralOutcome, RejectionReason
from shared.runtime.http.call import Call, OfEpisode, SubjectId

router = APIRouter(tags=["intake"])


class SendReferral(OfEpisode):
    target_kind: PartnerKind
    target_facility_id: FacilityId
    target_level: LevelOfCare | None = None
    consent_id: ConsentId
    respond_within_hours: Annotated[int, Field(ge=1, le=720)]


class PartnerAccepted(OfEpisode):
    appointment_at: AwareDatetime | None = None


class PartnerRejected(OfEpisode):
    reason: RejectionReason | None = None


class CloseOutbound(OfEpisode):
    outcome: ReferralOutcome


@router.post("/outbound-referrals", status_code=201)
async def send_referral(call: Staff, body: SendReferral) -> Response:
    """Ask a partner to take the person, under a consent that names the partner."""
    held = await _consents_of(call, body.episode_id)
    new = outbound_referrals.NewOutbound(
        target_kind=body.target_kind,
        target_facility_id=body.target_facility_id,
        target_level=body.target_level,
        consent_id=body.consent_id,
        respond_within=timedelta(hours=body.respond_within_hours),
    )
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.send(
            state,
            new,
            permitted=person_state.permits(held, new.consent_id, new.target_facility_id, cause.now),
            cause=cause,
        ),
        status=201,
    )


@router.post("/outbound-referrals/{referral_id}/accepted")
async def partner_accepted(call: Staff, referral_id: SubjectId, body: PartnerAccepted) -> Response:
    """The partner will take the person. This closes nothing."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.accepted(
            state, referral_id, body.appointment_at, cause
        ),
    )


@router.post("/outbound-referrals/{referral_id}/rejected")
async def partner_rejected(call: Staff, referral_id: SubjectId, body: PartnerRejected) -> Response:
    """The partner will not take the person."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.rejected(state, referral_id, body.reason, cause),
    )


@router.post("/outbound-referrals/{referral_id}/close")
async def close_outbound(call: Staff, referral_id: SubjectId, body: CloseOutbound) -> Response:
    """Say what became of a referral to a partner."""
    return await call.execute(
        EPISODE(body.episode_id),
        lambda state, cause: outbound_referrals.close(state, referral_id, body.outcome, cause),
    )


async def _consents_of(call: Call, episode_id: str) -> dict[str, person_state.Consent]:
    """The consents of the person whose episode this is. A consent is checked where it is needed, each time."""
    episode = await call.state(EPISODE(episode_id))
    return (await call.state(PERSON(episode.person_id))).consents
