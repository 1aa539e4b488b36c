"""What is on its way to somebody outside, as the episode knows it: asked, answered, and reported by its sender. Pure.

The person decides, and the accounting is theirs. The episode publishes the answer, and holds the loop until whoever
sends says what became of it. See docs/domain.md 4.3 (Disclosure) and 4.5 (Accounting).
"""

from __future__ import annotations

from datetime import datetime

from services.intake.episode import episode_state
from services.intake.episode.episode_state import EpisodeState
from services.intake.handoffs import (
    DeliveryReported,
    ReportHeard,
    ReviewAsked,
    ReviewWithdrawn,
)
from services.intake.person.disclosures import NOTICE_VERSION
from services.intake.person.may_disclose import Allowed
from services.intake.person.requests import Answered, AskPartner, Request, partner_subject
from shared import loops
from shared.contracts import intake, plans
from shared.contracts.codes import ClearedReason, IntakeLoop
from shared.contracts.intake import NotMadeReason
from shared.decision import Cause, Decision, Handoff, Handoffs
from shared.errors import Unknown


def answered(state: EpisodeState, body: Answered, cause: Cause) -> Decision[EpisodeState]:
    """Whoever asked hears it. What was allowed is to be reported within a day."""
    request, allowed = body.request, body.allowed
    if allowed is None:
        assert body.withheld is not None
        withheld = intake.DisclosureWithheld(
            delivery_id=request.delivery_id,
            recipient_id=request.recipient_id,
            reason=body.withheld,
            decided_at=cause.now,
        )
        return Decision(without(state, request.delivery_id), (withheld,))
    if body.report_due:
        state = waiting(state, request.delivery_id, request.person_id)
        if state.void:
            return Decision(
                without(state, request.delivery_id),
                handoffs=not_made(state, request.delivery_id, NotMadeReason.EPISODE_CLOSED),
            )
        state = loops.open_loop(state, IntakeLoop.DISCLOSURE_REPORT, request.delivery_id, cause)
    return Decision(state, (_allowed(body, allowed, cause),))


def _allowed(body: Answered, allowed: Allowed, cause: Cause) -> intake.DisclosureAllowed:
    return intake.DisclosureAllowed(
        delivery_id=body.request.delivery_id,
        recipient_id=body.request.recipient_id,
        categories=allowed.obligations.categories,
        purpose=allowed.obligations.purpose,
        consent_id=allowed.consent_id,
        document_sha256=allowed.obligations.document_sha256,
        notice_version=NOTICE_VERSION,
        decided_at=cause.now,
    )


def report_heard(state: EpisodeState, body: ReportHeard, _cause: Cause) -> Decision[EpisodeState]:
    """It is known what became of it. A referral that was not made can be sent again."""
    state = without(state, body.delivery_id)
    if not body.made and (outbound := state.outbound.get(body.delivery_id)) is not None:
        outbound = outbound.replace(not_made=True)
        state = state.replace(outbound={**state.outbound, body.delivery_id: outbound})
    state, cleared = loops.close(state, IntakeLoop.DISCLOSURE_REPORT, body.delivery_id)
    return Decision(state, cleared)


def made(state: EpisodeState, delivery_id: str, at: datetime) -> Handoffs:
    """For the person: this has left for whom it was for."""
    return _reported(state, DeliveryReported(delivery_id=delivery_id, made_at=at))


def not_made(state: EpisodeState, delivery_id: str, reason: NotMadeReason) -> Handoffs:
    """For the person: this was allowed and does not leave after all."""
    return _reported(state, DeliveryReported(delivery_id=delivery_id, not_made=reason))


def waiting(state: EpisodeState, delivery_id: str, person_id: str) -> EpisodeState:
    """The episode waits for what becomes of this, which is about this person."""
    return state.replace(deliveries={**state.deliveries, delivery_id: person_id})


def without(state: EpisodeState, delivery_id: str) -> EpisodeState:
    """It waits for this no longer."""
    left = {key: who for key, who in state.deliveries.items() if key != delivery_id}
    return state.replace(deliveries=left)


def _reported(state: EpisodeState, body: DeliveryReported) -> Handoffs:
    person_id = state.deliveries.get(body.delivery_id)
    return () if person_id is None else (Handoff(f"person/{person_id}", body),)


# --- asked for by plans ---------------------------------------------------------------------------------


def transfer_requested(
    state: EpisodeState, event: plans.TransferRequested, cause: Cause
) -> Decision[EpisodeState]:
    """Plans asks whether a partner may be told of a transfer. The partner says what it is, and the person decides."""
    request = Request(
        delivery_id=event.delivery_id,
        person_id=state.person_id,
        episode_id=cause.subject_id,
        recipient_id=event.to_facility_id,
        categories=event.categories,
        purpose=event.purpose,
        discloser_id=event.requested_by_id,
        consent_id=event.consent_id,
    )
    to = partner_subject(event.to_facility_id)
    return Decision(state, handoffs=(Handoff(to, AskPartner(request=request)),))


def transfer_initiated(
    state: EpisodeState, event: plans.TransferInitiated, cause: Cause
) -> Decision[EpisodeState]:
    """The partner is told: what was allowed is made."""
    return Decision(state, handoffs=made(state, event.delivery_id, cause.now))


def transfer_not_begun(
    state: EpisodeState, event: plans.TransferNotBegun, _cause: Cause
) -> Decision[EpisodeState]:
    """The partner is not told after all."""
    return Decision(state, handoffs=not_made(state, event.delivery_id, NotMadeReason.WITHDRAWN))


# --- reviews --------------------------------------------------------------------------------------------


def review_asked(state: EpisodeState, body: ReviewAsked, cause: Cause) -> Decision[EpisodeState]:
    """Somebody who took no part reviews what was disclosed, and why. House rule."""
    return Decision(loops.open_loop(state, IntakeLoop.DISCLOSURE_REVIEW, body.disclosure_id, cause))


def review_withdrawn(
    state: EpisodeState, body: ReviewWithdrawn, _cause: Cause
) -> Decision[EpisodeState]:
    """Nothing was disclosed: nobody has to look at it."""
    kind, why = IntakeLoop.DISCLOSURE_REVIEW, ClearedReason.ENTERED_IN_ERROR
    return Decision(*loops.close(state, kind, body.disclosure_id, why))


def reviewed(state: EpisodeState, disclosure_id: str, _cause: Cause) -> Decision[EpisodeState]:
    """A disclosure that had to be looked at was."""
    episode_state.standing(state)
    if state.loop(IntakeLoop.DISCLOSURE_REVIEW, disclosure_id) is None:
        raise Unknown("open-disclosure")
    state, cleared = loops.close(state, IntakeLoop.DISCLOSURE_REVIEW, disclosure_id)
    return Decision(state, cleared)
