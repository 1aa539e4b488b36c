"""Routes that take mistakes back. Those who are responsible for the program call them."""

from __future__ import annotations

from fastapi import APIRouter

from services.intake import mistakes
from services.intake.api.callers import Answering
from services.intake.api.subjects import EPISODE, PERSON
from services.intake.person import consent_mistakes
from shared.contracts.codes import EpisodeId, PersonId
from shared.runtime.http.call import Body, SubjectId
from shared.runtime.http.json_answer import RecordAnswer
from shared.runtime.http.retractions import TakeBack

router = APIRouter(tags=["mistakes"])


class CorrectPerson(Body):
    """Whose the episode is."""

    person_id: PersonId


class UndoConsent(TakeBack):
    """Whose consent was recorded by mistake, or its revocation, and why."""

    person_id: PersonId


class MergeReferral(Body):
    """Which episode goes on."""

    into_episode_id: EpisodeId


@router.post("/episodes/{episode_id}/entered-in-error")
async def enter_in_error(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """The episode should never have existed. Nothing more is done about it, in any service."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.entered_in_error(state, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/episodes/{episode_id}/entered-in-error/undo")
async def undo_entered_in_error(
    call: Answering, episode_id: SubjectId, body: TakeBack
) -> RecordAnswer:
    """The episode was right after all: it goes on as it was, in every service."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.undo_entered_in_error(state, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/episodes/{episode_id}/person")
async def correct_person(
    call: Answering, episode_id: SubjectId, body: CorrectPerson
) -> RecordAnswer:
    """The episode is another person's. That person has to be known here; their consents are asked for anew."""
    await call.record(PERSON(body.person_id))
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.correct_person(state, body.person_id, cause),
        wait_for_handoffs=True,
    )


@router.post("/referrals/{episode_id}/merge")
async def merge_referral(
    call: Answering, episode_id: SubjectId, body: MergeReferral
) -> RecordAnswer:
    """This is a second referral of one person; the other episode goes on."""
    into = await call.state(EPISODE(body.into_episode_id))
    other = mistakes.Other(
        episode_id=body.into_episode_id,
        person_id=into.person_id,
        open=into.closed_at is None and not into.void,
    )
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.merge(state, other, cause),
        wait_for_handoffs=True,
    )


@router.post("/referrals/{episode_id}/merge/undo")
async def undo_merge(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """It was no second referral of one person: it goes on as it was, in every service."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.undo_merge(state, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/consents/{consent_id}/undo")
async def undo_consent(call: Answering, consent_id: SubjectId, body: UndoConsent) -> RecordAnswer:
    """The person never gave this consent. What was disclosed under it is reviewed."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consent_mistakes.undo(state, consent_id, body.reason, cause),
        wait_for_handoffs=True,
    )


@router.post("/consents/{consent_id}/revoke/undo")
async def undo_revocation(
    call: Answering, consent_id: SubjectId, body: UndoConsent
) -> RecordAnswer:
    """The person did not take this consent back: it holds again from now on, until it ends."""
    return await call.execute(
        PERSON(body.person_id),
        lambda state, cause: consent_mistakes.undo_revocation(
            state, consent_id, body.reason, cause
        ),
    )


@router.post("/episodes/{episode_id}/admission/undo")
async def undo_admission(call: Answering, episode_id: SubjectId, body: TakeBack) -> RecordAnswer:
    """The admission is taken back; the person is where they were before it. The way back is another admission."""
    return await call.execute(
        EPISODE(episode_id),
        lambda state, cause: mistakes.undo_admission(state, body.reason, cause),
        wait_for_handoffs=True,
    )
